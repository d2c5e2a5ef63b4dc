from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from minispark.errors import PicklingError
from minispark.ids import TaskId
from minispark.shuffle.files import MapOutputFile, read_segment
from minispark.shuffle.pairs import load_pairs
from minispark.shuffle.writer import write_map_output
from tests.shuffle.outputs import SHUFFLE, dependency, session, task_memory


class Second:
    """Puts everything into partition 1 of 3."""

    num_partitions = 3

    def partition(self, key: Any) -> int:
        return 1

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        return [1] * len(keys)


def write(path: Path, records: Any, reducers: int = 2, **options: Any) -> tuple[list[int], int]:
    location = session(path / "session")
    output = partial(MapOutputFile, location.directory, SHUFFLE, TaskId(1), reducers)
    return write_map_output(dependency(reducers, **options), records, output, task_memory(location), compress=False)


def read(path: Path, reducer: int) -> list[tuple[Any, Any]]:
    batches = read_segment(str(path / "session"), SHUFFLE, TaskId(1), reducer)
    return [pair for data in batches for pair in zip(*load_pairs(data), strict=True)]


def test_pairs_go_to_the_partition_of_their_key_in_their_order(tmp_path: Path) -> None:
    lengths, count = write(tmp_path, ((number % 10, number) for number in range(100)))

    assert count == 100
    assert all(lengths)
    assert read(tmp_path, 1) == [(number % 10, number) for number in range(1, 100, 2)]


def test_partitions_without_a_pair_are_empty(tmp_path: Path) -> None:
    lengths, count = write(tmp_path, [("a", 1)], 3, partitioner=Second())

    assert count == 1
    assert [length > 0 for length in lengths] == [False, True, False]


def test_no_record_at_all_is_an_output_of_empty_partitions(tmp_path: Path) -> None:
    assert write(tmp_path, []) == ([0, 0], 0)


def test_pairs_may_be_of_any_type_with_two_parts(tmp_path: Path) -> None:
    write(tmp_path, [["a", 1], "bc"], 1)

    assert read(tmp_path, 0) == [("a", 1), ("b", "c")]


@pytest.mark.parametrize("record", [7, (1, 2, 3), (1,), None])
def test_a_record_that_is_no_pair_is_a_clear_error(tmp_path: Path, record: Any) -> None:
    with pytest.raises(TypeError, match=r"are \(key, value\) pairs; one is ") as raised:
        write(tmp_path, [("a", 1), record])

    assert repr(record) in str(raised.value)


def test_a_key_that_cannot_be_hashed_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="list"):
        write(tmp_path, [([1], 1)])


def test_what_the_parent_raises_passes_through_and_leaves_no_file(tmp_path: Path) -> None:
    def records() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path, records())

    assert list((tmp_path / "session" / "shuffle").iterdir()) == []


def test_a_value_that_cannot_be_pickled_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PicklingError):
        write(tmp_path, [("a", lambda: 1)])


def test_the_fallback_pickles_what_the_c_pickler_cannot(tmp_path: Path) -> None:
    location = session(tmp_path / "session")
    output = partial(MapOutputFile, location.directory, SHUFFLE, TaskId(1), 1)
    memory = task_memory(location)
    write_map_output(dependency(1), [("a", lambda: 41)], output, memory, compress=False, fallback=cloudpickle.dumps)

    assert read(tmp_path, 0)[0][1]() == 41
