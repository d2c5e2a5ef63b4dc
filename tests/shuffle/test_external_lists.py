"""Lists on disk: what stands for a group that is too large."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from minispark.rdd.aggregator import CoGroupAggregator, ListAggregator, ReduceAggregator
from minispark.shuffle.external_lists import LONG, DiskList, ListsOnDisk, in_parts
from minispark.shuffle.task_memory import TaskMemory
from tests.shuffle.outputs import session, task_memory

LISTS: ListAggregator[Any] = ListAggregator()


@pytest.fixture
def memory(tmp_path: Path) -> TaskMemory:
    return task_memory(session(tmp_path))


def moved(memory: TaskMemory) -> DiskList:
    lists = ListsOnDisk(memory, LISTS)
    groups: dict[str, list[int]] = {"a": list(range(3000)), "b": [1]}
    lists.move(groups)
    assert groups == {"a": [], "b": [1]}
    groups["a"].append(3000)
    found = dict(lists.whole(groups))
    assert found["b"] == [1]
    return found["a"]  # type: ignore[no-any-return]


def test_a_list_on_disk_is_sized_iterable_and_says_what_it_is(memory: TaskMemory) -> None:
    values = moved(memory)

    assert list(values) == list(values) == list(range(3001))
    assert len(values) == 3001
    assert repr(values) == "<3001 values on disk>"


def test_two_readers_of_a_list_on_disk_do_not_disturb_each_other(memory: TaskMemory) -> None:
    values = moved(memory)
    first = iter(values)
    next(first)

    assert next(iter(values)) == 0
    assert next(first) == 1


def test_pickled_it_is_a_list(memory: TaskMemory) -> None:
    assert pickle.loads(pickle.dumps(moved(memory))) == list(range(3001))


def test_the_lists_of_a_cogroup_move_one_by_one(memory: TaskMemory) -> None:
    aggregator = CoGroupAggregator(2)
    lists = ListsOnDisk(memory, aggregator)
    groups = {1: ([*range(100)], ["x"]), 2: ([], [5])}

    lists.move(groups)

    found = dict(lists.whole(groups))
    left, right = found[1]
    assert isinstance(left, DiskList)
    assert (list(left), right) == ([*range(100)], ["x"])
    assert found[2] == ([], [5])


def test_long_lists_are_written_in_parts_and_short_ones_as_they_are() -> None:
    groups = {"a": [1, 2], "b": list(range(2 * LONG + 1))}

    keys, parts = map(list, in_parts(LISTS, groups))

    assert keys == ["a", "b", "b", "b"]
    assert [value for part in parts[1:] for value in part] == groups["b"]
    assert list(in_parts(LISTS, {"a": [1]})[1]) == [[1]]
    assert list(in_parts(ReduceAggregator(max), {"a": 1})[1]) == [1]


def test_groups_of_a_cogroup_are_parted_with_all_their_lists() -> None:
    aggregator = CoGroupAggregator(2)
    keys, parts = in_parts(aggregator, {"a": (list(range(LONG + 1)), ["x"])})

    combined: dict[Any, Any] = {}
    aggregator.combine_combiners(zip(keys, parts, strict=True), combined)

    assert combined == {"a": (list(range(LONG + 1)), ["x"])}
