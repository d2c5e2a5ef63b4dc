"""Compressed text files, whole ones and others."""

import bz2
import gzip
import lzma
import os
from pathlib import Path
from typing import Any

import pytest

from minispark.errors import ConfigurationError, InputDamaged
from minispark.rdd import compression
from minispark.rdd.compression import check_readable, damage_errors, is_compressed, named_damage, open_compressed
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import text_file
from tests.rdd.conftest import Engine

COMPRESS: dict[str, Any] = {
    ".gz": gzip.compress,
    ".GZ": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_are_read_through(engine: Engine, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.txt{suffix}"
    path.write_bytes(COMPRESS[suffix]("é\nb\n".encode()))

    async def job(sc: JobRunner) -> Any:
        lines = text_file(sc, tmp_path, 4)
        return lines.get_num_partitions(), await lines.collect()

    assert engine(job) == (1, ["é", "b"])


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("damage", ["cut off", "not what its name says"])
def test_damaged_files_are_named(engine: Engine, tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"x{suffix}"
    whole = COMPRESS[suffix](os.urandom(10_000))
    path.write_bytes(whole[:5_000] if damage == "cut off" else b"\xffplain text\n")

    async def job(sc: JobRunner) -> Any:
        return await text_file(sc, path).count()

    with pytest.raises(InputDamaged, match=f"'{path}' is .*{damage}"):
        engine(job)


@pytest.mark.parametrize(
    "name", ["a.zst", "a.txt.LZ4", "a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.7z", "a.br", "a.snappy", "a.Z"]
)
def test_what_would_be_read_as_garbage_is_refused(serial: Engine, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"garbage")

    async def job(sc: JobRunner) -> Any:
        return await text_file(sc, tmp_path).collect()

    with pytest.raises(
        ConfigurationError, match=rf"{name}' is in the format .*, which is not read; .*\.gz, \.bz2, \.xz, \.lzma are"
    ):
        serial(job)


def test_names_tell_formats() -> None:
    assert [is_compressed(name) for name in ("a.gz", "gz", ".gz/a", "a.txt")] == [True, False, False, False]
    for name in ("a.txt", "zip", "a.zip/b", "a.csv"):
        check_readable(name)


def test_a_python_without_the_module_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "READABLE", {".xz": "no_such_module"})

    with pytest.raises(ConfigurationError, match=r"'a\.xz': this Python cannot decompress it: No module named"):
        open_compressed("a.xz", "a.xz", "rb")


def test_errors_of_the_disk_stay_what_they_are() -> None:
    error = IsADirectoryError(21, "Is a directory", "a.gz")

    assert named_damage("a.gz", error) is error
    assert damage_errors("a.txt") == ()
