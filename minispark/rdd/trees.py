"""The RDD's actions that merge in tasks what others send to the driver: for results that are large, or many.

A part of `rdd.RDD`. Partial results are merged by shuffles, level by level, until few are left. Source: treeReduce
and treeAggregate of Spark's RDD.
"""

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.actions import aggregate_records, reduce_records
from minispark.rdd.aggregator import ReduceAggregator
from minispark.rdd.arguments import check_callable, check_size
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.face import Face
from minispark.rdd.merging import merged_by_key, reduced

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["TreeMethods"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")


class TreeMethods(Face[T_co]):
    """tree_reduce, tree_aggregate, reduce_by_key_locally."""

    async def tree_reduce(self, function: Callable[[T_co, T_co], T_co], depth: int = 2) -> T_co:
        """Return all records merged by an associative and commutative function, as `reduce` does.

        Args:
            function: merges two.
            depth: how many levels of merging there are; the last is the driver's.

        Raises:
            ConfigurationError: the depth is not a whole number of at least 1.
            ValueError: there is no record.
        """
        check_callable("tree_reduce", function)
        await self.prepare()
        parts = merged_in_levels(self, partial(reduce_part, function), partial(merge_lists, function), depth)
        with DriverSide("tree_reduce", self.node):
            found = [record for records in await parts.collect() for record in records]
            if found:
                return await reduced(function, found)
        raise ValueError(f"RDD {self.node!r} is empty: tree_reduce needs at least one record")

    async def tree_aggregate(
        self,
        zero: U,
        merge_value: Callable[[U, T_co], U],
        merge_combined: Callable[[U, U], U],
        depth: int = 2,
    ) -> U:
        """Return all records aggregated, starting from a copy of zero in each partition and once more at the end.

        Args:
            zero: neutral for both functions.
            merge_value: adds a record.
            merge_combined: merges two values.
            depth: how many levels of merging there are; the last is the driver's.

        Raises:
            ConfigurationError: the depth is not a whole number of at least 1.
        """
        check_callable("tree_aggregate", merge_value)
        check_callable("tree_aggregate", merge_combined)
        await self.prepare()
        parts = merged_in_levels(self, partial(aggregate_part, zero, merge_value), merge_combined, depth)
        with DriverSide("tree_aggregate", self.node):
            return await reduced(merge_combined, [copy.deepcopy(zero), *await parts.collect()])

    async def reduce_by_key_locally(self: "Face[tuple[K, V]]", function: Callable[[V, V], V]) -> dict[K, V]:
        """Return a dict of each key's values, merged by an associative and commutative function; no shuffle."""
        check_callable("reduce_by_key_locally", function)
        with DriverSide("reduce_by_key_locally", self.node):
            return await merged_by_key(function, await self.run(partial(combine_pairs, function), None))


def merged_in_levels(
    face: Face[Any], of_partition: Callable[[int, Iterator[Any]], list[U]], merge: Callable[[U, U], U], depth: int
) -> "RDD[U]":
    """Return the RDD of few values, each merged of those of many partitions."""
    if check_size("depth", depth) < 1:
        raise ConfigurationError(f"depth = {depth!r}: a whole number of at least 1 is needed")
    rdd: RDD[Any] = face.derive(face.node)
    values = rdd.map_partitions_with_index(of_partition)
    count = rdd.get_num_partitions()
    scale = max(math.ceil(count ** (1 / depth)), 2)
    # Another level must leave fewer than it merges; a shuffle for little is not worth it.
    while count > scale + math.ceil(count / scale):
        count //= scale
        keyed = values.map_partitions_with_index(partial(with_target, count))
        values = keyed.reduce_by_key(merge, count).values()
    return values


# What tasks run: plain functions, so that they are pickled by name.


def reduce_part(function: Callable[[T, T], T], index: int, records: Iterator[T]) -> list[list[T]]:
    """Return a partition's records merged, as a list of none or one."""
    return [reduce_records(function, None, records)]  # type: ignore[arg-type]  # it does not look at its task


def aggregate_part(zero: U, function: Callable[[U, T], U], index: int, records: Iterator[T]) -> list[U]:
    """Return a partition's records aggregated."""
    return [aggregate_records(zero, function, None, records)]  # type: ignore[arg-type]  # it does not look at its task


def merge_lists(function: Callable[[T, T], T], left: list[T], right: list[T]) -> list[T]:
    """Merge two lists of none or one."""
    return [function(left[0], right[0])] if left and right else left or right


def with_target(count: int, index: int, values: Iterator[U]) -> Iterator[tuple[int, U]]:
    """Say where a partition's value is to be merged."""
    return ((index % count, value) for value in values)


def combine_pairs(function: Callable[[V, V], V], context: Any, pairs: Iterator[tuple[K, V]]) -> list[tuple[K, V]]:
    """Merge the values of each key of a partition."""
    combined: dict[K, V] = {}
    ReduceAggregator(function).combine_values(pairs, combined)
    return list(combined.items())
