"""What a master keeps of its cluster on disk, and what it says to itself. Tags 343, 344, 390–395.

Nothing in a record can change but by a new one under the same key: executors and resources are not among them, since
workers tell a new leader what runs. Source: the objects that Spark's PersistenceEngine keeps; MasterMessages.
"""

from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_values import ApplicationDescription, DriverDescription
from minispark.rpc.message import Message, message
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "ApplicationEntry",
    "CheckForWorkerTimeOut",
    "ClusterEntry",
    "CompleteRecovery",
    "DriverEntry",
    "ElectedLeader",
    "RevokedLeadership",
    "ScheduleAgain",
    "ToMasterItself",
    "WorkerEntry",
]


@message(343)
class CheckForWorkerTimeOut(Message):
    """Look for workers that were silent for too long."""


@message(344)
class CompleteRecovery(Message):
    """Whoever has not answered by now does not live any more; `term` is that in which the recovery began."""

    term: int


@message(390)
class WorkerEntry(Message):
    """A worker that is registered."""

    worker_id: WorkerId
    host: str
    worker: RpcEndpointRef
    cores: int
    memory_bytes: int
    web_url: str = ""
    shuffle_port: int = 0

    @property
    def key(self) -> str:
        """The record's name."""
        return f"worker_{self.worker_id}"


@message(391)
class ApplicationEntry(Message):
    """An application that has not ended.

    `submitted_at` is in seconds since the epoch. No executor of it had the number `numbers_below` or a higher one, so
    that a new leader gives none a number that an executor had which nobody remembers.
    """

    app_id: ApplicationId
    description: ApplicationDescription
    app_client: RpcEndpointRef
    submitted_at: float
    numbers_below: int

    @property
    def key(self) -> str:
        """The record's name."""
        return f"app_{self.app_id}"


@message(392)
class DriverEntry(Message):
    """A driver that has not ended; `worker_id` is empty until it is given to a worker."""

    driver_id: DriverId
    description: DriverDescription
    submitted_at: float
    worker_id: WorkerId = WorkerId("")

    @property
    def key(self) -> str:
        """The record's name."""
        return f"driver_{self.driver_id}"


ClusterEntry = WorkerEntry | ApplicationEntry | DriverEntry


@message(393)
class ElectedLeader(Message):
    """This master is the leader from now on; `entries` is what the one before it left."""

    term: int
    entries: tuple[ClusterEntry, ...]


@message(394)
class RevokedLeadership(Message):
    """This master is the leader no more, because of `text`; it must not say another word."""

    text: str


@message(395)
class ScheduleAgain(Message):
    """Place what can be placed: an application whose executors kept failing may have another one now."""


ToMasterItself = CheckForWorkerTimeOut | CompleteRecovery | ElectedLeader | RevokedLeadership | ScheduleAgain
