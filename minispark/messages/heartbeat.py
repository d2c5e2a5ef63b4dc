"""Executors say that they live, and how far their tasks are. Tags 122–129. Source: Spark's Heartbeat."""

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import ExecutorAdded, ExecutorRemoved
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "ExpireDeadExecutors",
    "Heartbeat",
    "HeartbeatResponse",
    "TaskProgress",
    "TaskSchedulerIsSet",
    "ToHeartbeatReceiver",
]


@message(122)
class TaskProgress(Message):
    """How far a running attempt is: values for people and for speculation, which count nowhere.

    `run_time_s` is measured by its executor; `counters` are fields of `TaskMetrics`, those that are 0 left out.
    """

    task_id: TaskId
    run_time_s: float
    counters: dict[str, int]


@message(123)
class HeartbeatResponse(Message):
    """Driver → executor: whether it is to register again, because the driver does not know it."""

    reregister: bool


@message(124)
class Heartbeat(Ask[HeartbeatResponse]):
    """Executor → driver (endpoint `HeartbeatReceiver`): I live, and these attempts run."""

    executor_id: ExecutorId
    tasks: tuple[TaskProgress, ...]


@message(125)
class TaskSchedulerIsSet(Message):
    """Driver → HeartbeatReceiver: the task scheduler is ready to hear of executors."""


@message(126)
class ExpireDeadExecutors(Message):
    """HeartbeatReceiver → itself, now and then: look for executors that have gone silent."""


ToHeartbeatReceiver = Heartbeat | TaskSchedulerIsSet | ExpireDeadExecutors | ExecutorAdded | ExecutorRemoved
