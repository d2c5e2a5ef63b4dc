"""Attempts of tasks, as their set keeps them: one that runs, one whose success is void, one that ended the set."""

from dataclasses import dataclass
from typing import Literal

from minispark.ids import ExecutorId, TaskId
from minispark.messages.task import TaskFailure
from minispark.record import Record, record
from minispark.scheduler.logic.locality import Locality

__all__ = ["Abort", "FinishedTask", "RunningTask"]


@dataclass(slots=True, eq=False)
class RunningTask:
    """One attempt of one task that has not ended.

    Attributes:
        launched_s: seconds since the epoch.
        locality: how near its data it runs.
        is_speculative: another attempt of the task runs already.
        has_started: the executor has said that it runs.
        is_superseded: it is being killed because another attempt succeeded.
    """

    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str
    launched_s: float
    locality: Locality = Locality.ANY
    is_speculative: bool = False
    has_started: bool = False
    is_superseded: bool = False


@record
class FinishedTask(Record):
    """A task whose success is void, because its output went away with its executor."""

    task_id: TaskId
    index: int


@record
class Abort(Record):
    """The task set is given up."""

    kind: Literal["task failures", "result too large", "executor lost", "aborted"]
    message: str
    failure: TaskFailure | None = None
    task: RunningTask | None = None
