"""Real schedulers over simulated executors, some of which are bad; used by the tests of exclusion."""

from collections.abc import Callable

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.messages.listener import Excluded, ListenerEvent
from minispark.messages.task import (
    TaskDescription,
    TaskOutcome,
)
from minispark.scheduler.exclusions import Exclusions
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript, raised
from minispark.testing.simulated_cluster import SimulatedCluster, SimulatedJob

HOUR = 3600.0
Bad = Callable[[TaskDescription, SimulatedExecutor], bool]


class Events:
    """Keeps events."""

    wants_tasks = False

    def __init__(self) -> None:
        self.posted: list[ListenerEvent] = []

    def post(self, event: ListenerEvent) -> None:
        self.posted.append(event)

    def excluded(self, stage_id: int = -1) -> list[str]:
        """Return the executors, or hosts, that a stage or the application has left, in order."""
        events = [event for event in self.posted if isinstance(event, Excluded) and event.stage_id == stage_id]
        return [event.executor_id or event.host for event in events]


class Failing(TaskScript):
    """Attempts fail where they are said to; tasks take `seconds`, or what `slow` says of their partition."""

    def __init__(self, bad: Bad, seconds: float = 1.0, outcome: TaskOutcome | None = None) -> None:
        super().__init__(seconds)
        self.bad = bad
        self.failure = outcome or raised("bad host")
        self.slow: dict[tuple[int, int], float] = {}  # (job, partition) → seconds

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return self.slow.get((task.job_id, task.partition), self.seconds)

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        return self.failure if self.bad(task, executor) else self.success(task, executor)


class Allocation:
    """Ends executors when it is told to, and starts others in their place after a while, if it can."""

    def __init__(self, cluster: SimulatedCluster, replace_after_s: float | None) -> None:
        self.cluster = cluster
        self.replace_after_s = replace_after_s
        self.removed: list[tuple[str, bool]] = []
        self.is_obedient = True

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        self.removed.append((executor_id, decommission))
        if not self.is_obedient:
            return
        self.cluster.backend.lose(executor_id, reason=reason)
        if self.replace_after_s is not None:
            new = SimulatedExecutor(ExecutorId(f"new-{len(self.removed)}"), "host-new")
            self.cluster.world.call_later(self.replace_after_s, self.cluster.backend.add, new)

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        self.removed.append((host, decommission))
        for slots in list(self.cluster.backend.slots.values()):
            if slots.executor.host == host:
                self.cluster.backend.lose(slots.executor.executor_id, reason=reason)


def settings(**values: object) -> SparkConf:
    """Return settings with exclusion on; `stage_x=1` is minispark.excludeOnFailure.stage.x."""
    conf = SparkConf(environment={}).set("minispark.excludeOnFailure.enabled", True)
    for key, value in values.items():
        conf.set("minispark.excludeOnFailure." + key.replace("_", "."), value)
    return conf


class Case:
    """A cluster with a script and settings."""

    def __init__(self, members: list[SimulatedExecutor], script: TaskScript, conf: SparkConf | None = None) -> None:
        self.events = Events()
        self.cluster = SimulatedCluster(
            members, conf=settings() if conf is None else conf, script=script, events=self.events
        )
        self.launches: list[tuple[int, int, str]] = []  # job, partition, executor
        self.cluster.backend.on_launch = self.launched

    def launched(self, task: TaskDescription, executor: SimulatedExecutor) -> None:
        self.launches.append((task.job_id, task.partition, executor.executor_id))

    def used_by(self, job: SimulatedJob) -> list[str]:
        """Return where a job's tasks were launched, in order."""
        return [executor for job_id, _, executor in self.launches if job_id == job.job_id]

    def submit(self, partitions: int, hosts: list[str] | None = None) -> SimulatedJob:
        build = LineageBuilder()
        build.source(partitions, [hosts] * partitions if hosts else ())
        return self.cluster.submit(build.lineage())

    def run(self, partitions: int, hosts: list[str] | None = None) -> SimulatedJob:
        """Run a job to its end; exclusions last longer."""
        job = self.submit(partitions, hosts)
        self.cluster.run(until_s=self.cluster.world.monotonic() + HOUR / 2)
        self.cluster.check()
        self.cluster.assert_empty()
        return job

    def exclusions(self) -> Exclusions:
        assert self.cluster.tasks.watch.exclusions is not None
        return self.cluster.tasks.watch.exclusions

    def allocation(self, replace_after_s: float | None = None) -> Allocation:
        allocation = self.exclusions().allocation = Allocation(self.cluster, replace_after_s)
        return allocation


def on_host(*hosts: str) -> Bad:
    return lambda task, executor: executor.host in hosts


def everywhere(task: TaskDescription, executor: SimulatedExecutor) -> bool:
    return True
