"""Nodes that put the records of two RDDs together by their places: all pairs, or pairs of equal rank. In runners."""

from collections.abc import Iterator, Sequence
from itertools import product, repeat
from typing import Any, Final, TypeVar

from minispark.errors import ConfigurationError
from minispark.messages.scheduler import pack_integers
from minispark.messages.task import NarrowDependency
from minispark.rdd.dependency import Narrow
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.ports import TaskContext

__all__ = ["CartesianNode", "ZippedNode"]

T = TypeVar("T")
U = TypeVar("U")

MISSING: Final[Any] = object()


class PairPartition(Partition):
    """A partition made of one of each of two parents."""

    __slots__ = ("left", "right")

    def __init__(self, index: int, left: Partition, right: Partition) -> None:
        super().__init__(index)
        self.left = left
        self.right = right


class PairNode(Node[tuple[T, U]]):
    """A node of two parents that needs no shuffle.

    Args:
        origin: where it comes from.
        left: the first parent.
        right: the second; it may be the same node.
    """

    def __init__(self, origin: Origin, left: Node[T], right: Node[U]) -> None:
        super().__init__(*origin, (Narrow(left), Narrow(right)))

    def member(self, partition: Partition) -> tuple[Node[Any], Partition]:
        """Return the first parent with its partition."""
        assert isinstance(partition, PairPartition)
        return self.dependencies[0].node, partition.left


class CartesianNode(PairNode[T, U]):
    """Every record of one RDD with every record of another; a partition for each pair of partitions."""

    def find_partitions(self) -> Sequence[Partition]:
        """Pair each partition of the left with each of the right."""
        left, right = (dependency.node.partitions() for dependency in self.dependencies)
        return [PairPartition(index, *pair) for index, pair in enumerate(product(left, right))]

    def narrow_dependency(self, place: int) -> NarrowDependency:
        """Return which partition of a parent each pair has."""
        width = len(self.dependencies[1].node.partitions())
        count = len(self.partitions())
        if place == 0:
            needed = [index // width for index in range(count)]
        else:
            needed = [index % width for index in range(count)]
        starts = pack_integers(range(count + 1) if count else [])
        return NarrowDependency(self.dependencies[place].node.rdd_id, starts, pack_integers(needed))

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[T, U]]:
        """Yield the pairs; the right side is computed for each record of the left, and held if that is cheaper."""
        assert isinstance(partition, PairPartition)
        left = self.dependencies[0].node.iterator(partition.left, context)
        right: list[U] = list(self.dependencies[1].node.iterator(partition.right, context))
        return (pair for record in left for pair in zip(repeat(record), right, strict=False))


class ZippedNode(PairNode[T, U]):
    """The first record of one RDD with the first of another, and so on; both have as many in each partition."""

    is_order_sensitive = True

    def find_partitions(self) -> Sequence[Partition]:
        """Pair the partitions of equal numbers.

        Raises:
            ConfigurationError: the parents do not have as many.
        """
        left, right = (dependency.node.partitions() for dependency in self.dependencies)
        if len(left) != len(right):
            raise ConfigurationError(
                f"zip needs RDDs with as many partitions: {self.dependencies[0].node!r} has {len(left)}, and"
                f" {self.dependencies[1].node!r} has {len(right)}"
            )
        return [PairPartition(index, *pair) for index, pair in enumerate(zip(left, right, strict=True))]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[T, U]]:
        """Yield the pairs.

        Raises:
            ValueError: one side has more records.
        """
        assert isinstance(partition, PairPartition)
        left = self.dependencies[0].node.iterator(partition.left, context)
        right = self.dependencies[1].node.iterator(partition.right, context)
        for first in left:
            second = next(right, MISSING)
            if second is MISSING:
                break
            yield first, second
        else:
            if next(right, MISSING) is MISSING:
                return
        raise ValueError(
            f"zip needs as many records on both sides: partition {partition.index} of {self.dependencies[0].node!r}"
            f" and that of {self.dependencies[1].node!r} do not have as many"
        )
