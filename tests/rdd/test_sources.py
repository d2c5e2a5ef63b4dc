"""RDDs of data: collections, numbers, and the lines of files, however they are cut."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ConfigurationError, InputNotFound, PicklingError
from minispark.rdd import sources
from minispark.rdd.files import InputFile
from minispark.rdd.node import Origin, Partition
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import TextFileNode, parallelize, range_rdd, split_lines, text_file
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual
from tests.rdd.conftest import Engine, on_serial

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TEXT = st.lists(st.sampled_from(["a", "bb", "é", "\n", "\r\n", "\r", "\u2028", ""]), max_size=40).map("".join)


@given(st.lists(st.integers()), st.integers(1, 8))
def test_slices_are_cut_as_spark_does(records: list[int], slices: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, records, slices).glom().collect()

    total = len(records)
    assert on_serial(job) == [records[i * total // slices : (i + 1) * total // slices] for i in range(slices)]


def test_later_changes_of_a_collection_are_not_seen(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        records: list[list[int]] = [[1], [2]]
        rdd = parallelize(sc, records, 2)
        records[0].append(9)
        records.append([3])
        return await rdd.collect()

    assert engine(job) == [[1], [2]]


def test_any_iterable_is_a_collection(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        made = [parallelize(sc, (n for n in range(3))), parallelize(sc, {"a": 1}), parallelize(sc, "xy")]
        return [await rdd.collect() for rdd in made], made[0].get_num_partitions()

    assert serial(job) == ([[0, 1, 2], ["a"], ["x", "y"]], 2)


def test_an_empty_slice_needs_no_payload(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return [type(partition) is Partition for partition in parallelize(sc, [1], 2).node.partitions()]

    assert serial(job) == [True, False]


@given(st.integers(-20, 20), st.integers(-20, 20), st.sampled_from([-3, -1, 1, 2]), st.integers(1, 5))
def test_ranges_are_pythons(start: int, end: int, step: int, slices: int) -> None:
    async def job(sc: JobRunner) -> Any:
        made = [range_rdd(sc, start, end, step, slices), parallelize(sc, range(start, end, step), slices)]
        return [await rdd.glom().collect() for rdd in made] + [await range_rdd(sc, end).collect()]

    one, other, up_to = on_serial(job)

    assert one == other
    assert [n for part in one for n in part] == list(range(start, end, step))
    assert up_to == list(range(end))


def test_a_huge_range_is_never_written_out(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, 10**12, num_slices=10**3).take(3)

    assert engine(job) == [0, 1, 2]


@pytest.mark.parametrize("wrong", [0, -2, 1.5, True])
def test_a_wrong_number_of_slices_is_refused(serial: Engine, wrong: Any) -> None:
    async def job(sc: JobRunner) -> None:
        with pytest.raises(ConfigurationError, match=r"num_slices = .*: a whole number of at least 1 is needed"):
            parallelize(sc, [1], wrong)

    serial(job)


def test_what_is_no_collection_is_refused(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        wrong: Any = 5
        with pytest.raises(TypeError, match="parallelize needs a collection, not 5"):
            parallelize(sc, wrong)
        with pytest.raises(TypeError, match="is an RDD already"):
            parallelize(sc, range_rdd(sc, 3))  # type: ignore[arg-type]  # what is tested
        with pytest.raises(PicklingError, match=r"\[1\]: generator cannot be pickled"):
            parallelize(sc, [0, iter(n for n in range(3))], 1)

    serial(job)


@given(TEXT, st.integers(1, 12), st.integers(1, 9))
def test_lines_are_whole_and_seen_once_wherever_files_are_cut(
    tmp_path_factory: pytest.TempPathFactory, text: str, parts: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "text"
    path.write_bytes(text.encode())
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    async def job(sc: JobRunner) -> Any:
        return await text_file(sc, path, parts).collect()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK_BYTES", block)
        assert on_serial(job) == (expected[:-1] if expected[-1] == "" else expected)


def test_lines_of_a_text_without_ends_in_blocks() -> None:
    assert split_lines("a\x0b\x0c\x85\u2028b\r\nc\rd\n\ne\n") == ["a\x0b\x0c\x85\u2028b", "c", "d", "", "e"]
    assert split_lines("") == []


def test_directories_globs_lists_and_gzip(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf3\n4")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "_SUCCESS").write_text("hidden")
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"5\r\n6\n"))

    async def job(sc: JobRunner) -> Any:
        paths: list[Any] = [
            tmp_path,
            f"{tmp_path}/*.txt",
            f"{tmp_path}/c.gz,{tmp_path}/a.txt",
            [tmp_path / "b.txt", tmp_path / "c.gz"],
            f"file://{tmp_path}/a.txt",
        ]
        return ["".join(await text_file(sc, path).collect()) for path in paths]

    assert engine(job) == ["123456", "1234", "5612", "3456", "12"]


@pytest.mark.parametrize(("encoding", "parts"), [("utf-16", 1), ("latin-1", 4)])
def test_other_encodings_are_cut_only_if_their_line_ends_can_be_found(
    serial: Engine, tmp_path: Path, encoding: str, parts: int
) -> None:
    (tmp_path / "text").write_text("é\nü\nö\nä\n", encoding)

    async def job(sc: JobRunner) -> Any:
        lines = text_file(sc, tmp_path / "text", 3, encoding)
        return await lines.collect(), lines.get_num_partitions()

    assert serial(job) == (["é", "ü", "ö", "ä"], parts)


def test_bytes_of_another_encoding_are_replaced_unless_told_otherwise(serial: Engine, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"caf\xe9\n")

    async def job(sc: JobRunner) -> Any:
        with pytest.raises(UnicodeDecodeError) as refusal:
            await text_file(sc, tmp_path, errors="strict").collect()
        assert f"in the file {str(tmp_path / 'text')!r}" in refusal.value.__notes__
        with pytest.raises(LookupError, match="unknown encoding: klingon"):
            text_file(sc, tmp_path, encoding="klingon")
        return await text_file(sc, tmp_path).collect()

    assert serial(job) == ["caf\ufffd"]


def test_large_files_are_cut_at_32_mebibytes_and_no_tiny_rest_is_left() -> None:
    node = TextFileNode(Origin(0, "text_file", "?"), (), 2, "utf-8", "replace")  # type: ignore[arg-type]  # an int

    assert list(node.cut(InputFile("x", 70 << 20), 32 << 20)) == [
        (0, 32 << 20),
        (32 << 20, 64 << 20),
        (64 << 20, 70 << 20),
    ]
    assert list(node.cut(InputFile("x", 66 << 20), 32 << 20)) == [(0, 32 << 20), (32 << 20, 66 << 20)]
    assert list(node.cut(InputFile("x.gz", 70 << 20), 32 << 20)) == [(0, -1)]


def test_odd_arguments_of_text_file_are_named(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        wrong: Any = 3
        with pytest.raises(ConfigurationError, match="min_partitions = 0: a whole number of at least 1 is needed"):
            text_file(sc, "x", 0)
        with pytest.raises(ConfigurationError, match="path = '': a path is needed"):
            text_file(sc, "")
        with pytest.raises(TypeError, match=r"path = 3: a str, an os.PathLike or a list of them is needed"):
            text_file(sc, wrong)

    serial(job)


def test_the_contexts_text_file_takes_lists_and_encodings(tmp_path: Path) -> None:
    (tmp_path / "a,b").write_text("é\n", "latin-1")

    async def job() -> Any:
        async with SparkContext("local[2]", conf=SparkConf({"minispark.executor.pool": "inline"})) as sc:
            lines = sc.text_file([tmp_path / "a,b", f"{tmp_path}/a,b"], encoding="latin-1", errors="strict")
            return await lines.collect()

    assert asyncio.run(job()) == ["é", "é"]


def test_files_are_listed_once_and_off_the_loop(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n2\n")

    class Recorder(SerialJobRunner):
        async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
            blocking.append(function.__name__)
            return await super().run_blocking(function, *args)

    async def job(sc: JobRunner) -> Any:
        lines = text_file(sc, tmp_path, 1)
        return await lines.map(int).sum(), await lines.count(), await lines.to_local_iterator().__anext__()

    blocking: list[str] = []
    assert run_virtual(job(Recorder())) == (3, 2, "1")
    assert blocking == ["find_partitions"]


def test_partitions_that_were_asked_for_stay_the_same(serial: Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n")

    async def job(sc: JobRunner) -> Any:
        lines = text_file(sc, tmp_path, 1)
        before = lines.get_num_partitions()
        (tmp_path / "b").write_text("2\n")
        return before, await lines.collect(), lines.get_num_partitions()

    assert serial(job) == (1, ["1"], 1)


def test_a_missing_path_is_named_when_the_first_action_needs_it(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> Any:
        return await text_file(sc, tmp_path / "nothing").count()

    with pytest.raises(InputNotFound, match=f"there is no file or directory '{tmp_path}/nothing'"):
        engine(job)


def test_records_may_be_what_only_closures_can_pickle(engine: Engine) -> None:
    class Local:
        size = 3

    async def job(sc: JobRunner) -> Any:
        functions = parallelize(sc, [lambda n: n + 1, len], 2)
        return await parallelize(sc, [Local()], 1).map(lambda one: one.size).collect(), await functions.count()

    assert engine(job) == ([3], 2)


def test_a_range_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="too many numbers"):
        range_rdd(SerialJobRunner(), 10**30)
