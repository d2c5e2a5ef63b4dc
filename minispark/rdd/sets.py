"""The RDD's methods that compare or pair all records of two RDDs: intersection, subtract, cartesian, zip; lazy.

A part of `rdd.RDD`. Those that compare stand on `CoGroupedNode`, as joins do.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.rdd.face import Face, default_partitioner, nodes_of
from minispark.rdd.narrow import MapNode, MapPartitionsNode
from minispark.rdd.node import Node
from minispark.rdd.partitioner import portable_hash
from minispark.rdd.products import CartesianNode, ZippedNode
from minispark.rdd.shuffled import CoGroupedNode

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["SetMethods"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")

Groups = Iterator[tuple[Any, tuple[list[Any], ...]]]


class SetMethods(Face[T_co]):
    """intersection, subtract, subtract_by_key, cartesian, zip, zip_with_unique_id."""

    def intersection(self, other: "Face[Any]", num_partitions: int | None = None) -> "RDD[T_co]":
        """Return the records that both RDDs have, each once; records are compared as keys of a dict are."""
        return compared(self, other, num_partitions, keys_of_both, "intersection")

    def subtract(self, other: "Face[Any]", num_partitions: int | None = None) -> "RDD[T_co]":
        """Return the records that the other RDD does not have, duplicates included."""
        return compared(self, other, num_partitions, keys_of_left, "subtract")

    def subtract_by_key(
        self: "Face[tuple[K, V]]", other: "Face[tuple[K, Any]]", num_partitions: int | None = None
    ) -> "RDD[tuple[K, V]]":
        """Return the pairs whose key the other RDD does not have."""
        nodes = nodes_of("subtract_by_key", self, [other])
        partitioner = default_partitioner(self.context, nodes, num_partitions)
        groups = CoGroupedNode[Any](self.origin("subtract_by_key"), nodes, partitioner, self.context.new_shuffle_id)
        origin = self.origin("subtract_by_key")
        return self.derive(MapPartitionsNode(origin, groups, pairs_of_left, keeps_partitioner=True))

    def cartesian(self, other: "Face[U]") -> "RDD[tuple[T_co, U]]":
        """Return each record with each record of the other RDD, which may be this one.

        There is a partition for each pair of partitions. A task holds the other RDD's partition in memory.
        """
        left, right = nodes_of("cartesian", self, [other])
        node: Node[Any] = CartesianNode(self.origin("cartesian"), left, right)
        return self.derive(node)

    def zip(self, other: "Face[U]") -> "RDD[tuple[T_co, U]]":
        """Return the first record with the first of the other RDD, and so on.

        Raises:
            ConfigurationError: the RDDs do not have as many partitions. Later, a ValueError: two partitions do not
                have as many records.
        """
        left, right = nodes_of("zip", self, [other])
        node: Node[Any] = ZippedNode(self.origin("zip"), left, right)
        return self.derive(node)

    def zip_with_unique_id(self) -> "RDD[tuple[T_co, int]]":
        """Return (record, a number that no other one has), without a job.

        Of n partitions, number k gives its records k, k + n, k + 2 n and so on.
        """
        origin = self.origin("zip_with_unique_id")
        number = partial(number_in_steps, self.get_num_partitions())
        return self.derive(MapPartitionsNode(origin, self.node, number, is_order_sensitive=True))


def compared(
    first: Face[T],
    other: Face[Any],
    num_partitions: int | None,
    choose: Callable[[int, Groups], Iterator[tuple[T, None]]],
    name: str,
) -> "RDD[T]":
    """Return the RDD of those records that are chosen by how often either RDD has them."""
    nodes = nodes_of(name, first, [other])
    pairs = [MapPartitionsNode(first.origin(name), node, with_nothing) for node in nodes]
    partitioner = default_partitioner(first.context, pairs, num_partitions, portable_hash)
    groups = CoGroupedNode[Any](first.origin(name), pairs, partitioner, first.context.new_shuffle_id)
    chosen = MapPartitionsNode(first.origin(name), groups, choose, keeps_partitioner=True)
    return first.derive(MapNode(first.origin(name), chosen, itemgetter(0), is_safe=True))


# What tasks run: plain functions, so that they are pickled by name.


def with_nothing(index: int, records: Iterator[T]) -> Iterator[tuple[T, None]]:
    """Make each record a key."""
    return zip(records, repeat(None), strict=False)


def keys_of_both(index: int, groups: Groups) -> Iterator[tuple[Any, None]]:
    """Yield the keys of both sides, once each."""
    return ((key, None) for key, (lefts, rights) in groups if lefts and rights)


def keys_of_left(index: int, groups: Groups) -> Iterator[tuple[Any, None]]:
    """Yield the keys that only the left side has, as often as it has them."""
    return ((key, None) for key, (lefts, rights) in groups if not rights for _ in lefts)


def pairs_of_left(index: int, groups: Groups) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs whose keys only the left side has."""
    return ((key, value) for key, (lefts, rights) in groups if not rights for value in lefts)


def number_in_steps(step: int, index: int, records: Iterator[T]) -> Iterator[tuple[T, int]]:
    """Number a partition's records."""
    return zip(records, count(index, step), strict=False)
