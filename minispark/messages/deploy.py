"""Master ↔ worker ↔ application: resources, never tasks. Tags 305–332. Source: Spark's DeployMessages.

Every command of a master carries its `term`: the number of its election, higher for each new leader. Workers and
applications refuse a command of a lower term than the highest they have seen, so that a leader that was frozen and
wakes up again starts and ends nothing. No secret is ever in a message: what an application's processes prove to each
other is derived from the cluster's secret and the application's `realm` (`rpc.logic.secrets`).
"""

from minispark.ids import ApplicationId, DriverId, ExecutorId, WorkerId
from minispark.messages.deploy_clients import FromClient
from minispark.messages.deploy_values import (
    Acknowledged,
    ApplicationDescription,
    DriverDescription,
    DriverState,
    ExecutorRecord,
    ExecutorState,
)
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Ask, Message, message
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "ApplicationFinished",
    "ApplicationRemoved",
    "DecommissionWorker",
    "DriverStateChanged",
    "ExecutorAllotted",
    "ExecutorStateChanged",
    "ExecutorUpdated",
    "KillDriver",
    "KillExecutor",
    "KillExecutors",
    "LaunchDriver",
    "LaunchExecutor",
    "MasterChangeAcknowledged",
    "MasterChanged",
    "MasterInStandby",
    "ReconnectWorker",
    "RegisterApplication",
    "RegisterWorker",
    "RegisterWorkerFailed",
    "RegisteredApplication",
    "RegisteredWorker",
    "RequestExecutors",
    "ToAppClient",
    "ToMaster",
    "ToWorker",
    "UnregisterApplication",
    "WorkerDecommissioning",
    "WorkerHeartbeat",
    "WorkerLatestState",
    "WorkerRemoved",
    "WorkerSchedulerStateResponse",
]


# -- worker → master -------------------------------------------------------------------------------------------------


@message(305)
class RegisterWorker(Message):
    """Worker → master: use me.

    `worker` takes the master's commands and answers; `master` is the address under which the worker reached this
    master; `shuffle_port` is where its shuffle service listens (0: it has none).
    """

    worker_id: WorkerId
    host: str
    worker: RpcEndpointRef
    cores: int
    memory_bytes: int
    master: RpcAddress
    web_url: str = ""
    shuffle_port: int = 0


@message(306)
class WorkerHeartbeat(Message):
    """Worker → master: I am alive; an unknown one is told to register again (`ReconnectWorker`)."""

    worker_id: WorkerId
    worker: RpcEndpointRef


@message(307)
class WorkerLatestState(Message):
    """Worker → master, after its registration: what runs here; the master has what it does not know killed."""

    worker_id: WorkerId
    executors: tuple[ExecutorRecord, ...]
    driver_ids: tuple[DriverId, ...]


@message(308)
class ExecutorStateChanged(Ask[Acknowledged]):
    """Worker → master: an executor is in this state now; `exit_code` once it has ended (negative: the signal)."""

    app_id: ApplicationId
    number: int
    state: ExecutorState
    text: str = ""
    exit_code: int | None = None


@message(309)
class DriverStateChanged(Ask[Acknowledged]):
    """Worker → master: a driver is in this state now; `text` says what went wrong."""

    driver_id: DriverId
    state: DriverState
    text: str = ""


@message(310)
class WorkerSchedulerStateResponse(Message):
    """Worker → a new master that asked with `MasterChanged`: what runs here."""

    worker_id: WorkerId
    executors: tuple[ExecutorRecord, ...]
    driver_ids: tuple[DriverId, ...]


@message(311)
class WorkerDecommissioning(Message):
    """Worker → master: I shall go away; give me nothing new."""

    worker_id: WorkerId
    worker: RpcEndpointRef


# -- master → worker -------------------------------------------------------------------------------------------------


@message(312)
class RegisteredWorker(Message):
    """Master → worker: you are registered; `duplicate`: you were already."""

    term: int
    master: RpcEndpointRef
    master_url: str
    duplicate: bool = False


@message(313)
class RegisterWorkerFailed(Message):
    """Master → worker: I cannot use you."""

    text: str


@message(314)
class MasterInStandby(Message):
    """Master → worker or application that registers: I am not the leader."""


@message(315)
class ReconnectWorker(Message):
    """Master → worker: I do not know you any more; register again."""

    term: int
    master_url: str


@message(316)
class LaunchExecutor(Message):
    """Master → worker: start an executor of this application."""

    term: int
    master_url: str
    app_id: ApplicationId
    number: int
    description: ApplicationDescription
    cores: int
    memory_bytes: int


@message(317)
class KillExecutor(Message):
    """Master → worker: end that executor."""

    term: int
    master_url: str
    app_id: ApplicationId
    number: int


@message(318)
class LaunchDriver(Message):
    """Master → worker: start this driver."""

    term: int
    driver_id: DriverId
    description: DriverDescription


@message(319)
class KillDriver(Message):
    """Master → worker: end that driver."""

    term: int
    driver_id: DriverId


@message(320)
class ApplicationFinished(Message):
    """Master → worker: clean up what belongs to that application."""

    term: int
    app_id: ApplicationId


@message(321)
class DecommissionWorker(Message):
    """Master → worker: finish what runs, start nothing new, then go."""

    term: int


# -- application ↔ master --------------------------------------------------------------------------------------------


@message(322)
class RegisterApplication(Message):
    """Driver → master: give me executors; `app_client` takes the answers."""

    description: ApplicationDescription
    app_client: RpcEndpointRef


@message(323)
class RegisteredApplication(Message):
    """Master → driver: this is your id."""

    term: int
    app_id: ApplicationId
    master: RpcEndpointRef
    master_url: str


@message(324)
class UnregisterApplication(Message):
    """Driver → master: I am done."""

    app_id: ApplicationId


@message(325)
class MasterChanged(Message):
    """New master → workers and applications that it found on disk: I am the leader, who is there?"""

    term: int
    master: RpcEndpointRef
    master_url: str


@message(326)
class MasterChangeAcknowledged(Message):
    """Driver → new master: I am still there."""

    app_id: ApplicationId


@message(327)
class RequestExecutors(Ask[Acknowledged]):
    """Driver → master: I want this many executors in all; asking again for the same is no change."""

    app_id: ApplicationId
    total: int


@message(328)
class KillExecutors(Ask[Acknowledged]):
    """Driver → master: end these executors of mine."""

    app_id: ApplicationId
    executor_ids: tuple[ExecutorId, ...]


@message(329)
class ExecutorAllotted(Message):
    """Master → driver: an executor was started for you. Spark's ExecutorAdded of the deploy messages."""

    term: int
    number: int
    worker_id: WorkerId
    host: str
    cores: int
    memory_bytes: int


@message(330)
class ExecutorUpdated(Message):
    """Master → driver: an executor of yours is in this state now; `worker_lost`: its whole host went with it."""

    term: int
    number: int
    state: ExecutorState
    text: str
    exit_code: int | None = None
    worker_host: str = ""
    worker_lost: bool = False


@message(331)
class WorkerRemoved(Message):
    """Master → driver: that worker is gone, and with it what its shuffle service kept."""

    term: int
    worker_id: WorkerId
    host: str
    text: str


@message(332)
class ApplicationRemoved(Message):
    """Master → driver: I gave you up, because of `text`."""

    term: int
    text: str


ToMaster = (
    RegisterWorker
    | WorkerHeartbeat
    | WorkerLatestState
    | ExecutorStateChanged
    | DriverStateChanged
    | WorkerSchedulerStateResponse
    | WorkerDecommissioning
    | RegisterApplication
    | UnregisterApplication
    | MasterChangeAcknowledged
    | RequestExecutors
    | KillExecutors
    | FromClient
)
ToWorker = (
    RegisteredWorker
    | RegisterWorkerFailed
    | MasterInStandby
    | ReconnectWorker
    | MasterChanged
    | LaunchExecutor
    | KillExecutor
    | LaunchDriver
    | KillDriver
    | ApplicationFinished
    | DecommissionWorker
)
ToAppClient = (
    RegisteredApplication
    | MasterInStandby
    | MasterChanged
    | ExecutorAllotted
    | ExecutorUpdated
    | WorkerRemoved
    | ApplicationRemoved
)
