"""Narrow nodes: which partitions of the parents they take, where they like to run, how their steps are chained."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, cast

import pytest

from minispark.ids import RddId
from minispark.rdd import closures
from minispark.rdd.narrow import (
    CoalescedNode,
    FilterNode,
    FlatMapValuesNode,
    MapNode,
    MapPartitionsNode,
    MapValuesNode,
    OneToOneNode,
    PartitionerAwareUnionNode,
    UnionNode,
)
from minispark.rdd.node import Node, Origin, Partition, locations_of
from minispark.rdd.partitioner import HashPartitioner

NO_CONTEXT = cast(Any, None)


def origin(rdd_id: int) -> Origin:
    return Origin(RddId(rdd_id), "step", f"app.py:{rdd_id}")


class Letters(Node[str]):
    """Partition i holds the i-th word's letters and likes to be on the host of that name."""

    def __init__(self, *words: str, rdd_id: int = 0) -> None:
        super().__init__(*origin(rdd_id), partitioner=HashPartitioner(len(words)))
        self.words = words

    def find_partitions(self) -> Sequence[Partition]:
        return [Partition(index) for index in range(len(self.words))]

    def preferred_locations(self, partition: Partition) -> Sequence[str]:
        return [self.words[partition.index]]

    def compute(self, partition: Partition, context: Any) -> Iterator[str]:
        return iter(self.words[partition.index])


def records(node: Node[Any]) -> list[list[Any]]:
    """Compute all partitions, each pickled with the node as for a task."""
    found = []
    for partition in node.partitions():
        copy, mine = closures.loads(closures.dumps((node, partition)))
        found.append(list(copy.iterator(mine, NO_CONTEXT)))
    return found


def test_a_union_numbers_the_partitions_of_its_parents_through() -> None:
    node = UnionNode(origin(2), [Letters("ab", "c"), Letters("d", rdd_id=1)])

    assert records(node) == [["a", "b"], ["c"], ["d"]]
    assert [locations_of(node, partition) for partition in node.partitions()] == [["ab"], ["c"], ["d"]]
    assert node.partitioner is None


def test_a_union_of_equal_partitioners_pairs_partitions() -> None:
    node = PartitionerAwareUnionNode(origin(2), [Letters("ab", "c"), Letters("x", "c", rdd_id=1)], HashPartitioner(2))

    assert records(node) == [["a", "b", "x"], ["c", "c"]]
    assert locations_of(node, node.partitions()[1]) == ["c"]
    assert node.partitioner == HashPartitioner(2)


@pytest.mark.parametrize(
    ("count", "expected"), [(1, ["abcde"]), (2, ["ab", "cde"]), (5, list("abcde")), (9, list("abcde"))]
)
def test_coalescing_joins_neighbours(count: int, expected: list[str]) -> None:
    node = CoalescedNode(origin(1), Letters(*"abcde"), count)

    assert ["".join(part) for part in records(node)] == expected
    assert locations_of(node, node.partitions()[0]) == list(expected[0])


@pytest.mark.parametrize(
    ("make", "keeps"),
    [
        (lambda parent: MapNode(origin(1), parent, str.upper), False),
        (lambda parent: MapNode(origin(1), parent, str.upper, keeps_partitioner=True), True),
        (lambda parent: FilterNode(origin(1), parent, str.islower), True),
        (lambda parent: MapValuesNode(origin(1), parent, str.upper), True),
        (lambda parent: FlatMapValuesNode(origin(1), parent, list), True),
        (lambda parent: MapPartitionsNode(origin(1), parent, lambda index, records: records), False),
    ],
)
def test_who_keeps_keys_in_place_keeps_the_partitioner_and_all_keep_locations(make: Any, keeps: bool) -> None:
    parent = Letters("ab", "c")
    node = make(parent)

    assert node.partitioner == (parent.partitioner if keeps else None)
    assert locations_of(node, node.partitions()[1]) == ["c"]


def test_steps_are_chained_in_order_whatever_their_kind() -> None:
    up = MapNode(origin(1), Letters("abc", ""), ord)
    numbered = MapPartitionsNode(origin(2), up, lambda index, records: [(index, n) for n in records])
    odd = FilterNode(origin(3), numbered, lambda pair: pair[1] % 2)
    node = MapNode(origin(4), odd, itemgetter(1), is_safe=True)

    assert records(node) == [[97, 99], []]


def test_a_thousand_steps_are_computed_without_recursion() -> None:
    node: Node[Any] = MapNode(origin(1), Letters("a"), ord)
    for rdd_id in range(2, 1500):
        node = MapNode(origin(rdd_id), node, lambda n: n + 1)

    assert list(node.iterator(node.partitions()[0], NO_CONTEXT)) == [97 + 1498]


def test_stop_iteration_is_reported_with_the_steps_it_may_come_from() -> None:
    def stop(record: Any) -> Any:
        raise StopIteration

    first = MapPartitionsNode(origin(1), MapNode(origin(9), Letters("ab"), ord), lambda index, records: records)
    node = MapNode(origin(3), FilterNode(origin(2), first, stop), str)

    with pytest.raises(
        RuntimeError, match=r"in one of: step \[2\] at app.py:2, step \[3\] at app.py:3; that would end"
    ):
        records(node)


@pytest.mark.parametrize("stops_at", ["a", "b", "c"])
@pytest.mark.parametrize("source", [iter, lambda letters: map(str, letters)])
def test_stop_iteration_is_noticed_at_any_record_of_any_source(source: Any, stops_at: str) -> None:
    def stop(record: str) -> str:
        if record == stops_at:
            raise StopIteration
        return record

    letters = MapPartitionsNode(origin(1), Letters("a"), lambda index, records: source(["a", "b", "c"]))

    with pytest.raises(RuntimeError, match=r"in one of: step \[2\]"):
        records(MapNode(origin(2), letters, stop))


def test_a_step_says_that_it_must_be_written() -> None:
    node: OneToOneNode[str, str] = OneToOneNode(origin(1), Letters("a"))

    with pytest.raises(NotImplementedError):
        records(node)
