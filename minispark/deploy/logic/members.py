"""Workers, applications, executors and drivers as a master knows them, with the resources they hold.

Plain data of `logic.cluster`; changed by the master's machine alone. Source: Spark's WorkerInfo, ApplicationInfo,
ExecutorDesc, DriverInfo.
"""

from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_records import ApplicationEntry, DriverEntry, WorkerEntry
from minispark.messages.deploy_values import ApplicationState, DriverState, ExecutorState, WorkerState

__all__ = ["NUMBERS_AT_ONCE", "Application", "Driver", "Executor", "Worker"]

NUMBERS_AT_ONCE = 100
"""How many numbers of executors are put down for an application at once: one write for so many executors."""


class Executor:
    """An executor that was started; `number` counts within its application."""

    __slots__ = ("app", "cores", "memory_bytes", "number", "state", "worker")

    def __init__(self, app: "Application", worker: "Worker", number: int, cores: int, memory_bytes: int) -> None:
        self.app = app
        self.worker = worker
        self.number = number
        self.cores = cores
        self.memory_bytes = memory_bytes
        self.state = ExecutorState.LAUNCHING

    @property
    def name(self) -> str:
        """What people are told."""
        return f"{self.app.app_id}/{self.number}"


class Worker:
    """A host that runs executors and drivers.

    Attributes:
        heard_s: when it was heard of last, on the master's monotonic clock.
        executors: by application and number; those of a decommissioned worker too, until they end.
    """

    __slots__ = ("cores_used", "drivers", "entry", "executors", "heard_s", "memory_used_bytes", "state")

    def __init__(self, entry: WorkerEntry, heard_s: float) -> None:
        self.entry = entry
        self.heard_s = heard_s
        self.state = WorkerState.ALIVE
        self.executors: dict[tuple[ApplicationId, int], Executor] = {}
        self.drivers: dict[DriverId, Driver] = {}
        self.cores_used = 0
        self.memory_used_bytes = 0

    @property
    def worker_id(self) -> WorkerId:
        """Its name."""
        return self.entry.worker_id

    @property
    def cores_free(self) -> int:
        """Cores that nobody has."""
        return self.entry.cores - self.cores_used

    @property
    def memory_free_bytes(self) -> int:
        """Bytes that nobody has."""
        return self.entry.memory_bytes - self.memory_used_bytes

    def has_room(self, cores: int, memory_bytes: int) -> bool:
        """Tell whether so much is free."""
        return cores <= self.cores_free and memory_bytes <= self.memory_free_bytes

    def add_executor(self, executor: Executor) -> None:
        """Let an executor have its resources."""
        self.executors[executor.app.app_id, executor.number] = executor
        self.cores_used += executor.cores
        self.memory_used_bytes += executor.memory_bytes

    def remove_executor(self, executor: Executor) -> None:
        """Take them back; nothing happens if that was done."""
        if self.executors.pop((executor.app.app_id, executor.number), None) is not None:
            self.cores_used -= executor.cores
            self.memory_used_bytes -= executor.memory_bytes

    def add_driver(self, driver: "Driver") -> None:
        """Let a driver have its resources."""
        driver.worker = self
        self.drivers[driver.driver_id] = driver
        self.cores_used += driver.entry.description.cores
        self.memory_used_bytes += driver.entry.description.memory_bytes

    def remove_driver(self, driver: "Driver") -> None:
        """Take them back; nothing happens if that was done."""
        if self.drivers.pop(driver.driver_id, None) is not None:
            self.cores_used -= driver.entry.description.cores
            self.memory_used_bytes -= driver.entry.description.memory_bytes


class Application:
    """A program that wants executors.

    Attributes:
        executors: by number, those that count.
        leaving: by number, those of decommissioned workers: they do not count any more, but the application is told
            when they end.
        executor_limit: how many it wants at most; None: no limit.
        failures_in_a_row: executors that ended badly since one ran.
        paused_until_s: when it may have executors again, on the master's monotonic clock.
    """

    __slots__ = (
        "cores_granted", "ended_at", "entry", "executor_limit", "executors", "failures_in_a_row", "leaving",
        "max_cores", "next_number", "paused_until_s", "state",
    )  # fmt: skip

    def __init__(self, entry: ApplicationEntry, max_cores: int | None) -> None:
        description = entry.description
        self.entry = entry
        self.max_cores = max_cores
        self.state = ApplicationState.WAITING
        self.executors: dict[int, Executor] = {}
        self.leaving: dict[int, Executor] = {}
        self.executor_limit = None if description.executor_limit < 0 else description.executor_limit
        self.next_number = 0
        self.cores_granted = 0
        self.failures_in_a_row = 0
        self.paused_until_s = 0.0
        self.ended_at: float | None = None

    @property
    def app_id(self) -> ApplicationId:
        """Its name."""
        return self.entry.app_id

    def add_executor(self, executor: Executor) -> None:
        """Count an executor."""
        self.executors[executor.number] = executor
        self.cores_granted += executor.cores
        self.next_number = max(self.next_number, executor.number + 1)

    def remove_executor(self, executor: Executor) -> None:
        """Count an executor no more; nothing happens if it is not counted."""
        if self.executors.pop(executor.number, None) is not None:
            self.cores_granted -= executor.cores
        self.leaving.pop(executor.number, None)

    def let_go(self, executor: Executor) -> None:
        """Count an executor no more that will go, so that another can take its place."""
        self.remove_executor(executor)
        self.leaving[executor.number] = executor


class Driver:
    """A driver that the cluster runs, or shall run."""

    __slots__ = ("entry", "state", "text", "worker")

    def __init__(self, entry: DriverEntry) -> None:
        self.entry = entry
        self.state = DriverState.SUBMITTED
        self.text = ""
        self.worker: Worker | None = None

    @property
    def driver_id(self) -> DriverId:
        """Its name."""
        return self.entry.driver_id
