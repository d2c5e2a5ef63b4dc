"""What runs on a worker: executors, drivers, applications whose end was announced; the decisions of `deploy.worker`.

It refuses what a worker that goes away, or that runs the thing already, must not start, and says what is to be
cleaned up. It must not start or end anything itself. Source: Spark's Worker.
"""

import enum
from dataclasses import dataclass
from typing import TypeVar

from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import DriverStateChanged, ExecutorStateChanged, LaunchExecutor
from minispark.messages.deploy_values import DriverDescription, DriverState, ExecutorRecord, ExecutorState

__all__ = ["EndedDriver", "EndedExecutor", "ExecutorKey", "Refusal", "WorkerState"]

ExecutorKey = tuple[ApplicationId, int]
K = TypeVar("K")
V = TypeVar("V")


class Refusal(enum.Enum):
    """Why something is not started."""

    RUNS_ALREADY = "it runs here already"
    DECOMMISSIONED = "the worker is going away and starts nothing"


@dataclass(frozen=True)
class EndedExecutor:
    """An executor that was here, for people."""

    record: ExecutorRecord
    text: str
    exit_code: int | None


@dataclass(frozen=True)
class EndedDriver:
    """A driver that was here, for people."""

    driver_id: DriverId
    state: DriverState
    text: str


class WorkerState:
    """What a worker runs, and the last of what it ran.

    Args:
        retained_executors: how many that have ended are remembered.
        retained_drivers: how many that have ended are remembered.

    Attributes:
        decommissioned: whether nothing is to be started any more.
    """

    def __init__(self, retained_executors: int, retained_drivers: int) -> None:
        self.retained_executors = retained_executors
        self.retained_drivers = retained_drivers
        self.executors: dict[ExecutorKey, ExecutorRecord] = {}
        self.drivers: dict[DriverId, DriverDescription] = {}
        self.ended_executors: dict[ExecutorKey, EndedExecutor] = {}
        self.ended_drivers: dict[DriverId, EndedDriver] = {}
        self.applications: dict[ApplicationId, None] = {}
        self.finished: dict[ApplicationId, None] = {}
        self.decommissioned = False

    # -- executors -----------------------------------------------------------------------------------------------

    def launch_executor(self, message: LaunchExecutor) -> Refusal | None:
        """Take a new executor in, or say why not."""
        key = message.app_id, message.number
        if key in self.executors:
            return Refusal.RUNS_ALREADY
        if self.decommissioned:
            return Refusal.DECOMMISSIONED
        self.executors[key] = ExecutorRecord(
            message.app_id, message.number, message.cores, message.memory_bytes, ExecutorState.LAUNCHING
        )
        self.applications[message.app_id] = None
        return None

    def executor_changed(self, message: ExecutorStateChanged) -> bool:
        """Take an executor's new state; return whether it ended just now."""
        key = message.app_id, message.number
        record = self.executors.get(key)
        if record is None:
            return False
        record = ExecutorRecord(record.app_id, record.number, record.cores, record.memory_bytes, message.state)
        if not message.state.is_finished:
            self.executors[key] = record
            return False
        del self.executors[key]
        self.ended_executors[key] = EndedExecutor(record, message.text, message.exit_code)
        trim(self.ended_executors, self.retained_executors)
        return True

    def executors_of(self, app_id: ApplicationId) -> list[ExecutorKey]:
        """Return the executors of an application that run here."""
        return [key for key in self.executors if key[0] == app_id]

    # -- drivers -------------------------------------------------------------------------------------------------

    def launch_driver(self, driver_id: DriverId, description: DriverDescription) -> Refusal | None:
        """Take a new driver in, or say why not."""
        if driver_id in self.drivers:
            return Refusal.RUNS_ALREADY
        if self.decommissioned:
            return Refusal.DECOMMISSIONED
        self.drivers[driver_id] = description
        return None

    def driver_changed(self, message: DriverStateChanged) -> None:
        """Take a driver's final state."""
        if self.drivers.pop(message.driver_id, None) is not None:
            self.ended_drivers[message.driver_id] = EndedDriver(message.driver_id, message.state, message.text)
            trim(self.ended_drivers, self.retained_drivers)

    # -- applications --------------------------------------------------------------------------------------------

    def application_finished(self, app_id: ApplicationId, *, left_files: bool = False) -> None:
        """Take note that an application has ended; it is forgotten when its last executor here has.

        Args:
            app_id: which.
            left_files: whether it has a folder here, also if no executor of it was started by this worker.
        """
        if left_files:
            self.applications[app_id] = None
        if app_id in self.applications:
            self.finished[app_id] = None

    def take_cleanable(self) -> list[ApplicationId]:
        """Return the applications that have ended and of which nothing runs here any more, once."""
        cleanable = [app_id for app_id in self.finished if not self.executors_of(app_id)]
        for app_id in cleanable:
            del self.finished[app_id]
            del self.applications[app_id]
        return cleanable

    # -- reports -------------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self.executors and not self.drivers

    def running_names(self) -> set[str]:
        """Return the ids whose folders are in use: of applications that have not been cleaned up, and of drivers."""
        return {*self.applications, *self.drivers}

    def check(self) -> None:
        """Assert the invariants."""
        assert all(app_id in self.applications for app_id, _ in self.executors)
        assert all(app_id in self.applications for app_id in self.finished)
        assert len(self.ended_executors) <= self.retained_executors
        assert len(self.ended_drivers) <= self.retained_drivers
        assert not any(record.state.is_finished for record in self.executors.values())


def trim(ended: dict[K, V], retained: int) -> None:
    """Forget the oldest tenth when there are too many: forgetting one by one would happen at every end."""
    if len(ended) > retained:
        for key in list(ended)[: max(retained // 10, len(ended) - retained)]:
            del ended[key]
