"""Nodes whose partitions need few partitions of their parents: map, filter, union, coalesce …

They compose C iterators, so that no Python frame runs per record but the user's own function. Made by the RDD's
methods, computed in runners. Must not start jobs.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count, takewhile, tee
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from minispark.messages.scheduler import pack_integers
from minispark.messages.task import NarrowDependency
from minispark.rdd.dependency import Narrow
from minispark.rdd.node import Node, Origin, Partition, locations_of
from minispark.rdd.partitioner import Partitioner
from minispark.rdd.ports import TaskContext

__all__ = [
    "CoalescedNode",
    "FilterNode",
    "FlatMapNode",
    "FlatMapValuesNode",
    "GroupPartition",
    "GroupedNode",
    "KeyByNode",
    "MapNode",
    "MapPartitionsNode",
    "MapValuesNode",
    "OneToOneNode",
    "PartitionerAwareUnionNode",
    "UnionNode",
    "ZipWithIndexNode",
    "flatten_iterators",
]

LIST_ITERATOR: Final[type[Any]] = type(iter([]))
LET_GO: Final = 2  # parts of what a list's iterator is pickled as after its end; before, its place is a third

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")

Ended = Callable[[], bool]
Pipeline = tuple[Node[Any], Sequence["OneToOneNode[Any, Any]"]]


class OneToOneNode(Node[U], Generic[T, U]):
    """A node each of whose partitions is made of the same one of its only parent.

    Args:
        origin: where it comes from.
        parent: its parent.
        keeps_partitioner: whether keys stay as and where they are.

    Attributes:
        calls_per_record: whether `transform` hands the user's function to a C iterator, which would take the
            function's StopIteration for the end of the records.
    """

    calls_per_record = True

    def __init__(self, origin: Origin, parent: Node[T], keeps_partitioner: bool = False) -> None:
        super().__init__(*origin, (Narrow(parent),), parent.partitioner if keeps_partitioner else None)
        self._above: Pipeline | None = None  # found once per runner; without self, or the two would be a cycle

    @property
    def parent(self) -> Node[T]:
        """The only parent."""
        return self.dependencies[0].node

    def find_partitions(self) -> Sequence[Partition]:
        """Return the parent's partitions."""
        return self.parent.partitions()

    def member(self, partition: Partition) -> tuple[Node[Any], Partition]:
        """Return the parent with its partition."""
        return self.parent, partition

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[U]:
        """Turn the parent's records into this node's; what a subclass implements."""
        raise NotImplementedError

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[U]:
        """Yield the records of a partition: the source's through all transformations between, without recursion."""
        if self._above is None:
            self._above = steps_above(self)
        source, steps = self._above
        records: Iterator[Any] = source.iterator(partition, context)
        source_ended: Ended | None = None  # known while a run of guarded steps is open
        for step in (*steps, self):
            if step.calls_per_record:
                if source_ended is None:
                    records, source_ended = with_known_end(records)
            elif source_ended is not None:
                records = chain(records, check_end(source_ended, step.parent))
                source_ended = None
            records = step.transform(records, partition, context)
        return records if source_ended is None else chain(records, check_end(source_ended, self))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_above": None}


def steps_above(node: OneToOneNode[Any, Any]) -> Pipeline:
    """Return where a chain of one-to-one nodes begins, and those between that and the node, first to last."""
    source: Node[Any] = node.parent
    steps = []
    while isinstance(source, OneToOneNode) and not source.is_cached:
        steps.append(source)
        source = source.parent
    return source, steps[::-1]


# A user's function that raises StopIteration (a bare `next(...)`) inside `map` or `filter` would silently end the
# partition. So a run of such steps gets a note behind its source's last record and a check behind its own last one:
# 3 to 5 ns a record, where a Python frame around the function costs 40.


def with_known_end(records: Iterator[T]) -> tuple[Iterator[T], Ended]:
    """Return records, and what tells whether all were taken, and the end seen."""
    if type(records) is LIST_ITERATOR:  # of a persisted partition, in loops over little: it tells itself
        return records, lambda: len(records.__reduce__()) == LET_GO
    source_ended: list[bool] = []
    return chain(records, note_end(source_ended)), lambda: bool(source_ended)


def note_end(source_ended: list[bool]) -> Iterator[Any]:
    """Yield nothing, but note that the records before were all taken."""
    source_ended.append(True)
    yield from ()


def check_end(source_ended: Ended, last: Node[Any]) -> Iterator[Any]:
    """Yield nothing, but raise if the steps ended although their source had not."""
    if not source_ended():
        assert isinstance(last, OneToOneNode)
        run = takewhile(lambda step: step.calls_per_record, (last, *reversed(steps_above(last)[1])))
        names = ", ".join(reversed([repr(step) for step in run]))
        raise RuntimeError(
            f"a function raised StopIteration, in one of: {names}; that would end the partition early and lose"
            " records without a word: give next() a default, or catch StopIteration"
        )
    yield from ()


class MapNode(OneToOneNode[T, U]):
    """`function(record)` for each record.

    Args:
        function: the user's, or one of ours that is safe.
        is_safe: the function cannot raise StopIteration.
    """

    def __init__(
        self,
        origin: Origin,
        parent: Node[T],
        function: Callable[[T], U],
        keeps_partitioner: bool = False,
        is_safe: bool = False,
    ) -> None:
        super().__init__(origin, parent, keeps_partitioner)
        self.function = function
        self.calls_per_record = not is_safe

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[U]:
        """Map."""
        return map(self.function, records)


class FilterNode(OneToOneNode[T, T]):
    """The records of which the function is true; keys stay where they are."""

    def __init__(self, origin: Origin, parent: Node[T], function: Callable[[T], object]) -> None:
        super().__init__(origin, parent, keeps_partitioner=True)
        self.function = function

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[T]:
        """Filter."""
        return filter(self.function, records)


class FlatMapNode(OneToOneNode[T, U]):
    """The elements of `function(record)` for each record."""

    def __init__(
        self,
        origin: Origin,
        parent: Node[T],
        function: Callable[[T], Iterable[U]],
        keeps_partitioner: bool = False,
    ) -> None:
        super().__init__(origin, parent, keeps_partitioner)
        self.function = function

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[U]:
        """Map and flatten."""
        return chain.from_iterable(map(self.function, records))


class KeyByNode(OneToOneNode[T, tuple[K, T]]):
    """(`function(record)`, record) for each record."""

    def __init__(self, origin: Origin, parent: Node[T], function: Callable[[T], K]) -> None:
        super().__init__(origin, parent)
        self.function = function

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[tuple[K, T]]:
        """Pair each record with its key."""
        left, right = tee(records)
        return zip(map(self.function, left), right, strict=False)


class MapValuesNode(OneToOneNode[tuple[K, V], tuple[K, U]]):
    """(key, `function(value)`) for each pair; keys stay where they are."""

    def __init__(self, origin: Origin, parent: Node[tuple[K, V]], function: Callable[[V], U]) -> None:
        super().__init__(origin, parent, keeps_partitioner=True)
        self.function = function

    def transform(
        self, records: Iterator[tuple[K, V]], partition: Partition, context: TaskContext
    ) -> Iterator[tuple[K, U]]:
        """Map the values."""
        # 75 ns a pair with a lambda, against 104 for a generator expression and 130 for starmap: tee, zip and
        # itemgetter run without a frame, and the two sides of the tee stay in step, so it holds one block.
        left, right = tee(records)
        return zip(map(itemgetter(0), left), map(self.function, map(itemgetter(1), right)), strict=False)


class FlatMapValuesNode(OneToOneNode[tuple[K, V], tuple[K, U]]):
    """(key, element) for each element of `function(value)` of each pair; keys stay where they are."""

    calls_per_record = False  # the generator turns StopIteration into RuntimeError by itself

    def __init__(self, origin: Origin, parent: Node[tuple[K, V]], function: Callable[[V], Iterable[U]]) -> None:
        super().__init__(origin, parent, keeps_partitioner=True)
        self.function = function

    def transform(
        self, records: Iterator[tuple[K, V]], partition: Partition, context: TaskContext
    ) -> Iterator[tuple[K, U]]:
        """Map the values and flatten."""
        function = self.function
        return ((key, element) for key, value in records for element in function(value))


class MapPartitionsNode(OneToOneNode[T, U]):
    """What `function(index, records)` returns, called once per partition."""

    calls_per_record = False

    def __init__(
        self,
        origin: Origin,
        parent: Node[T],
        function: Callable[[int, Iterator[T]], Iterable[U]],
        keeps_partitioner: bool = False,
        is_order_sensitive: bool = False,
    ) -> None:
        super().__init__(origin, parent, keeps_partitioner)
        self.function = function
        self.is_order_sensitive = is_order_sensitive

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[U]:
        """Hand the partition to the function."""
        # A union's or coalesced partition keeps its own index: the one the user counts by.
        result: Any = self.function(partition.index, records)
        if not isinstance(result, Iterable):
            kind = type(result).__qualname__
            raise TypeError(f"the function of {self!r} must return an iterable of records, and returned {kind}")
        return iter(result)


class ZipWithIndexNode(OneToOneNode[T, tuple[T, int]]):
    """(record, its place in the RDD) for each record.

    Attributes:
        starts: the place of each partition's first record; a preparation that counts sets them.
    """

    calls_per_record = False
    is_order_sensitive = True

    def __init__(self, origin: Origin, parent: Node[T]) -> None:
        super().__init__(origin, parent)
        self.starts: Sequence[int] = (0,)

    def transform(self, records: Iterator[T], partition: Partition, context: TaskContext) -> Iterator[tuple[T, int]]:
        """Number the records."""
        return zip(records, count(self.starts[partition.index]), strict=False)


class UnionPartition(Partition):
    """A partition of a union: one of one parent."""

    __slots__ = ("parent", "partition")

    def __init__(self, index: int, parent: int, partition: Partition) -> None:
        super().__init__(index)
        self.parent = parent
        self.partition = partition


def parent_of(partition: Partition) -> int:
    """Return the place of the parent that a union's partition is of."""
    assert isinstance(partition, UnionPartition)
    return partition.parent


class UnionNode(Node[T]):
    """The partitions of all parents, one parent after another."""

    def __init__(self, origin: Origin, parents: Sequence[Node[T]]) -> None:
        super().__init__(*origin, [Narrow(parent) for parent in parents])

    def find_partitions(self) -> Sequence[Partition]:
        """Number the parents' partitions through."""
        pairs = (
            (place, partition)
            for place, dependency in enumerate(self.dependencies)
            for partition in dependency.node.partitions()
        )
        return [UnionPartition(index, *pair) for index, pair in enumerate(pairs)]

    def narrow_dependency(self, place: int) -> NarrowDependency:
        """Return how far a parent's numbers are shifted."""
        # The partitions know; adding up those of all parents before, for each parent, would take long for many.
        shift = bisect_left(self.partitions(), place, key=parent_of)
        return NarrowDependency(self.dependencies[place].node.rdd_id, shift=shift)

    def member(self, partition: Partition) -> tuple[Node[Any], Partition]:
        """Return the parent with its partition."""
        assert isinstance(partition, UnionPartition)
        return self.dependencies[partition.parent].node, partition.partition

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of the parent's partition."""
        assert isinstance(partition, UnionPartition)
        return self.dependencies[partition.parent].node.iterator(partition.partition, context)


class GroupPartition(Partition):
    """A partition that joins several: (parent, partition) of each."""

    __slots__ = ("members",)

    def __init__(self, index: int, members: Sequence[tuple[int, Partition]]) -> None:
        super().__init__(index)
        self.members = tuple(members)


class GroupedNode(Node[T]):
    """A node whose partitions are several of the parents', one after another."""

    prefers_as_parents = True

    def preferred_locations(self, partition: Partition) -> Sequence[str]:
        """Return the places that most of the members prefer, the commonest first."""
        assert isinstance(partition, GroupPartition)
        places = Counter(
            place
            for parent, member in partition.members
            for place in locations_of(self.dependencies[parent].node, member)
        )
        return [place for place, _ in places.most_common()]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of all members."""
        assert isinstance(partition, GroupPartition)
        return flatten_iterators(
            self.dependencies[parent].node.iterator(member, context) for parent, member in partition.members
        )


def flatten_iterators(iterators: Iterator[Iterator[T]]) -> Iterator[T]:
    """Yield the records of iterators that are opened one by one; a generator, so that StopIteration cannot hide."""
    return chain.from_iterable(iterators)


class PartitionerAwareUnionNode(GroupedNode[T]):
    """A union of parents with one partitioner, which it keeps: partition i holds the parents' partitions i."""

    def __init__(self, origin: Origin, parents: Sequence[Node[T]], partitioner: Partitioner) -> None:
        super().__init__(*origin, [Narrow(parent) for parent in parents], partitioner)

    def find_partitions(self) -> Sequence[Partition]:
        """Pair the parents' partitions."""
        columns = [dependency.node.partitions() for dependency in self.dependencies]
        return [
            GroupPartition(index, list(enumerate(members)))
            for index, members in enumerate(zip(*columns, strict=True))
        ]


class CoalescedNode(GroupedNode[T]):
    """Fewer partitions without a shuffle: neighbours are joined, as evenly as their number allows."""

    def __init__(self, origin: Origin, parent: Node[T], num_partitions: int) -> None:
        super().__init__(*origin, (Narrow(parent),))
        self.num_partitions = num_partitions

    def find_partitions(self) -> Sequence[Partition]:
        """Cut the parent's partitions into runs."""
        members = [(0, partition) for partition in self.dependencies[0].node.partitions()]
        total, parts = len(members), min(len(members), self.num_partitions)
        return [
            GroupPartition(index, members[index * total // parts : (index + 1) * total // parts])
            for index in range(parts)
        ]

    def narrow_dependency(self, place: int) -> NarrowDependency:
        """Return which partitions were joined."""
        total, parts = len(self.dependencies[place].node.partitions()), len(self.partitions())
        return NarrowDependency(
            self.dependencies[place].node.rdd_id,
            pack_integers([index * total // parts for index in range(parts + 1)] if parts else []),
            pack_integers(range(total)),
        )
