"""What a stage's binary holds: the work that every task of the stage does on its own partition."""

from collections.abc import Callable, Iterator
from typing import Any

from minispark.messages.task import MapStatus
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import TaskContext

__all__ = ["ResultTask", "ShuffleMapTask", "TaskWork"]


class ShuffleMapTask:
    """Compute a partition and write it as a map output."""

    def __init__(self, node: Node[tuple[Any, Any]], dependency: ShuffleDependency[Any, Any, Any]) -> None:
        self.node = node
        self.dependency = dependency

    def run(self, partition: Partition, context: TaskContext) -> MapStatus:
        """Run one task; returns where the output is."""
        return context.shuffle.write(self.dependency, partition.index, self.node.iterator(partition, context))


class ResultTask:
    """Compute a partition and apply the action's function."""

    def __init__(self, node: Node[Any], function: Callable[[TaskContext, Iterator[Any]], Any]) -> None:
        self.node = node
        self.function = function

    def run(self, partition: Partition, context: TaskContext) -> Any:
        """Run one task; returns the function's value."""
        return self.function(context, self.node.iterator(partition, context))


TaskWork = ShuffleMapTask | ResultTask
