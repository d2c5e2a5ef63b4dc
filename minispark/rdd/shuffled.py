"""Nodes that read a shuffle: the pairs of one, or the groups of several RDDs side by side. Computed in runners."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from minispark.ids import ShuffleId
from minispark.rdd.dependency import Dependency, Narrow, ShuffleDependency
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.partitioner import Partitioner
from minispark.rdd.ports import TaskContext

__all__ = ["CoGroupedNode", "ShuffledNode"]

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C")


class ShuffledNode(Node[tuple[K, C]], Generic[K, V, C]):
    """The pairs of a shuffle, combined if its dependency has an aggregator.

    Args:
        origin: where it comes from.
        dependency: the shuffle.
    """

    def __init__(self, origin: Origin, dependency: ShuffleDependency[K, V, C]) -> None:
        super().__init__(*origin, (dependency,), dependency.partitioner)

    def find_partitions(self) -> Sequence[Partition]:
        """Return one partition per reducer."""
        assert self.partitioner is not None
        return [Partition(index) for index in range(self.partitioner.num_partitions)]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[K, C]]:
        """Yield a reducer's pairs."""
        dependency: Any = self.dependencies[0]
        return context.shuffle.read(dependency, partition.index)


class CoGroupPartition(Partition):
    """A partition of a cogroup; `members` are the partitions of the parents that need no shuffle, by their place."""

    __slots__ = ("members",)

    def __init__(self, index: int, members: dict[int, Partition]) -> None:
        super().__init__(index)
        self.members = members


class CoGroupedNode(Node[tuple[K, tuple[list[Any], ...]]]):
    """For each key of any parent: (key, a list of its values per parent).

    A parent that is partitioned as the result is read in place, others through a shuffle.

    Args:
        origin: where it comes from.
        parents: RDDs of pairs.
        partitioner: places the keys.
        new_shuffle_id: numbers the shuffles.
    """

    def __init__(
        self,
        origin: Origin,
        parents: Sequence[Node[tuple[K, Any]]],
        partitioner: Partitioner,
        new_shuffle_id: Callable[[], ShuffleId],
    ) -> None:
        dependencies: list[Dependency] = [
            Narrow(parent)
            if parent.partitioner == partitioner
            else ShuffleDependency(new_shuffle_id(), parent, partitioner)
            for parent in parents
        ]
        super().__init__(*origin, dependencies, partitioner)

    def find_partitions(self) -> Sequence[Partition]:
        """Pair the parents' partitions that are read in place."""
        assert self.partitioner is not None
        in_place = [
            (place, dependency.node.partitions())
            for place, dependency in enumerate(self.dependencies)
            if isinstance(dependency, Narrow)
        ]
        indexes = range(self.partitioner.num_partitions)
        if not in_place:
            return [Partition(index) for index in indexes]
        return [
            CoGroupPartition(index, {place: partitions[index] for place, partitions in in_place}) for index in indexes
        ]

    def member(self, partition: Partition) -> tuple[Node[Any], Partition] | None:
        """Return the first parent that is read in place, with its partition."""
        if not isinstance(partition, CoGroupPartition):
            return None
        place, member = next(iter(partition.members.items()))
        return self.dependencies[place].node, member

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[K, tuple[list[Any], ...]]]:
        """Yield the groups."""
        groups: dict[K, tuple[list[Any], ...]] = {}
        get, places = groups.get, range(len(self.dependencies))
        for place in places:
            for key, value in self.read(place, partition, context):
                group = get(key)
                if group is None:
                    groups[key] = group = tuple([[] for _ in places])
                group[place].append(value)
        return iter(groups.items())

    def read(self, place: int, partition: Partition, context: TaskContext) -> Iterator[tuple[K, Any]]:
        """Yield one parent's pairs."""
        dependency = self.dependencies[place]
        if isinstance(dependency, ShuffleDependency):
            return context.shuffle.read(dependency, partition.index)
        assert isinstance(partition, CoGroupPartition)
        return dependency.node.iterator(partition.members[place], context)
