"""The driver's table of task binaries: what stages run, pickled once, with the partitions that their tasks get.

Filled by the context in the caller's task, because pickling runs user code; read by the TaskScheduler (partitions)
and by executors (binaries, through the BinaryServer).
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from minispark.errors import PicklingError
from minispark.ids import BinaryId, ShuffleId
from minispark.rdd import closures
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.node import Node, Partition, narrow_parents, parents_first
from minispark.rdd.tasks import ResultTask, ShuffleMapTask
from minispark.storage.broadcast import BinaryTable

__all__ = ["StageWork"]


class StageWork:
    """Binaries and partitions by binary id.

    A job's own binary lives as long as the job; that of a shuffle as long as its dependency, because later jobs over
    the same shuffle, and reruns of lost map outputs, use it again.

    Args:
        binaries: where the bytes are kept.
        on_shuffle_forgotten: called when nothing refers to a shuffle any more.
    """

    def __init__(self, binaries: BinaryTable, on_shuffle_forgotten: Callable[[ShuffleId], object]) -> None:
        self.binaries = binaries
        self.on_shuffle_forgotten = on_shuffle_forgotten
        self.partitions: dict[BinaryId, Sequence[Partition]] = {}
        self.of_shuffle: dict[ShuffleId, BinaryId] = {}
        self.superseded: dict[ShuffleId, list[BinaryId]] = {}
        self.dependencies: weakref.WeakValueDictionary[ShuffleId, ShuffleDependency[Any, Any, Any]]
        self.dependencies = weakref.WeakValueDictionary()

    def add_job(self, node: Node[Any], function: Callable[..., Any]) -> BinaryId:
        """Pickle a job's function with its stage.

        Raises:
            PicklingError: naming the path to what cannot be pickled.
        """
        return self.add(closures.dumps(ResultTask(node, function)), node)

    def of_dependency(self, dependency: ShuffleDependency[Any, Any, Any]) -> BinaryId:
        """Return the binary of a shuffle's map side, pickled at the first call.

        Raises:
            PicklingError: naming the path to what cannot be pickled.
        """
        binary_id = self.of_shuffle.get(dependency.shuffle_id)
        if binary_id is None:
            node = dependency.node
            binary_id = self.add(closures.dumps(ShuffleMapTask(node, dependency)), node)
            self.of_shuffle[dependency.shuffle_id] = binary_id
            if dependency.shuffle_id not in self.dependencies:
                self.dependencies[dependency.shuffle_id] = dependency
                weakref.finalize(dependency, self.forget_shuffle, dependency.shuffle_id).atexit = False
        return binary_id

    def renew(self, node: Node[Any], is_indeterminate: bool) -> None:
        """Pickle the map sides anew that compute a node in their stage: it is kept otherwise than before.

        Jobs that run now go on with what they were submitted with.

        Args:
            node: of an RDD that was kept by a checkpoint, or is persisted, or is persisted no more.
            is_indeterminate: whether what was kept of it may differ from what map outputs were written of before.
                Such outputs must not be made good one by one.
        """
        for shuffle_id, dependency in list(self.dependencies.items()):
            if dependency.node.rdd_id < node.rdd_id:
                continue  # an RDD has a higher number than those it is made of: programs that loop persist new ones
            above = parents_first(dependency.node, narrow_parents)
            if shuffle_id in self.of_shuffle and any(each is node for each in above):
                self.superseded.setdefault(shuffle_id, []).append(self.of_shuffle.pop(shuffle_id))
                dependency.node.is_indeterminate |= is_indeterminate

    def add(self, data: bytes, node: Node[Any]) -> BinaryId:
        """Keep a binary with the partitions of its node."""
        binary_id = self.binaries.add(data)
        self.partitions[binary_id] = node.partitions()
        return binary_id

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        """Return a pickled partition; empty if it is nothing but its number, or if its job has ended."""
        partitions = self.partitions.get(binary_id)
        if partitions is None or type(partitions[partition]) is Partition:
            return b""
        try:
            return closures.dumps_value(partitions[partition])
        except PicklingError as error:
            raise PicklingError(
                f"{error}\n  if the RDD was put together in a loop, as by unions, then checkpoint() or "
                "local_checkpoint() it now and then, so that the lineage begins there"
            ) from error

    def remove(self, binary_id: BinaryId) -> None:
        """Let a job's binary go."""
        self.binaries.remove(binary_id)
        self.partitions.pop(binary_id, None)

    def forget_shuffle(self, shuffle_id: ShuffleId) -> None:
        """Let the binary of a shuffle go whose dependency was collected; any thread may have done that."""
        binary_ids = self.superseded.pop(shuffle_id, [])
        if shuffle_id in self.of_shuffle:
            binary_ids.append(self.of_shuffle.pop(shuffle_id))
        for binary_id in binary_ids:
            self.remove(binary_id)
        self.on_shuffle_forgotten(shuffle_id)
