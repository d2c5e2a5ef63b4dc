"""Files that are read as a whole."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError, InputDamaged, InputNotFound
from minispark.rdd.files import InputFile
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from minispark.rdd.whole_files import binary_files, binary_records, dealt, pickle_file, whole_text_files
from tests.rdd.conftest import Engine


def files_in(folder: Path) -> list[Path]:
    texts = {"a.txt": "one\ntwo\n", "b.txt": "é", "empty": "", "_hidden": "no"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in ("a.txt", "b.txt", "empty")]


def test_each_file_is_one_record(engine: Engine, tmp_path: Path) -> None:
    a, b, empty = map(str, files_in(tmp_path))

    async def job(sc: JobRunner) -> Any:
        return await whole_text_files(sc, tmp_path).collect(), await binary_files(sc, [a, b]).collect()

    texts = [(a, "one\ntwo\n"), (b, "é"), (empty, "")]
    assert engine(job) == (texts, [(a, b"one\ntwo\n"), (b, "é".encode())])


def test_there_are_about_as_many_partitions_as_asked_for_at_most_one_a_file(serial: Engine, tmp_path: Path) -> None:
    files_in(tmp_path)

    async def job(sc: JobRunner) -> Any:
        return [whole_text_files(sc, tmp_path, count).get_num_partitions() for count in (1, 2, 3, 9)]

    assert serial(job) == [1, 2, 2, 3]


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(1, 8))
def test_files_are_dealt_out_in_order_and_about_evenly(sizes: list[int], count: int) -> None:
    files = [InputFile(str(place), size) for place, size in enumerate(sizes)]
    groups = dealt(files, count)
    assert [file for group in groups for file in group] == files
    share = (sum(sizes) + len(sizes)) / count
    assert all(sum(file.size_bytes + 1 for file in group) <= share + 2 * 1001 for group in groups)


def test_records_of_one_length_are_cut(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(bytes(range(250)) * 100)

    async def job(sc: JobRunner) -> Any:
        records = await binary_records(sc, tmp_path / "records", 5).collect()
        return len(records), records[:2], set(map(len, records))

    assert engine(job) == (5000, [b"\0\1\2\3\4", b"\5\6\7\10\11"], {5})


def test_a_file_that_ends_in_the_middle_of_a_record_is_named(serial: Engine, tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(b"12345")

    async def job(sc: JobRunner) -> Any:
        return await binary_records(sc, tmp_path, 2).count()

    with pytest.raises(InputDamaged, match="records' does not hold whole records of 2 bytes"):
        serial(job)


@pytest.mark.parametrize("length", [0, -1, 2.5, True])
def test_a_length_that_cannot_be_is_refused(serial: Engine, length: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return binary_records(sc, "x", length)

    with pytest.raises(ConfigurationError, match="record_length = "):
        serial(job)


def test_pickled_records_come_back_in_as_many_partitions(engine: Engine, tmp_path: Path) -> None:
    records = [1, "two", None, (3, [4]), {5: 6}, "x" * 5000]

    async def job(sc: JobRunner) -> Any:
        await parallelize(sc, records, 3).save_as_pickle_file(tmp_path / "out", 2)
        found = pickle_file(sc, tmp_path / "out")
        return await found.collect(), found.get_num_partitions()

    assert engine(job) == (records, 3)
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_what_is_no_such_file_is_refused_by_name(serial: Engine, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    async def job(sc: JobRunner) -> Any:
        with pytest.raises(InputNotFound, match="missing"):
            await pickle_file(sc, tmp_path / "missing").count()
        return await pickle_file(sc, tmp_path / "text").count()

    with pytest.raises(InputDamaged, match=re.escape(str(tmp_path / "text"))):
        serial(job)


def test_an_encoding_that_does_not_exist_is_told_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return whole_text_files(sc, "x", encoding="utf-99")

    with pytest.raises(LookupError, match="utf-99"):
        serial(job)
