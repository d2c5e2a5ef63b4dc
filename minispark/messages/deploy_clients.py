"""Clients ↔ master: run a driver, end it, show the cluster. Tags 333–342. Source: Spark's DeployMessages."""

from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_values import (
    Acknowledged,
    ApplicationState,
    DriverDescription,
    DriverState,
    MasterState,
    WorkerState,
)
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "ApplicationSummary",
    "DecommissionWorkersOnHosts",
    "DriverSummary",
    "FromClient",
    "MasterStatus",
    "RequestDriverStatus",
    "RequestKillDriver",
    "RequestMasterStatus",
    "RequestSubmitDriver",
    "SubmitDriverResponse",
    "WorkerSummary",
]


@message(333)
class SubmitDriverResponse(Message):
    """Master → client: what became of the request; `driver_id` empty and `text` why, if nothing."""

    driver_id: DriverId
    text: str = ""


@message(334)
class RequestSubmitDriver(Ask[SubmitDriverResponse]):
    """Client → master: run this driver."""

    description: DriverDescription


@message(335)
class RequestKillDriver(Ask[Acknowledged]):
    """Client → master: end that driver."""

    driver_id: DriverId


@message(336)
class DriverSummary(Message):
    """One driver, for people; state UNKNOWN with an empty id: there is none."""

    driver_id: DriverId
    state: DriverState
    worker_id: WorkerId = WorkerId("")
    worker_host: str = ""
    text: str = ""
    cores: int = 0
    memory_bytes: int = 0
    submitted_at: float = 0.0


@message(337)
class RequestDriverStatus(Ask[DriverSummary]):
    """Client → master: how is that driver?"""

    driver_id: DriverId


@message(338)
class WorkerSummary(Message):
    """One worker, for people; `heartbeat_age_s` is how long ago it was heard of."""

    worker_id: WorkerId
    host: str
    state: WorkerState
    cores: int
    cores_used: int
    memory_bytes: int
    memory_used_bytes: int
    heartbeat_age_s: float
    web_url: str = ""


@message(339)
class ApplicationSummary(Message):
    """One application, for people; `cores` are those it has, `submitted_at` in seconds since the epoch."""

    app_id: ApplicationId
    name: str
    user: str
    state: ApplicationState
    cores: int
    executors: int
    memory_per_executor_bytes: int
    submitted_at: float
    duration_s: float
    ui_url: str = ""


@message(340)
class MasterStatus(Message):
    """Master → client: all that a person wants to see."""

    url: str
    state: MasterState
    term: int
    workers: tuple[WorkerSummary, ...]
    active_apps: tuple[ApplicationSummary, ...]
    completed_apps: tuple[ApplicationSummary, ...]
    active_drivers: tuple[DriverSummary, ...]
    completed_drivers: tuple[DriverSummary, ...]


@message(341)
class RequestMasterStatus(Ask[MasterStatus]):
    """Client → master: how is the cluster?"""


@message(342)
class DecommissionWorkersOnHosts(Ask[Acknowledged]):
    """Client → master: have the workers on these hosts go away in order; none named: all. Answers their count."""

    hosts: tuple[str, ...]


FromClient = (
    RequestSubmitDriver | RequestKillDriver | RequestDriverStatus | RequestMasterStatus | DecommissionWorkersOnHosts
)
