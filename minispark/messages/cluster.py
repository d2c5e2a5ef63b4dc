"""Driver ↔ executor: launch, kill, status, binaries. Tags 50–79. Source: Spark's CoarseGrainedClusterMessages."""

from minispark.ids import BinaryId, ExecutorId, TaskId
from minispark.messages.task import TaskDescription, TaskOutcome, TaskState
from minispark.rpc.message import Ask, Attachment, Message, message

__all__ = [
    "BinaryContent",
    "ExecutorStopped",
    "FetchBinary",
    "KillTask",
    "LaunchTasks",
    "StatusUpdate",
    "StopExecutor",
    "ToExecutor",
]


@message(50)
class LaunchTasks(Message):
    """Driver → executor: run these attempts."""

    tasks: tuple[TaskDescription, ...]


@message(51)
class KillTask(Message):
    """Driver → executor: end this attempt; it may arrive before the launch.

    Without `interrupt` the attempt is only asked to stop where it looks (`TaskContext.is_interrupted`).
    """

    task_id: TaskId
    executor_id: ExecutorId
    interrupt: bool
    reason: str


@message(52)
class StatusUpdate(Message):
    """Executor → driver: an attempt runs (no outcome), or ended."""

    executor_id: ExecutorId
    task_id: TaskId
    state: TaskState
    outcome: TaskOutcome | None


@message(53)
class ExecutorStopped(Message):
    """Executor → driver: all runners are gone."""


@message(54)
class StopExecutor(Ask[ExecutorStopped]):
    """Driver → executor: kill what runs, end the runners, then answer."""


@message(55)
class BinaryContent(Message):
    """Driver → executor: a stage's pickled work or a bundle of classes."""

    binary_id: BinaryId
    data: Attachment


@message(56)
class FetchBinary(Ask[BinaryContent]):
    """Executor → driver (endpoint `BinaryServer`): send me that binary; asked once per executor."""

    binary_id: BinaryId


ToExecutor = LaunchTasks | KillTask | StopExecutor
