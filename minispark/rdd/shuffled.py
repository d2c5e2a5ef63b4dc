"""Nodes that read a shuffle, or do in place what follows one: combine, group, sort. Computed in runners."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from minispark.errors import ConfigurationError
from minispark.ids import ShuffleId
from minispark.rdd.aggregator import Aggregator, CoGroupAggregator
from minispark.rdd.dependency import Dependency, Narrow, ShuffleDependency
from minispark.rdd.narrow import OneToOneNode
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.partitioner import Partitioner
from minispark.rdd.ports import TaskContext

__all__ = ["CoGroupedNode", "CombinedNode", "RegroupedNode", "ShuffledNode", "SortedNode", "shuffle_of"]

T = TypeVar("T")
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


class CombinedNode(OneToOneNode[tuple[K, V], tuple[K, C]], Generic[K, V, C]):
    """The combined values of a parent each of whose partitions holds all pairs of its keys.

    Args:
        origin: where it comes from.
        parent: an RDD of pairs.
        aggregator: how values are combined.
    """

    calls_per_record = False

    def __init__(self, origin: Origin, parent: Node[tuple[K, V]], aggregator: Aggregator[V, C]) -> None:
        super().__init__(origin, parent, keeps_partitioner=True)
        self.aggregator = aggregator

    def transform(
        self, records: Iterator[tuple[K, V]], partition: Partition, context: TaskContext
    ) -> Iterator[tuple[K, C]]:
        """Combine a partition."""
        return context.shuffle.combined(self.aggregator, [(self.aggregator.combine_values, records)])


class SortedNode(OneToOneNode[T, T]):
    """The parent's records, each partition sorted.

    Args:
        origin: where it comes from.
        parent: its parent.
        key_of: what of a record is compared.
        ascending: the smallest first.
        keeps_partitioner: whether the parent's placing is worth something to what follows.
    """

    calls_per_record = False

    def __init__(
        self,
        origin: Origin,
        parent: Node[T],
        key_of: Callable[[T], Any],
        ascending: bool,
        keeps_partitioner: bool = False,
    ) -> None:
        super().__init__(origin, parent, keeps_partitioner)
        self.key_of = key_of
        self.ascending = ascending

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[T]:
        """Sort a partition."""
        return context.shuffle.in_order(records, self.key_of, reverse=not self.ascending)


class ReducersPartition(Partition):
    """A partition that holds several of a shuffle's, from `start` up to, without, `stop`."""

    __slots__ = ("start", "stop")

    def __init__(self, index: int, start: int, stop: int) -> None:
        super().__init__(index)
        self.start = start
        self.stop = stop


class RegroupedNode(Node[tuple[K, C]], Generic[K, V, C]):
    """The pairs of a shuffle, with other partitions than it was written for: each reads a range of them.

    Args:
        origin: where it comes from.
        dependency: the shuffle.
        starts: the first of the shuffle's partitions that each partition reads; it reads up to the next one's.
    """

    def __init__(self, origin: Origin, dependency: ShuffleDependency[K, V, C], starts: Sequence[int]) -> None:
        super().__init__(*origin, (dependency,))
        self.starts = tuple(starts)
        self.num_reducers = dependency.partitioner.num_partitions

    def find_partitions(self) -> Sequence[Partition]:
        """Return one partition per range."""
        stops = (*self.starts[1:], self.num_reducers)
        return [ReducersPartition(index, *ends) for index, ends in enumerate(zip(self.starts, stops, strict=True))]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[K, C]]:
        """Yield the pairs of several reducers."""
        assert isinstance(partition, ReducersPartition)
        dependency: Any = self.dependencies[0]
        return chain.from_iterable(
            context.shuffle.read(dependency, reducer) for reducer in range(partition.start, partition.stop)
        )


def shuffle_of(node: Node[Any]) -> ShuffleDependency[Any, Any, Any]:
    """Return the one shuffle that a node reads.

    Raises:
        ConfigurationError: it reads something else, or more.
    """
    match node.dependencies:
        case (ShuffleDependency() as dependency,):
            return dependency
        case _:
            raise ConfigurationError(
                f"{node!r} does not read one shuffle and nothing else, as partition_by's result does"
            )


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
        aggregator = CoGroupAggregator(len(self.dependencies))
        return context.shuffle.combined(
            aggregator,
            [
                (partial(aggregator.combine_parent, place), self.read(place, partition, context))
                for place in range(len(self.dependencies))
            ],
        )

    def read(self, place: int, partition: Partition, context: TaskContext) -> Iterator[tuple[K, Any]]:
        """Yield one parent's pairs."""
        dependency = self.dependencies[place]
        if isinstance(dependency, ShuffleDependency):
            return context.shuffle.read(dependency, partition.index)
        assert isinstance(partition, CoGroupPartition)
        return dependency.node.iterator(partition.members[place], context)
