"""Nodes that read shuffles: their partitions, and where a cogroup finds each side."""

from typing import Any

from minispark.ids import RddId, ShuffleId
from minispark.rdd.aggregator import ListAggregator
from minispark.rdd.dependency import Narrow, ShuffleDependency
from minispark.rdd.node import Node, Origin, Partition, locations_of
from minispark.rdd.partitioner import HashPartitioner
from minispark.rdd.shuffled import CoGroupedNode, CoGroupPartition, CombinedNode, ShuffledNode, SortedNode


class Placed(Node[tuple[str, int]]):
    """A parent whose partitions are on hosts h0, h1 …"""

    def find_partitions(self) -> list[Partition]:
        return [Partition(0), Partition(1)]

    def preferred_locations(self, partition: Partition) -> list[str]:
        return [f"h{partition.index}"]


def placed(rdd_id: int, partitioner: HashPartitioner | None) -> Placed:
    return Placed(RddId(rdd_id), "placed", "?", (), partitioner)


def cogroup(*parents: Node[Any]) -> CoGroupedNode[str]:
    return CoGroupedNode(Origin(RddId(9), "cogroup", "?"), parents, HashPartitioner(2), lambda: ShuffleId(4))


def test_a_shuffled_node_has_a_plain_partition_per_reducer() -> None:
    shuffle: ShuffleDependency[str, int, int] = ShuffleDependency(ShuffleId(0), placed(0, None), HashPartitioner(3))
    node = ShuffledNode(Origin(RddId(1), "partition_by", "?"), shuffle)

    assert [(type(partition), partition.index) for partition in node.partitions()] == [
        (Partition, n) for n in range(3)
    ]
    assert node.partitioner == HashPartitioner(3)


def test_a_cogroup_shuffles_only_the_sides_that_are_placed_otherwise() -> None:
    node = cogroup(placed(0, HashPartitioner(2)), placed(1, HashPartitioner(3)), placed(2, None))

    assert [type(dependency) for dependency in node.dependencies] == [Narrow, ShuffleDependency, ShuffleDependency]
    second = node.partitions()[1]
    assert isinstance(second, CoGroupPartition)
    assert {place: member.index for place, member in second.members.items()} == {0: 1}
    assert locations_of(node, second) == ["h1"]


def test_a_cogroup_of_shuffles_alone_has_plain_partitions_anywhere() -> None:
    node = cogroup(placed(0, None))

    assert [type(partition) for partition in node.partitions()] == [Partition, Partition]
    assert locations_of(node, node.partitions()[0]) == ()


def test_sorting_and_combining_in_place_read_the_same_partition_of_their_parent() -> None:
    parent = placed(0, HashPartitioner(2))
    ordered: SortedNode[Any] = SortedNode(Origin(RddId(1), "sort_by", "?"), parent, str, ascending=True)
    combined: CombinedNode[Any, Any, Any] = CombinedNode(
        Origin(RddId(2), "group_by_key", "?"), parent, ListAggregator()
    )

    assert len(ordered.partitions()) == len(combined.partitions()) == 2
    assert ordered.partitioner is None
    assert combined.partitioner == HashPartitioner(2)
