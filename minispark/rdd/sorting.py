"""The RDD's methods that sort; lazy. What they must learn by a job first, they learn before the first action."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.rdd.arguments import check_callable
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.face import Face, default_partitioner
from minispark.rdd.narrow import CoalescedNode, KeyByNode, MapNode
from minispark.rdd.node import Node
from minispark.rdd.pair import shuffle_pairs
from minispark.rdd.partitioner import RangePartitioner, check_num_partitions, portable_hash
from minispark.rdd.preparation import Preparation
from minispark.rdd.sampling import cut, sample_keys, sample_size
from minispark.rdd.shuffled import SortedNode

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["SortMethods"]

T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")


class SortMethods(Face[T_co]):
    """sort_by_key, sort_by: partition 0 holds the first keys in order, partition 1 the next, and so on."""

    def sort_by_key(
        self: "Face[tuple[K, V]]",
        ascending: bool = True,
        num_partitions: int | None = None,
        key_function: Callable[[K], Any] | None = None,
    ) -> "RDD[tuple[K, V]]":
        """Return the pairs sorted by key; its first action also runs a job that samples keys, unless one partition.

        The result has no partitioner: operations by key, joins and unions that follow place the pairs anew.

        Args:
            ascending: the smallest key first.
            num_partitions: of the result; fewer may have records if there are few different keys.
            key_function: what of a key is compared; None: the key itself.
        """
        if key_function is not None:
            check_callable("sort_by_key", key_function)
        key_of = itemgetter(0) if key_function is None else partial(key_of_pair, key_function)
        count = num_sorted(self, num_partitions)
        partitioner = RangePartitioner(count, key_function, ascending)
        return self.derive(sort(self, self.node, partitioner, key_of, key_of, "sort_by_key"))

    def sort_by(
        self, key_function: Callable[[T_co], Any], ascending: bool = True, num_partitions: int | None = None
    ) -> "RDD[T_co]":
        """Return the records sorted by `key_function(record)`; see `sort_by_key`."""
        check_callable("sort_by", key_function)
        pairs = KeyByNode(self.origin("sort_by"), self.node, key_function)
        partitioner = RangePartitioner(num_sorted(self, num_partitions), None, ascending)
        ordered = sort(self, pairs, partitioner, key_function, itemgetter(0), "sort_by")
        return self.derive(MapNode(self.origin("sort_by"), ordered, itemgetter(1), is_safe=True))

    def repartition_and_sort_within_partitions(
        self: "Face[tuple[K, V]]",
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
        ascending: bool = True,
        key_function: Callable[[K], Any] | None = None,
    ) -> "RDD[tuple[K, V]]":
        """Return the pairs placed by their keys, as `partition_by` does, each partition sorted by key.

        Args:
            num_partitions: of the result.
            partition_function: from a key to an int of any size.
            ascending: the smallest key first.
            key_function: what of a key is compared; None: the key itself.
        """
        name = "repartition_and_sort_within_partitions"
        if key_function is not None:
            check_callable(name, key_function)
        key_of = itemgetter(0) if key_function is None else partial(key_of_pair, key_function)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        is_placed = self.partitioner == partitioner
        placed: Node[Any] = self.node if is_placed else shuffle_pairs(self, self.node, partitioner, name)
        return self.derive(SortedNode(self.origin(name), placed, key_of, ascending, keeps_partitioner=True))


def num_sorted(face: Face[Any], num_partitions: int | None) -> int:
    """Return how many partitions a sorted RDD gets."""
    if num_partitions is not None:
        return check_num_partitions(num_partitions)
    return face.context.conf.default_parallelism or max(face.get_num_partitions(), 1)


def sort(
    face: Face[Any],
    pairs: Node[tuple[K, V]],
    partitioner: RangePartitioner,
    key_of: Callable[[Any], Any],
    key_of_placed: Callable[[tuple[K, V]], Any],
    name: str,
) -> Node[tuple[K, V]]:
    """Return the node of sorted pairs.

    Args:
        face: the RDD that is sorted; its records are sampled.
        pairs: what is to be placed and sorted.
        partitioner: without bounds; they are put in when the sample is there.
        key_of: what a record of the RDD is sorted by.
        key_of_placed: what a pair is sorted by.
        name: the operation.
    """
    num_parents, count = face.get_num_partitions(), partitioner.num_partitions
    if count == 1:
        gathered = CoalescedNode(face.origin(name), pairs, 1) if num_parents > 1 else pairs
        return SortedNode(face.origin(name), gathered, key_of_placed, partitioner.ascending)
    placed = shuffle_pairs(face, pairs, partitioner, name)

    async def find_bounds() -> None:
        sample = partial(sample_keys, key_of, sample_size(num_parents, count))
        with DriverSide(name, face.node):
            partitioner.bounds = await cut(await face.run(sample, None), count)

    placed.prepare_by(Preparation(find_bounds, face.context))
    # The ranges are no place to look for keys by: the key function may tell equal keys apart, and keys of another RDD
    # may not compare with the bounds. So what comes after hashes anew.
    return SortedNode(face.origin(name), placed, key_of_placed, partitioner.ascending)


# What tasks run: plain functions, so that they are pickled by name.


def key_of_pair(key_function: Callable[[K], Any], pair: tuple[K, Any]) -> Any:
    """Return what a pair is sorted by."""
    return key_function(pair[0])
