"""Runners in the executor's own process: a kill is a flag that is looked at, between records and around user code.

`thread_pool` and `inline_pool` have one bracket per runner. To raise inside of a thread (`PyThreadState_SetAsyncExc`)
was rejected: the host's own locks and half-done imports are in the same process. Real kills need runner processes.
"""

import copy
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

from minispark.errors import TaskKilled
from minispark.executor.metrics import SYSTEM, Clocks
from minispark.executor.task_runner import RunnerServices, TaskRunner
from minispark.ids import TaskId
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import TaskContext
from minispark.rdd.tasks import TaskWork

__all__ = ["CooperativeBracket", "WatchedNode", "WatchingTaskRunner"]

T_co = TypeVar("T_co", covariant=True)


class CooperativeBracket:
    """A `task_runner.UserCode` whose kills wait to be noticed; any thread may kill."""

    def __init__(self) -> None:
        self.kill_of: tuple[TaskId, str] | None = None
        self.task_id: TaskId | None = None

    def begin(self, task_id: TaskId) -> None:
        """Name the attempt that starts now."""
        self.task_id = task_id

    def kill(self, task_id: TaskId, reason: str) -> None:
        """Ask an attempt to end; nothing happens unless it is the current one, or becomes it."""
        self.kill_of = (task_id, reason)

    @property
    def killed(self) -> bool:
        """Whether the current attempt was asked to end."""
        kill = self.kill_of
        return kill is not None and kill[0] == self.task_id

    @property
    def reason(self) -> str:
        """Why; empty if it was not."""
        kill = self.kill_of
        return kill[1] if kill is not None and kill[0] == self.task_id else ""

    def raise_if_killed(self) -> None:
        """Raise TaskKilled if the current attempt was asked to end."""
        if self.killed:
            raise TaskKilled(self.reason)

    def __enter__(self) -> Self:
        """Look once."""
        self.raise_if_killed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was let in, nothing is shut out."""


class WatchedNode(Node[T_co]):
    """A node whose records are looked after: between two of them a kill is noticed.

    Args:
        node: computes the records.
        bracket: tells of the kill.
    """

    def __init__(self, node: Node[T_co], bracket: CooperativeBracket) -> None:
        super().__init__(node.rdd_id, node.name, node.call_site, (), node.partitioner)
        self.node = node
        self.bracket = bracket

    def iterator(self, partition: Partition, context: TaskContext) -> Iterator[T_co]:
        """Yield the node's records until the attempt is killed."""
        bracket = self.bracket
        for record in self.node.iterator(partition, context):
            if bracket.kill_of is not None:
                bracket.raise_if_killed()
            yield record


class WatchingTaskRunner(TaskRunner):
    """A TaskRunner that notices kills between records.

    Args:
        services: the runner's side.
        bracket: the same as `services.user_code`.
        clocks: where durations come from.
    """

    def __init__(self, services: RunnerServices, bracket: CooperativeBracket, clocks: Clocks = SYSTEM) -> None:
        super().__init__(services, clocks)
        self.bracket = bracket

    def prepare(self, work: TaskWork) -> TaskWork:
        """Watch the records that the stage's last node gives."""
        watched = copy.copy(work)
        watched.node = WatchedNode(work.node, self.bracket)
        return watched
