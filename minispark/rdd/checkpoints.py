"""Checkpoints: RDDs that become sources, so that what they were computed of is needed no more. A part of `rdd.RDD`.

`checkpoint` and `local_checkpoint` only mark an RDD. After the first job that computes it the driver
(`minispark.checkpointing`) has its partitions kept, and then calls `cut`: the node itself turns into another kind of
node, so that all that hangs on it goes on as before. Must not run jobs. Source: Spark's RDDCheckpointData classes.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any, Final, Self, TypeVar

from minispark.errors import InputNotFound, StorageError
from minispark.messages.storage_level import StorageLevel
from minispark.rdd import closures, lineage
from minispark.rdd.caching import with_disk
from minispark.rdd.dependency import Dependency
from minispark.rdd.face import Face, T_co
from minispark.rdd.files import PartDirectory, open_input
from minispark.rdd.node import Node, Partition, all_parents, parents_first
from minispark.rdd.ports import TaskContext
from minispark.storage.batches import dump_batches
from minispark.storage.record_file import read_batches, write_batches
from minispark.urls import shown

__all__ = [
    "CheckpointMethods",
    "CheckpointedNode",
    "LocallyCheckpointedNode",
    "cut",
    "marked_above",
    "part_name",
    "write_part",
]

T = TypeVar("T")

# What a node keeps when it is cut off: who it is, where its keys are, and how executors keep it.
KEPT: Final = ("rdd_id", "name", "call_site", "partitioner", "is_cached", "storage_level", "storage_generation")


class CheckpointMethods(Face[T_co]):
    """The methods of an RDD about checkpoints."""

    def checkpoint(self) -> Self:
        """Have the RDD written to files after the first job that computes it, and read from there from then on.

        What it was computed of is forgotten then: the lineage begins here. It survives the loss of executors. The
        files are written by a job of its own, which computes the RDD once more: `persist` it first if that takes
        long. They stay when the program ends, unless
        `minispark.cleaner.referenceTracking.cleanCheckpoints` is set.

        Raises:
            ConfigurationError: there is no directory for it: `SparkContext.set_checkpoint_dir` comes first.
        """
        if self.node.checkpoint is None and not is_cut(self.node):
            self.context.checkpoint(self.node, is_local=False)
        return self

    def local_checkpoint(self) -> Self:
        """Have the RDD kept by the executors after the first job that computes it, and forget what it was made of.

        Cheaper than `checkpoint`, and not as safe: if an executor is lost with a partition that nobody else has, jobs
        fail that need it. The RDD is persisted, in memory and on disk unless it was with another level; `unpersist`
        is the end of it.
        """
        level = self.node.storage_level if self.node.is_cached else StorageLevel.MEMORY_AND_DISK
        if not level.use_disk:
            # What does not fit in memory could not be computed again.
            self.context.unpersist(self.node)
            level = with_disk(level)
        if not self.node.is_cached:
            self.context.persist(self.node, level)
        if not is_cut(self.node):
            self.context.checkpoint(self.node, is_local=True)
        return self

    @property
    def is_checkpointed(self) -> bool:
        """Whether its partitions were kept by a checkpoint, of either kind; not while it is only marked."""
        return is_cut(self.node)

    @property
    def is_locally_checkpointed(self) -> bool:
        """Whether `local_checkpoint` marked it, or has been done."""
        mark = self.node.checkpoint
        return isinstance(self.node, LocallyCheckpointedNode) or (mark is not None and mark.is_local)

    def get_checkpoint_file(self) -> str | None:
        """Return the directory of its files; None before they are written, and for local checkpoints."""
        return self.node.directory if isinstance(self.node, CheckpointedNode) else None


class CheckpointedNode(Node[T]):
    """What an RDD is once it is in files, one per partition.

    Attributes:
        directory: where they are; tasks on all hosts can read it.
    """

    directory: str

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of a file."""
        return chain.from_iterable(self.batches(partition.index, context))

    def batches(self, index: int, context: TaskContext) -> Iterator[list[T]]:
        """Yield them in lists.

        Raises:
            InputNotFound: the file is gone.
            InputDamaged: it is not as it was written.
        """
        path = os.path.join(self.directory, part_name(index))
        with ExitStack() as opened:
            try:
                file = opened.enter_context(open_input(path))
            except FileNotFoundError:
                raise InputNotFound(
                    f"partition {index} of the checkpoint of {self!r} is not there: {shown(path)!r} was removed, or "
                    "this host does not see the checkpoint directory"
                ) from None
            for batch in read_batches(file, shown(path)):
                context.metrics.records_read += len(batch)
                yield batch


class LocallyCheckpointedNode(Node[T]):
    """What an RDD is once executors keep all of its partitions; `iterator` finds them there."""

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Fail: who is asked to compute a partition has not found it.

        Raises:
            StorageError: always.
        """
        raise StorageError(
            f"partition {partition.index} of {self!r} is lost: the RDD is a local checkpoint, so it cannot be "
            "computed again, and the executor that kept the partition is gone, or the RDD was unpersisted; "
            "checkpoint() keeps partitions where executors cannot lose them"
        )


def is_cut(node: Node[Any]) -> bool:
    """Tell whether a checkpoint was made of an RDD."""
    return isinstance(node, CheckpointedNode | LocallyCheckpointedNode)


def cut(node: Node[Any], directory: str | None, level: lineage.Determinism) -> tuple[Dependency, ...]:
    """Make a node a source, in place, and return the links to its parents that it had.

    Whoever holds the node, its children first of all, has the new one. Must not be called while a job is between
    pickling its stages and describing them, which happens in one go.

    Args:
        node: of an RDD.
        directory: where its files are; None: executors keep its partitions.
        level: how far a second computation of it could have differed. Blocks that executors keep may have been read
            before others were computed anew, so a local checkpoint does not change that; files do.
    """
    parents, count = node.dependencies, len(node.partitions())
    state: dict[str, Any] = {name: vars(node)[name] for name in KEPT if name in vars(node)}
    state |= {"dependencies": (), "preparation": None, "needs_preparation": False, "description": None}
    state["_partitions"] = [Partition(index) for index in range(count)]
    if directory is None:
        state |= {"is_indeterminate": level == "indeterminate", "is_unordered": level == "unordered"}
    else:
        state["directory"] = directory
    vars(node).clear()
    vars(node).update(state)
    node.__class__ = LocallyCheckpointedNode if directory is None else CheckpointedNode
    lineage.forget_descriptions()
    return parents


def marked_above(node: Node[Any]) -> list[Node[Any]]:
    """Return the nodes that are to be kept after a job over a node: those nearest to it of all that are marked."""
    return [above for above in parents_first(node, parents_of_unmarked) if above.checkpoint is not None]


def parents_of_unmarked(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield the parents, unless the node is marked: when it is kept, they are needed no more."""
    return iter(()) if node.checkpoint is not None else all_parents(node)


# What tasks run: plain functions, so that they are pickled by name.


def part_name(index: int) -> str:
    """Return the name of a partition's file."""
    return f"part-{index:05d}"


def write_part(
    directory: PartDirectory, compress: bool, max_records: int, context: TaskContext, records: Iterable[Any]
) -> None:
    """Write a partition's file of pickled records."""
    attempt = str(context.task_attempt_id)
    with directory.part(part_name(context.partition_id), attempt, context.request_commit) as file:
        batches = dump_batches(records, max_records=max_records, fallback=closures.dumps_value)
        write_batches(file, batches, compress)
