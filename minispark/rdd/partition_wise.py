"""The RDD's methods that take whole partitions of RDDs, and their nodes: zip_partitions, prune_partitions; lazy.

A part of `rdd.RDD`. Which partitions there are is found in the driver, records only in runners.
Source: Spark's ZippedPartitionsRDD and PartitionPruningRDD.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.errors import ConfigurationError
from minispark.messages.scheduler import pack_integers
from minispark.messages.task import NarrowDependency
from minispark.rdd.arguments import check_callable
from minispark.rdd.dependency import Narrow
from minispark.rdd.face import Face, nodes_of
from minispark.rdd.narrow import GroupedNode, GroupPartition
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.ports import TaskContext

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["PartitionWiseMethods", "PrunedNode", "ZippedPartitionsNode"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


class PartitionWiseMethods(Face[T_co]):
    """zip_partitions, prune_partitions."""

    def zip_partitions(
        self, function: Callable[..., Iterable[U]], *others: "Face[Any]", preserves_partitioning: bool = False
    ) -> "RDD[U]":
        """Return the records of `function(records, …)`, called once for the partitions of equal number of all RDDs.

        Args:
            function: gets an iterator for this RDD and one for each other; they may be of any lengths.
            others: RDDs with as many partitions as this one.
            preserves_partitioning: whether keys stay as and where they are in this RDD.

        Raises:
            TypeError: the function cannot be called, or something is no RDD.
            ConfigurationError: the RDDs do not have as many partitions; the first action says so.
        """
        check_callable("zip_partitions", function)
        nodes = nodes_of("zip_partitions", self, others)
        origin = self.origin("zip_partitions")
        return self.derive(ZippedPartitionsNode(origin, nodes, function, preserves_partitioning))

    def prune_partitions(self, keep: Callable[[int], object]) -> "RDD[T_co]":
        """Return the records of those partitions of whose number the function is true; no others are computed.

        With a partitioner of one's own one knows where keys are, and jobs over few of them need few tasks.

        Args:
            keep: called in the driver, once with the number of each partition.
        """
        check_callable("prune_partitions", keep)
        return self.derive(PrunedNode(self.origin("prune_partitions"), self.node, keep))


class ZippedPartitionsNode(GroupedNode[U]):
    """What a function makes of the partitions of equal number of several parents.

    Args:
        origin: where it comes from.
        parents: with as many partitions each; one may be there twice.
        function: gets an iterator of each.
        keeps_partitioner: whether keys stay as and where they are in the first parent.
    """

    is_order_sensitive = True

    def __init__(
        self,
        origin: Origin,
        parents: Sequence[Node[Any]],
        function: Callable[..., Iterable[U]],
        keeps_partitioner: bool = False,
    ) -> None:
        partitioner = parents[0].partitioner if keeps_partitioner else None
        super().__init__(*origin, [Narrow(parent) for parent in parents], partitioner)
        self.function = function

    def find_partitions(self) -> Sequence[Partition]:
        """Put the parents' partitions of equal numbers together.

        Raises:
            ConfigurationError: the parents do not have as many.
        """
        columns = [dependency.node.partitions() for dependency in self.dependencies]
        if len({len(column) for column in columns}) > 1:
            counts = ", ".join(
                f"{dependency.node!r} has {len(column)}"
                for dependency, column in zip(self.dependencies, columns, strict=True)
            )
            raise ConfigurationError(f"zip_partitions needs RDDs with as many partitions: {counts}")
        return [
            GroupPartition(index, list(enumerate(members)))
            for index, members in enumerate(zip(*columns, strict=True))
        ]

    def member(self, partition: Partition) -> tuple[Node[Any], Partition]:
        """Return the first parent with its partition."""
        assert isinstance(partition, GroupPartition)
        return self.dependencies[0].node, partition.members[0][1]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[U]:
        """Hand the partitions to the function.

        Raises:
            TypeError: what it returns is no iterable.
        """
        assert isinstance(partition, GroupPartition)
        sides = [self.dependencies[parent].node.iterator(member, context) for parent, member in partition.members]
        result: Any = self.function(*sides)
        if not isinstance(result, Iterable):
            kind = type(result).__qualname__
            raise TypeError(f"the function of {self!r} must return an iterable of records, and returned {kind}")
        return iter(result)


class PrunedPartition(Partition):
    """A partition that was kept: one of the parent, under a new number."""

    __slots__ = ("kept",)

    def __init__(self, index: int, kept: Partition) -> None:
        super().__init__(index)
        self.kept = kept


class PrunedNode(Node[T]):
    """Some partitions of a parent.

    Args:
        origin: where it comes from.
        parent: the only parent.
        keep: tells by its number whether a partition is kept; called in the driver.
    """

    def __init__(self, origin: Origin, parent: Node[T], keep: Callable[[int], object]) -> None:
        super().__init__(*origin, (Narrow(parent),))
        self.keep: Callable[[int], object] | None = keep

    def find_partitions(self) -> Sequence[Partition]:
        """Number the partitions that are kept."""
        assert self.keep is not None
        kept = [partition for partition in self.dependencies[0].node.partitions() if self.keep(partition.index)]
        return [PrunedPartition(index, partition) for index, partition in enumerate(kept)]

    def narrow_dependency(self, place: int) -> NarrowDependency:
        """Return which of the parent's partitions each is."""
        kept = [self.member(partition)[1].index for partition in self.partitions()]
        starts = pack_integers(range(len(kept) + 1) if kept else [])
        return NarrowDependency(self.dependencies[place].node.rdd_id, starts, pack_integers(kept))

    def member(self, partition: Partition) -> tuple[Node[T], Partition]:
        """Return the parent with its partition."""
        assert isinstance(partition, PrunedPartition)
        return self.dependencies[0].node, partition.kept

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of the parent's partition."""
        parent, kept = self.member(partition)
        return parent.iterator(kept, context)

    def __getstate__(self) -> dict[str, Any]:
        # Tasks do not choose: the function may hold what only the driver has.
        return super().__getstate__() | {"keep": None}
