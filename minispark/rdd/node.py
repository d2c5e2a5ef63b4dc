"""An RDD's inner half: id, dependencies, compute. Picklable, without a context; no scheduling.

The outer half is `rdd.rdd.RDD`, the fluent face that the user holds.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from minispark.ids import RddId
from minispark.rdd.dependency import Dependency
from minispark.rdd.partitioner import Partitioner
from minispark.rdd.ports import TaskContext

__all__ = ["Node", "Partition"]

T_co = TypeVar("T_co", covariant=True)


class Partition:
    """One partition of an RDD; subclasses add what computing it needs (a file range, the parents' partitions)."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Node(Generic[T_co]):
    """What an RDD is to the engine.

    Args:
        rdd_id: its number in the application.
        name: what made it, for people: "map", "reduce_by_key".
        call_site: the user's line that made it, "app.py:12".
        dependencies: links to the parents.
        partitioner: how keys are placed, if they are.
    """

    def __init__(
        self,
        rdd_id: RddId,
        name: str,
        call_site: str,
        dependencies: Sequence[Dependency] = (),
        partitioner: Partitioner | None = None,
    ) -> None:
        self.rdd_id = rdd_id
        self.name = name
        self.call_site = call_site
        self.dependencies = tuple(dependencies)
        self.partitioner = partitioner
        self._partitions: Sequence[Partition] | None = None

    def partitions(self) -> Sequence[Partition]:
        """Return the partitions, found once, in the driver; user code may run here (never on the scheduler)."""
        if self._partitions is None:
            self._partitions = self.find_partitions()
        return self._partitions

    def find_partitions(self) -> Sequence[Partition]:
        """Find the partitions; what a subclass implements."""
        raise NotImplementedError

    def preferred_locations(self, partition: Partition) -> Sequence[str]:
        """Return the hosts (or `executor_HOST_ID`) where the partition's data is; () for anywhere."""
        return ()

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T_co]:
        """Yield the records of a partition, in a runner."""
        raise NotImplementedError

    def iterator(self, partition: Partition, context: TaskContext) -> Iterator[T_co]:
        """Yield the records of a partition, from where they are cheapest; children call this, not `compute`."""
        return self.compute(partition, context)

    def __getstate__(self) -> dict[str, Any]:
        # A task brings its own partition; the list of all of them stays with the driver.
        return vars(self) | {"_partitions": None}
