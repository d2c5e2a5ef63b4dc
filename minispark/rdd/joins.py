"""The RDD's methods that bring pairs of several RDDs together by key; lazy. All stand on `CoGroupedNode`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.rdd.face import Face, default_partitioner, nodes_of
from minispark.rdd.narrow import MapPartitionsNode
from minispark.rdd.node import Node
from minispark.rdd.shuffled import CoGroupedNode

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["JoinMethods"]

T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")

Groups = Iterator[tuple[K, tuple[list[Any], ...]]]


class JoinMethods(Face[T_co]):
    """cogroup and joins; an RDD that is partitioned as the result is read in place, without a shuffle."""

    def cogroup(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, W]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, tuple[list[V], list[W]]]]":
        """Return (key, (its values here, its values there)) for each key of either."""
        groups: Node[Any] = group(self, [other], num_partitions, "cogroup")
        return self.derive(groups)

    def group_with(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, Any]]", *others: "Face[tuple[K, Any]]"
    ) -> "RDD[tuple[K, tuple[list[Any], ...]]]":
        """Return (key, its values in each of the RDDs) for each key of any."""
        return self.derive(group(self, [other, *others], None, "group_with"))

    def join(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, W]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, tuple[V, W]]]":
        """Return (key, (value here, value there)) for each pair of values of a key of both."""
        return join(self, other, num_partitions, inner_pairs, "join")

    def left_outer_join(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, W]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, tuple[V, W | None]]]":
        """Join, and with None for keys that are only here."""
        return join(self, other, num_partitions, left_pairs, "left_outer_join")

    def right_outer_join(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, W]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, tuple[V | None, W]]]":
        """Join, and with None for keys that are only there."""
        return join(self, other, num_partitions, right_pairs, "right_outer_join")

    def full_outer_join(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, W]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, tuple[V | None, W | None]]]":
        """Join, and with None on the side where a key is missing."""
        return join(self, other, num_partitions, full_pairs, "full_outer_join")


def group(
    first: Face[tuple[K, Any]], others: Sequence[Face[tuple[K, Any]]], num_partitions: int | None, name: str
) -> CoGroupedNode[K]:
    """Return the node of groups."""
    nodes = nodes_of(name, first, others)
    partitioner = default_partitioner(first.context, nodes, num_partitions)
    return CoGroupedNode(first.origin(name), nodes, partitioner, first.context.new_shuffle_id)


def join(
    left: Face[tuple[K, Any]],
    right: Face[tuple[K, Any]],
    num_partitions: int | None,
    pairs: Callable[[int, Any], Iterable[Any]],
    name: str,
) -> "RDD[Any]":
    """Return the RDD of joined pairs."""
    groups = group(left, [right], num_partitions, name)
    return left.derive(MapPartitionsNode(left.origin(name), groups, pairs, keeps_partitioner=True))


# What tasks run: plain functions, so that they are pickled by name.

NOBODY = [None]  # stands for the values that an outer join does not find


def inner_pairs(index: int, groups: Groups[K]) -> Iterator[tuple[K, tuple[Any, Any]]]:
    """Pair the values of keys of both."""
    return ((key, (left, right)) for key, (lefts, rights) in groups for left in lefts for right in rights)


def left_pairs(index: int, groups: Groups[K]) -> Iterator[tuple[K, tuple[Any, Any]]]:
    """Pair the values of keys of the left."""
    return ((key, (left, right)) for key, (lefts, rights) in groups for left in lefts for right in rights or NOBODY)


def right_pairs(index: int, groups: Groups[K]) -> Iterator[tuple[K, tuple[Any, Any]]]:
    """Pair the values of keys of the right."""
    return ((key, (left, right)) for key, (lefts, rights) in groups for left in lefts or NOBODY for right in rights)


def full_pairs(index: int, groups: Groups[K]) -> Iterator[tuple[K, tuple[Any, Any]]]:
    """Pair the values of all keys."""
    return (
        (key, (left, right))
        for key, (lefts, rights) in groups
        for left in lefts or NOBODY
        for right in rights or NOBODY
    )
