"""The RDD's methods for (key, value) pairs; lazy but for `lookup`. Joins are in `joins`, sorting in `sorting`."""

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from minispark.errors import ConfigurationError
from minispark.rdd.aggregator import Aggregator, ListAggregator, ReduceAggregator
from minispark.rdd.arguments import check_callable
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.face import Face, default_partitioner
from minispark.rdd.merging import joined
from minispark.rdd.narrow import FlatMapValuesNode, MapNode, MapValuesNode
from minispark.rdd.node import Node
from minispark.rdd.partitioner import HashPartitioner, Partitioner, portable_hash
from minispark.rdd.shuffled import CombinedNode, RegroupedNode, ShuffledNode, shuffle_of

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["PairMethods", "combine", "shuffle_pairs"]

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C")


class PairMethods(Face[T_co]):
    """keys, map_values, reduce_by_key, group_by_key, partition_by …

    Shuffles place keys by `partition_function(key) % num_partitions`. Without `num_partitions` an RDD keeps the
    partitioner it has, so that nothing moves, and gets as many partitions as its parent otherwise.
    """

    def keys(self: "Face[tuple[K, Any]]") -> "RDD[K]":
        """Return the keys."""
        return self.derive(MapNode(self.origin("keys"), self.node, itemgetter(0), is_safe=True))

    def values(self: "Face[tuple[Any, V]]") -> "RDD[V]":
        """Return the values."""
        return self.derive(MapNode(self.origin("values"), self.node, itemgetter(1), is_safe=True))

    def map_values(self: "Face[tuple[K, V]]", function: Callable[[V], U]) -> "RDD[tuple[K, U]]":
        """Return (key, `function(value)`) for each pair; keys stay where they are."""
        check_callable("map_values", function)
        return self.derive(MapValuesNode(self.origin("map_values"), self.node, function))

    def flat_map_values(self: "Face[tuple[K, V]]", function: Callable[[V], Iterable[U]]) -> "RDD[tuple[K, U]]":
        """Return (key, element) for each element of `function(value)`; keys stay where they are."""
        check_callable("flat_map_values", function)
        return self.derive(FlatMapValuesNode(self.origin("flat_map_values"), self.node, function))

    def combine_by_key(
        self: "Face[tuple[K, V]]",
        create_combiner: Callable[[V], C],
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, C]]":
        """Return (key, combined value) for each key; values are combined before the shuffle, and again after it.

        Args:
            create_combiner: makes a combined value of a key's first value.
            merge_value: adds a value to a combined value, which it may change and return.
            merge_combiners: merges two combined values; may change and return the first.
            num_partitions: of the result.
            partition_function: from a key to an int of any size.
        """
        for function in (create_combiner, merge_value, merge_combiners):
            check_callable("combine_by_key", function)
        aggregator = Aggregator(create_combiner, merge_value, merge_combiners)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        return self.derive(combine(self, self.node, aggregator, partitioner, "combine_by_key"))

    def reduce_by_key(
        self: "Face[tuple[K, V]]",
        function: Callable[[V, V], V],
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, V]]":
        """Return (key, its values merged by an associative and commutative function) for each key."""
        check_callable("reduce_by_key", function)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        return self.derive(combine(self, self.node, ReduceAggregator(function), partitioner, "reduce_by_key"))

    def fold_by_key(
        self: "Face[tuple[K, V]]",
        zero: V,
        function: Callable[[V, V], V],
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, V]]":
        """Return (key, its values merged, starting from a copy of zero in each partition) for each key."""
        check_callable("fold_by_key", function)
        aggregator = Aggregator(partial(start_from, zero, function), function, function)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        return self.derive(combine(self, self.node, aggregator, partitioner, "fold_by_key"))

    def aggregate_by_key(
        self: "Face[tuple[K, V]]",
        zero: C,
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, C]]":
        """Return (key, its values aggregated) for each key; each starts from a deep copy of zero."""
        check_callable("aggregate_by_key", merge_value)
        check_callable("aggregate_by_key", merge_combiners)
        aggregator = Aggregator(partial(start_from, zero, merge_value), merge_value, merge_combiners)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        return self.derive(combine(self, self.node, aggregator, partitioner, "aggregate_by_key"))

    def group_by_key(
        self: "Face[tuple[K, V]]",
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, list[V]]]":
        """Return (key, the list of its values) for each key; to aggregate them, `reduce_by_key` moves much less."""
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        return self.derive(combine(self, self.node, ListAggregator(), partitioner, "group_by_key"))

    def partition_by(
        self: "Face[tuple[K, V]]",
        num_partitions: int,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, V]]":
        """Return the pairs placed by their keys; this RDD itself if they are placed so already."""
        partitioner = HashPartitioner(num_partitions, partition_function)
        if self.partitioner == partitioner:
            return cast("RDD[tuple[K, V]]", self)
        return self.derive(shuffle_pairs(self, self.node, partitioner, "partition_by"))

    def regroup(self, starts: Iterable[int]) -> "RDD[T_co]":
        """Return the same pairs in other partitions, without writing the shuffle that this RDD reads again.

        What `SparkContext.submit_map_stage` tells of the sizes says how to choose them.

        Args:
            starts: partition i holds this RDD's partitions from starts[i] up to, without, starts[i + 1]; the last one
                the rest. Starting with 0 and ascending; equal ones make empty partitions.

        Raises:
            ConfigurationError: the RDD does not read one shuffle and nothing else, or the numbers cannot be.
        """
        dependency = shuffle_of(self.node)
        count = dependency.partitioner.num_partitions
        firsts = list(starts)
        if firsts[:1] != [0] or firsts != sorted(firsts) or firsts[-1] > count:
            raise ConfigurationError(f"regroup needs numbers that ascend from 0 to {count} at most, not {firsts}")
        node: Node[Any] = RegroupedNode(self.origin("regroup"), dependency, firsts)
        return self.derive(node)

    async def lookup(self: "Face[tuple[K, V]]", key: K) -> list[V]:
        """Return the values of a key; computes one partition only if the RDD is partitioned by key."""
        partitions = None
        if self.partitioner is not None:
            await self.prepare()
            # The driver's hashes differ from the runners', so one of them says where the key is.
            (partition,) = await self.run(partial(partition_of, self.partitioner, key), [0])
            partitions = [partition]
        with DriverSide("lookup", self.node):
            return await joined(await self.run(partial(values_of, key), partitions))


def combine(
    face: Face[Any], pairs: Node[tuple[K, V]], aggregator: Aggregator[V, C], partitioner: Partitioner, name: str
) -> Node[tuple[K, C]]:
    """Return the node of combined pairs: in place if the pairs are placed by that partitioner, else by a shuffle."""
    origin = face.origin(name)
    if pairs.partitioner == partitioner:
        return CombinedNode(origin, pairs, aggregator)
    shuffle_id = face.context.new_shuffle_id()
    return ShuffledNode(origin, ShuffleDependency(shuffle_id, pairs, partitioner, aggregator, map_side_combine=True))


def shuffle_pairs(
    face: Face[Any], pairs: Node[tuple[K, V]], partitioner: Partitioner, name: str
) -> ShuffledNode[K, V, V]:
    """Return the node of pairs placed by a partitioner, each as it is."""
    shuffle_id = face.context.new_shuffle_id()
    return ShuffledNode(face.origin(name), ShuffleDependency(shuffle_id, pairs, partitioner))


# What tasks run: plain functions, so that they are pickled by name.


def start_from(zero: C, function: Callable[[C, V], C], value: V) -> C:
    """Make a combined value of a copy of zero and a first value; the function may change the copy."""
    return function(copy.deepcopy(zero), value)


def partition_of(partitioner: Partitioner, key: Any, context: Any, records: Iterator[Any]) -> int:
    """Return where a key is."""
    return partitioner.partition(key)


def values_of(key: K, context: Any, records: Iterator[tuple[K, V]]) -> list[V]:
    """Return the values of a key."""
    return [value for other, value in records if other == key]
