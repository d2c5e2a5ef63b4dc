"""Text files that come into being whole, or not at all."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import pytest

from minispark.errors import ConfigurationError, OutputExists
from minispark.rdd.ports import JobRunner
from minispark.rdd.saving import lines
from minispark.rdd.sources import empty, parallelize, range_rdd, text_file
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual
from tests.rdd.conftest import Engine

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_file_per_partition_and_success_at_last(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> Any:
        await range_rdd(sc, 5, num_slices=2).save_as_text_file(tmp_path / "new" / "out")
        return await text_file(sc, tmp_path / "new" / "out").collect()

    assert engine(job) == ["0", "1", "2", "3", "4"]
    assert contents(tmp_path / "new/out") == {"part-00000": "0\n1\n", "part-00001": "2\n3\n4\n", "_SUCCESS": ""}


def test_nothing_is_saved_as_empty_files(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> None:
        await empty(sc).save_as_text_file(tmp_path / "none")
        await parallelize(sc, [], 1).save_as_text_file(str(tmp_path / "empty"))

    engine(job)

    assert contents(tmp_path / "none") == {"_SUCCESS": ""}
    assert contents(tmp_path / "empty") == {"_SUCCESS": "", "part-00000": ""}


def test_gzip(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> Any:
        await parallelize(sc, ["é"], 1).save_as_text_file(tmp_path / "out", compression="gzip")
        return await text_file(sc, tmp_path / "out").collect()

    assert engine(job) == ["é"]
    assert gzip.decompress((tmp_path / "out/part-00000.gz").read_bytes()) == "é\n".encode()


def test_a_failed_job_leaves_nothing_behind_and_can_be_repeated(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> None:
        numbers = range_rdd(sc, 4, num_slices=2)
        with pytest.raises(ZeroDivisionError):
            await numbers.map(lambda n: 1 // (3 - n)).save_as_text_file(tmp_path / "out")
        assert list(tmp_path.iterdir()) == []
        await numbers.save_as_text_file(tmp_path / "out")

    engine(job)

    assert len(contents(tmp_path / "out")) == 3


def test_a_failed_job_removes_nothing_of_somebody_elses(engine: Engine, tmp_path: Path) -> None:
    precious = tmp_path / "out._abandoned" / "precious"
    precious.parent.mkdir()
    precious.touch()

    async def job(sc: JobRunner) -> None:
        with pytest.raises(ZeroDivisionError):
            await range_rdd(sc, 2).map(lambda n: 1 // n).save_as_text_file(tmp_path / "out")

    engine(job)

    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "out._abandoned",
        "out._abandoned/precious",
    ]


def test_a_relative_path_is_that_of_the_call(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "data").write_text("here\n")

    async def job(sc: JobRunner) -> None:
        monkeypatch.chdir(tmp_path)
        saving = text_file(sc, "data").save_as_text_file("out")
        monkeypatch.chdir(tmp_path / "there")
        await saving

    engine(job)

    assert contents(tmp_path / "out")["part-00000"] == "here\n"


def test_files_are_handled_off_the_loop(tmp_path: Path) -> None:
    class Recorder(SerialJobRunner):
        def __init__(self) -> None:
            super().__init__()
            self.blocking: list[str] = []

        async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
            self.blocking.append(function.__name__)
            return await super().run_blocking(function, *args)

    async def job(sc: Recorder) -> list[str]:
        await range_rdd(sc, 2).save_as_text_file(tmp_path / "good")
        with pytest.raises(ZeroDivisionError):
            await range_rdd(sc, 2).map(lambda n: 1 // n).save_as_text_file(tmp_path / "bad")
        return sc.blocking

    assert run_virtual(job(Recorder())) == ["create", "commit", "create", "abandon"]


def test_what_is_no_path_is_refused_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        wrong: Any = b"out"
        with pytest.raises(ConfigurationError, match="path = '': a path is needed"):
            await range_rdd(sc, 4).save_as_text_file("")
        with pytest.raises(TypeError, match=r"path = b'out': a str or an os.PathLike is needed, not bytes"):
            await range_rdd(sc, 4).save_as_text_file(wrong)

    serial(job)


def test_what_exists_is_refused_before_any_task_runs(serial: Engine, tmp_path: Path) -> None:
    async def job(sc: Any) -> Any:
        with pytest.raises(OutputExists, match="exists already"):
            await range_rdd(sc, 4).save_as_text_file(tmp_path)
        with pytest.raises(ConfigurationError, match="compression = 'zip': 'gzip' or None is needed"):
            await range_rdd(sc, 4).save_as_text_file(tmp_path / "x", compression="zip")  # type: ignore[arg-type]
        return sc.jobs

    assert serial(job) == []


def test_a_line_is_a_records_text_and_bytes_are_themselves() -> None:
    assert lines(["é", 1, None, ("a", 2)]) == "é\n1\nNone\n('a', 2)\n".encode()
    assert lines(["é", b"\xff", 2]) == b"\xc3\xa9\n\xff\n2\n"


def test_bytes_of_a_subclass_are_saved_the_same_whatever_is_beside_them() -> None:
    class Name(bytes):
        pass

    assert lines([Name(b"a")]) == b"a\n"
    assert lines([Name(b"a"), b"b", "c"]) == b"a\nb\nc\n"
    assert lines([Name(b"a"), "c"]) == b"a\nc\n"


def test_pickled_batches_have_at_least_one_record(serial: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> None:
        await parallelize(sc, [1, 2, 3], 1).save_as_pickle_file(tmp_path / "out", 1)
        for wrong in (0, -1):
            with pytest.raises(ConfigurationError, match="batch_size = "):
                await parallelize(sc, [1]).save_as_pickle_file(tmp_path / "other", wrong)

    serial(job)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["_SUCCESS", "part-00000"]
