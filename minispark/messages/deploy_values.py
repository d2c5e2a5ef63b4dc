"""What a cluster's conversations carry: the states and descriptions of its parts. Tags 300–304.

Source: Spark's DeployMessages, ExecutorState, DriverState, ApplicationDescription.
"""

import enum

from minispark.ids import ApplicationId
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Attachment, Message, message

__all__ = [
    "Acknowledged",
    "ApplicationDescription",
    "ApplicationState",
    "DriverDescription",
    "DriverState",
    "ExecutorRecord",
    "ExecutorState",
    "MasterState",
    "ShippedFile",
    "WorkerState",
]


class ExecutorState(enum.IntEnum):
    """Where an executor process is, as master and worker see it."""

    LAUNCHING = 0
    RUNNING = 1
    KILLED = 2
    FAILED = 3
    LOST = 4
    EXITED = 5
    DECOMMISSIONED = 6

    @property
    def is_finished(self) -> bool:
        """Whether the process is gone."""
        return self in (ExecutorState.KILLED, ExecutorState.FAILED, ExecutorState.LOST, ExecutorState.EXITED)


class DriverState(enum.IntEnum):
    """Where a driver that the cluster runs is."""

    SUBMITTED = 0
    RUNNING = 1
    FINISHED = 2
    RELAUNCHING = 3
    UNKNOWN = 4
    KILLED = 5
    FAILED = 6
    ERROR = 7


class WorkerState(enum.IntEnum):
    """Where a worker is, as the master sees it."""

    ALIVE = 0
    DEAD = 1
    DECOMMISSIONED = 2
    UNKNOWN = 3


class ApplicationState(enum.IntEnum):
    """Where an application is."""

    WAITING = 0
    RUNNING = 1
    FINISHED = 2
    FAILED = 3
    KILLED = 4
    UNKNOWN = 5


class MasterState(enum.IntEnum):
    """What a master does: waits for its election, asks who is still there, or rules."""

    STANDBY = 0
    RECOVERING = 1
    COMPLETING_RECOVERY = 2
    ALIVE = 3


@message(300)
class ShippedFile(Message):
    """A small file that goes with a request: `name` has no directories."""

    name: str
    data: Attachment


@message(301)
class ApplicationDescription(Message):
    """What an application asks of the cluster.

    `realm` names the secret of its processes. `max_cores` 0: as many as there are (`deploy.defaultCores`);
    `cores_per_executor` 0: one executor on each worker, with all cores that it gets there; `executor_limit` −1:
    no limit. `environment` is added to that of its executors. `python` is the interpreter that the driver wants its
    executors to run, empty for the worker's own.
    """

    name: str
    realm: str
    user: str
    driver: RpcAddress
    max_cores: int
    cores_per_executor: int
    memory_per_executor_bytes: int
    executor_limit: int
    environment: dict[str, str]
    python: str = ""
    ui_url: str = ""


@message(302)
class DriverDescription(Message):
    """A program that the cluster shall run as an application's driver.

    `argv` are the arguments of the interpreter; `files` are written to the driver's directory before it starts, which
    is its working directory. `supervise`: start it again when it fails.
    """

    argv: tuple[str, ...]
    cores: int
    memory_bytes: int
    supervise: bool
    environment: dict[str, str]
    files: tuple[ShippedFile, ...] = ()


@message(303)
class ExecutorRecord(Message):
    """An executor of an application on a worker; `number` counts within the application and is its ExecutorId."""

    app_id: ApplicationId
    number: int
    cores: int
    memory_bytes: int
    state: ExecutorState


@message(304)
class Acknowledged(Message):
    """The request was taken (`done`), or had no effect because of `text`; `count` where it asked for several."""

    done: bool = True
    text: str = ""
    count: int = 0
