"""What a stage's binary holds: the work that every task of the stage does on its own partition."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from minispark.messages.task import MapStatus
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.node import Node, Partition, narrow_parents, parents_first
from minispark.rdd.ports import TaskContext

__all__ = ["ResultTask", "ShuffleMapTask", "TaskWork"]

MANY_STEPS: Final = 100


class LongLineage:
    """Says what helps, if computing a node recurses too deeply because it is the result of many steps.

    Args:
        node: what the task computes.
    """

    def __init__(self, node: Node[Any]) -> None:
        self.node = node

    def __enter__(self) -> None:
        """Nothing is needed before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Add a note to the error."""
        if isinstance(error, RecursionError):
            steps = len(parents_first(self.node, narrow_parents))
            if steps > MANY_STEPS:
                error.add_note(
                    f"{self.node!r} is computed in {steps} steps in one stage: checkpoint() or local_checkpoint() an "
                    "RDD of a loop now and then, so that the lineage begins there"
                )


class ShuffleMapTask:
    """Compute a partition and write it as a map output."""

    def __init__(self, node: Node[tuple[Any, Any]], dependency: ShuffleDependency[Any, Any, Any]) -> None:
        self.node = node
        self.dependency = dependency

    def run(self, partition: Partition, context: TaskContext) -> MapStatus:
        """Run one task; returns where the output is."""
        with LongLineage(self.node):
            return context.shuffle.write(self.dependency, partition.index, self.node.iterator(partition, context))


class ResultTask:
    """Compute a partition and apply the action's function."""

    def __init__(self, node: Node[Any], function: Callable[[TaskContext, Iterator[Any]], Any]) -> None:
        self.node = node
        self.function = function

    def run(self, partition: Partition, context: TaskContext) -> Any:
        """Run one task; returns the function's value."""
        with LongLineage(self.node):
            return self.function(context, self.node.iterator(partition, context))


TaskWork = ShuffleMapTask | ResultTask
