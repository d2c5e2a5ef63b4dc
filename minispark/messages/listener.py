"""The events that a listener sees, and the protocol of who takes them. Tags 200–229. Source: Spark's SparkListener.

Times are seconds since the epoch.
"""

from collections.abc import Coroutine
from typing import Any, Literal, Protocol

from minispark.ids import ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.task import TaskEndReason, TaskMetrics
from minispark.rpc.message import Message, message

__all__ = [
    "ApplicationEnd",
    "ApplicationStart",
    "EnvironmentUpdate",
    "EventSink",
    "Excluded",
    "ExecutorJoined",
    "ExecutorLeft",
    "JobEnd",
    "JobStart",
    "ListenerEvent",
    "SparkListener",
    "SpeculativeTaskSubmitted",
    "StageCompleted",
    "StageInfo",
    "StageSubmitted",
    "TaskEnd",
    "TaskGettingResult",
    "TaskInfo",
    "TaskStart",
    "Unexcluded",
    "UnschedulableTaskSet",
]


@message(200)
class StageInfo(Message):
    """One attempt of a stage. `name` is "collect at app.py:12"; the metrics are sums over its successful tasks.

    `shuffle_id` is that of the shuffle it writes; −1: it writes none.
    """

    stage_id: StageId
    attempt: int
    name: str
    num_tasks: int
    parent_ids: tuple[StageId, ...]
    is_map_stage: bool
    submitted_s: float
    completed_s: float
    failure: str
    metrics: TaskMetrics
    shuffle_id: ShuffleId = ShuffleId(-1)


@message(201)
class TaskInfo(Message):
    """One attempt of a task."""

    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str
    launched_s: float
    finished_s: float


@message(202)
class JobStart(Message):
    """A job was accepted; `stages` are those it needs, skipped ones included."""

    job_id: JobId
    time_s: float
    stages: tuple[StageInfo, ...]
    properties: dict[str, str]


@message(203)
class JobEnd(Message):
    """A job ended; `failure` is empty if it succeeded."""

    job_id: JobId
    time_s: float
    result: Literal["succeeded", "failed", "cancelled"]
    failure: str


@message(204)
class StageSubmitted(Message):
    """An attempt of a stage starts."""

    stage: StageInfo
    properties: dict[str, str]


@message(205)
class StageCompleted(Message):
    """An attempt of a stage ended; `stage.failure` is empty if it succeeded."""

    stage: StageInfo


@message(206)
class TaskStart(Message):
    """An attempt of a task was launched."""

    stage_id: StageId
    stage_attempt: int
    task: TaskInfo


@message(207)
class TaskEnd(Message):
    """An attempt of a task ended."""

    stage_id: StageId
    stage_attempt: int
    task: TaskInfo
    reason: TaskEndReason


@message(212)
class Excluded(Message):
    """An executor, or with an empty `executor_id` a whole host, failed too often and gets no more tasks.

    With a `stage_id` only that stage attempt leaves it; −1 stands for the application. `failures` are the tasks that
    failed on the executor, or the excluded executors of the host. Source: Spark's SparkListenerExecutorExcluded,
    NodeExcluded, ExecutorExcludedForStage and NodeExcludedForStage.
    """

    time_s: float
    executor_id: ExecutorId
    host: str
    failures: int
    stage_id: StageId = StageId(-1)
    stage_attempt: int = 0


@message(213)
class Unexcluded(Message):
    """The application gives an executor, or with an empty `executor_id` a whole host, tasks again."""

    time_s: float
    executor_id: ExecutorId
    host: str


@message(214)
class SpeculativeTaskSubmitted(Message):
    """A running task is slow and gets a second attempt where there is a slot."""

    stage_id: StageId
    stage_attempt: int
    index: int
    partition: int


@message(215)
class UnschedulableTaskSet(Message):
    """With dynamic allocation: a task of the set may run on no executor there is; or, if not, it may again.

    Source: Spark's SparkListenerUnschedulableTaskSetAdded and Removed.
    """

    stage_id: StageId
    stage_attempt: int
    is_unschedulable: bool


@message(208)
class ApplicationStart(Message):
    """The application can run jobs. Only listeners of `minispark.extraListeners` are there so early."""

    application_id: str
    name: str
    time_s: float


@message(209)
class ApplicationEnd(Message):
    """The context stops; nothing follows."""

    time_s: float


@message(210)
class ExecutorJoined(Message):
    """An executor can take tasks. `cores` is 0 where nobody tells. Source: Spark's SparkListenerExecutorAdded."""

    time_s: float
    executor_id: ExecutorId
    host: str
    cores: int


@message(211)
class ExecutorLeft(Message):
    """An executor is gone; `in_order`: it was told to go, and was done. Source: SparkListenerExecutorRemoved."""

    time_s: float
    executor_id: ExecutorId
    host: str
    reason: str
    in_order: bool = False


@message(216)
class TaskGettingResult(Message):
    """A task succeeded with a result that did not travel along; it is fetched now, and `TaskEnd` follows."""

    stage_id: StageId
    stage_attempt: int
    task: TaskInfo


@message(217)
class EnvironmentUpdate(Message):
    """What the application runs in, told once, before it starts; `settings` are those that were set."""

    settings: dict[str, str]
    python: str
    minispark: str


ListenerEvent = (
    ApplicationStart
    | ApplicationEnd
    | EnvironmentUpdate
    | ExecutorJoined
    | ExecutorLeft
    | JobStart
    | JobEnd
    | StageSubmitted
    | StageCompleted
    | TaskStart
    | TaskGettingResult
    | TaskEnd
    | Excluded
    | Unexcluded
    | SpeculativeTaskSubmitted
    | UnschedulableTaskSet
)


class SparkListener(Protocol):
    """Whoever wants to know: told after the fact, one event at a time, in order.

    A plain `on_event` is called on the driver's loop and must not block. A coroutine function may take its time, and
    so may a plain one that was added with `in_thread=True`. Each listener has its own queue: none waits for another.
    """

    def on_event(self, event: ListenerEvent) -> "Coroutine[Any, Any, None] | None":
        """Take one event; what it raises is logged."""


class EventSink(Protocol):
    """Where the scheduler posts events."""

    @property
    def wants_tasks(self) -> bool:
        """Whether anybody listens; task events are not even made otherwise."""

    def post(self, event: ListenerEvent) -> None:
        """Queue an event; never blocks, never raises."""
