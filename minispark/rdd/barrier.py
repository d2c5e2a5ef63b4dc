"""Barrier stages: `rdd.barrier()`, whose tasks start together or not at all and can wait for each other.

What a task may do there is `minispark.BarrierTaskContext`. Source: Spark's RDDBarrier.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from minispark.rdd.arguments import check_callable
from minispark.rdd.face import Face
from minispark.rdd.narrow import MapPartitionsNode
from minispark.rdd.transformations import call_without_index

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["BarrierMethods", "BarrierNode", "RDDBarrier"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


class BarrierNode(MapPartitionsNode[T, U]):
    """Partitions that are mapped by tasks which run at the same time."""

    is_barrier = True


class RDDBarrier(Generic[T_co]):
    """An RDD on its way into a barrier stage; made by `RDD.barrier`.

    Args:
        rdd: whose partitions are mapped.
    """

    def __init__(self, rdd: Face[T_co]) -> None:
        self.rdd = rdd

    def map_partitions(
        self, function: Callable[[Iterator[T_co]], Iterable[U]], preserves_partitioning: bool = False
    ) -> "RDD[U]":
        """Return the records of `function(records)`, called once per partition, for all partitions at the same time.

        The function may wait for its fellows with `BarrierTaskContext.get().barrier()`. If one task fails, all are
        killed: a stage that writes a shuffle is tried again as a whole, and one that gives results fails the job,
        which may have some of them already. There must be as many free slots as partitions; a job that needs more
        than there are waits for them, and fails in the end.
        """
        check_callable("map_partitions", function)
        return self.derive("map_partitions", partial(call_without_index, function), preserves_partitioning)

    def map_partitions_with_index(
        self, function: Callable[[int, Iterator[T_co]], Iterable[U]], preserves_partitioning: bool = False
    ) -> "RDD[U]":
        """Return the records of `function(index, records)`; otherwise as `map_partitions`."""
        check_callable("map_partitions_with_index", function)
        return self.derive("map_partitions_with_index", function, preserves_partitioning)

    def derive(
        self, name: str, function: Callable[[int, Iterator[T_co]], Iterable[U]], keeps_partitioner: bool
    ) -> "RDD[U]":
        """Return the RDD of the barrier stage."""
        rdd = self.rdd
        return rdd.derive(BarrierNode(rdd.origin(f"barrier().{name}"), rdd.node, function, keeps_partitioner))


class BarrierMethods(Face[T_co]):
    """barrier."""

    def barrier(self) -> RDDBarrier[T_co]:
        """Return this RDD for a stage whose tasks start together, as distributed training and MPI need it."""
        return RDDBarrier(self)
