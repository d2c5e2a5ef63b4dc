"""Driver ↔ executor: register, launch, kill, status, binaries, loss. Tags 50–79.

Source: Spark's CoarseGrainedClusterMessages and ExecutorLossReason.
"""

from minispark.ids import ApplicationId, BinaryId, BroadcastId, ExecutorId, TaskId, WorkerId
from minispark.messages.task import BlockManagerId, TaskDescription, TaskOutcome, TaskState
from minispark.rpc.message import Ask, Attachment, Message, message
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "ApplicationConf",
    "BinaryContent",
    "DecommissionExecutor",
    "ExecutorDecommission",
    "ExecutorDecommissioning",
    "ExecutorExited",
    "ExecutorKilled",
    "ExecutorLossReason",
    "ExecutorProcessLost",
    "ExecutorStopped",
    "FetchBinary",
    "KillTask",
    "LaunchTasks",
    "LaunchedExecutor",
    "LossReasonPending",
    "RegisterExecutor",
    "RegisteredExecutor",
    "RemoveExecutor",
    "RemoveWorker",
    "RetrieveApplicationConf",
    "RetrieveLogLevel",
    "StatusUpdate",
    "StopExecutor",
    "ToDriver",
    "ToExecutor",
    "UpdateExecutorLogLevel",
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
    """Driver → executor: a stage's pickled work; of large work, which broadcast it is (`data` is empty then)."""

    binary_id: BinaryId
    data: Attachment
    broadcast_id: BroadcastId | None = None


@message(56)
class FetchBinary(Ask[BinaryContent]):
    """Executor → driver (endpoint `BinaryServer`): send me that binary; asked once per executor."""

    binary_id: BinaryId


# -- an executor process comes ----------------------------------------


@message(57)
class ApplicationConf(Message):
    """Driver → executor process that starts: the application's id and settings, and where its modules are found.

    `sys_path` and `directory` are the driver's: an executor that can see them imports what the driver imports.
    """

    app_id: ApplicationId
    settings: dict[str, str]
    sys_path: tuple[str, ...]
    directory: str


@message(58)
class RetrieveApplicationConf(Ask[ApplicationConf]):
    """Executor process → driver, before anything else: what am I to be?"""

    executor_id: ExecutorId


@message(59)
class RegisteredExecutor(Message):
    """Driver → executor: you are registered; say `LaunchedExecutor` when you can take tasks."""


@message(60)
class RegisterExecutor(Ask[RegisteredExecutor]):
    """Executor → driver (endpoint `CoarseGrainedScheduler`): I am here.

    Refused, with an error, if the id is taken or the host is excluded. `location` is where its blocks are;
    `attributes` are for people (`log_url`, `worker_id`).
    """

    executor_id: ExecutorId
    executor: RpcEndpointRef
    host: str
    cores: int
    location: BlockManagerId
    attributes: dict[str, str]


@message(61)
class LaunchedExecutor(Message):
    """Executor → driver: my runners wait for tasks; until now none of my cores was offered."""

    executor_id: ExecutorId


# -- and goes ---------------------------------------------------------


@message(62)
class ExecutorExited(Message):
    """Loss reason: the process ended; `code` is negative for a signal."""

    code: int
    caused_by_app: bool
    text: str


@message(63)
class ExecutorKilled(Message):
    """Loss reason: the driver had it ended."""


@message(64)
class LossReasonPending(Message):
    """Loss reason: it does not answer, and nobody knows yet why."""


@message(65)
class ExecutorProcessLost(Message):
    """Loss reason: it went silent; `worker_host` is set if its whole host went with it."""

    text: str
    worker_host: str = ""
    caused_by_app: bool = True


@message(66)
class ExecutorDecommission(Message):
    """Loss reason: it was told to finish and to go; `worker_host` is set if its whole host goes."""

    text: str = ""
    worker_host: str = ""


ExecutorLossReason = ExecutorExited | ExecutorKilled | LossReasonPending | ExecutorProcessLost | ExecutorDecommission


@message(67)
class RemoveExecutor(Message):
    """Executor that ends itself, or whoever knows that it is gone → driver."""

    executor_id: ExecutorId
    reason: ExecutorLossReason


@message(68)
class RemoveWorker(Message):
    """Application client → driver: that worker is gone, and with it what its shuffle service kept."""

    worker_id: WorkerId
    host: str
    text: str


@message(69)
class ExecutorDecommissioning(Message):
    """Executor → driver: I was told to go away; give me nothing new."""

    executor_id: ExecutorId
    text: str


@message(70)
class DecommissionExecutor(Message):
    """Driver → executor: finish what runs, hand over your blocks, exit."""

    reason: str


# -- how much executors log -------------------------------------------


@message(71)
class UpdateExecutorLogLevel(Message):
    """Driver → executor (endpoint `ExecutorLog`): log so much; `level` is one of `logging`, 0 if none was set."""

    level: int


@message(72)
class RetrieveLogLevel(Ask[UpdateExecutorLogLevel]):
    """Executor that has registered → driver (endpoint `LogLevels`): how much am I to log?"""


ToExecutor = LaunchTasks | KillTask | StopExecutor | DecommissionExecutor
ToDriver = (
    StatusUpdate
    | ExecutorStopped
    | RetrieveApplicationConf
    | RegisterExecutor
    | LaunchedExecutor
    | RemoveExecutor
    | RemoveWorker
    | ExecutorDecommissioning
)
