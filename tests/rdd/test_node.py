"""Nodes: found partitions, walks and pickles that do not recurse."""

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from minispark.ids import RddId, ShuffleId
from minispark.rdd.dependency import Dependency, Narrow, ShuffleDependency
from minispark.rdd.node import Node, Partition, parents_first
from minispark.rdd.partitioner import HashPartitioner

DEEP = 5000


class Link(Node[int]):
    """A node that only hangs on others; counts how often its partitions were found."""

    def __init__(self, rdd_id: int, *parents: Node[Any], through: type[Dependency] = Narrow) -> None:
        dependencies = [
            Narrow(parent) if through is Narrow else ShuffleDependency(ShuffleId(rdd_id), parent, HashPartitioner(2))
            for parent in parents
        ]
        super().__init__(RddId(rdd_id), "link", "app.py:1", dependencies)
        self.found = 0

    def find_partitions(self) -> Sequence[Partition]:
        self.found += 1
        return [Partition(0)]

    def compute(self, partition: Partition, context: Any) -> Iterator[int]:
        return iter([self.rdd_id])


def chain_of(length: int) -> Link:
    node = Link(0)
    for rdd_id in range(1, length):
        node = Link(rdd_id, node)
    return node


def test_a_walk_gives_parents_first_and_each_once() -> None:
    top = Link(0)
    left, right = Link(1, top), Link(2, top)

    assert [node.rdd_id for node in parents_first(Link(3, left, right))] == [0, 1, 2, 3]


def test_partitions_are_found_once_in_any_depth() -> None:
    last = chain_of(DEEP)

    assert len(last.partitions()) == len(last.partitions()) == 1
    assert {node.found for node in parents_first(last) if isinstance(node, Link)} == {1}


def test_a_pickled_node_brings_its_stage_and_nothing_from_before() -> None:
    before = Link(0)
    top = Link(1, before, through=ShuffleDependency)
    last = Link(4, Link(2, top), Link(3, top))
    last.partitions()

    copy = pickle.loads(pickle.dumps(last))

    nodes = parents_first(copy, lambda node: (d.node for d in node.dependencies if isinstance(d, Narrow)))
    assert [node.rdd_id for node in nodes] == [1, 2, 3, 4]
    assert copy.dependencies[0].node.dependencies[0].node is copy.dependencies[1].node.dependencies[0].node
    assert not hasattr(nodes[0].dependencies[0], "node")
    assert copy._partitions is None
    assert list(copy.iterator(Partition(0), None)) == [4]


def test_deep_lineages_are_pickled_without_recursion() -> None:
    copy = pickle.loads(pickle.dumps(chain_of(DEEP)))

    assert len(parents_first(copy)) == DEEP


def test_a_plain_node_cannot_be_computed() -> None:
    node: Node[int] = Node(RddId(1), "map", "app.py:3")

    with pytest.raises(NotImplementedError):
        node.partitions()
    with pytest.raises(NotImplementedError):
        node.iterator(Partition(0), None)  # type: ignore[arg-type]  # it gets nowhere
    assert node.preferred_locations(Partition(0)) == ()
    assert repr(node) == "map [1] at app.py:3"
