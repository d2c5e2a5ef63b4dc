"""minispark.scheduler.speculations: real schedulers over simulated executors, some of which are slow."""

import pytest

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, TaskId
from minispark.messages.heartbeat import TaskProgress
from minispark.messages.listener import ListenerEvent, SpeculativeTaskSubmitted, TaskEnd
from minispark.messages.scheduler import AttemptsProgressed
from minispark.messages.task import DirectResult, Success, TaskDescription, TaskKilled, TaskMetrics, TaskOutcome
from minispark.scheduler.speculations import attempts_progressed
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript
from minispark.testing.simulated_cluster import SimulatedCluster, SimulatedJob, executors


class Events:
    """Keeps events."""

    wants_tasks = True

    def __init__(self) -> None:
        self.posted: list[ListenerEvent] = []

    def post(self, event: ListenerEvent) -> None:
        self.posted.append(event)


class SlowHost(TaskScript):
    """Tasks take a second, but on host-0 a thousand."""

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return 1000.0 if executor.host == "host-0" else 1.0


class LateFirst(TaskScript):
    """The first attempt of task 0 takes 2.5 s and its news 5 s more; task 5 takes 20 s, all others one."""

    def __init__(self) -> None:
        super().__init__()
        self.finished: list[tuple[int, int]] = []

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        if task.partition == 5:
            return 20.0
        return 2.5 if (task.partition, task.attempt_number) == (0, 0) else 1.0

    def late_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return 5.0 if (task.partition, task.attempt_number) == (0, 0) else 0.0

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        self.finished.append((task.partition, task.attempt_number))
        return super().outcome(task, executor)


class SlowFirst(TaskScript):
    """The first attempt of the first task takes a hundred seconds, all others take one."""

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return 100.0 if (task.partition, task.attempt_number) == (0, 0) else 1.0


def settings(**values: object) -> SparkConf:
    """Return settings with speculation on, of tasks twice as slow as the median of half of them."""
    conf = SparkConf(environment={}).set("minispark.speculation", True)
    conf.set("minispark.speculation.quantile", 0.5).set("minispark.speculation.multiplier", 2)
    for key, value in values.items():
        conf.set("minispark.speculation." + key.replace("_", "."), value)
    return conf


class Case:
    """Executors with a core each, two to a host, unless given; host-0 is slow."""

    def __init__(
        self,
        *,
        script: TaskScript | None = None,
        conf: SparkConf | None = None,
        members: list[SimulatedExecutor] | None = None,
    ) -> None:
        self.events = Events()
        self.cluster = SimulatedCluster(
            members or executors(6, per_host=2),
            script=script or SlowHost(),
            conf=conf or settings(efficiency_enabled=False),
            events=self.events,
        )
        self.launches: list[TaskDescription] = []
        self.hosts: list[str] = []
        self.cluster.backend.on_launch = self.launched

    def launched(self, task: TaskDescription, executor: SimulatedExecutor) -> None:
        self.launches.append(task)
        self.hosts.append(executor.host)

    def submit(self, partitions: int, hosts: list[str] | None = None, *, shuffled: bool = False) -> SimulatedJob:
        build = LineageBuilder()
        source = build.source(partitions, [hosts] * partitions if hosts else ())
        if shuffled:
            build.shuffled(source, 2)
        return self.cluster.submit(build.lineage())

    def run(self, until_s: float = float("inf")) -> None:
        self.cluster.run(until_s)
        self.cluster.check()

    def slow(self) -> list[int]:
        return [event.index for event in self.events.posted if isinstance(event, SpeculativeTaskSubmitted)]

    def second_attempts(self) -> list[tuple[int, str]]:
        """Return the partitions that were launched again, and where."""
        launches = zip(self.launches, self.hosts, strict=True)
        return [(task.partition, host) for task, host in launches if task.attempt_number > 0]

    def ends(self, partition: int) -> list[object]:
        return [
            event.reason
            for event in self.events.posted
            if isinstance(event, TaskEnd) and event.task.partition == partition
        ]


@pytest.mark.scenario("TSM-039")
def test_a_slow_task_is_tried_on_another_host_and_the_slow_attempt_is_killed() -> None:
    case = Case()
    job = case.submit(12)
    case.run()
    assert job.failure is None
    assert job.response_s < 10.0
    slow = case.slow()
    assert len(slow) == 2
    for index in slow:
        first, last = case.ends(index)
        assert isinstance(first, Success)
        assert isinstance(last, TaskKilled)
        assert "another attempt succeeded" in last.reason
    case.cluster.assert_empty()


@pytest.mark.scenario("TSM-040")
def test_killed_attempts_are_no_failures_of_their_task() -> None:
    case = Case(conf=settings(efficiency_enabled=False).set("minispark.task.maxFailures", 1))
    job = case.submit(12)
    case.run()
    assert len(case.slow()) == 2
    assert job.failure is None
    assert len(job.results) == 12


@pytest.mark.scenario("TSM-041")
def test_an_attempt_that_succeeds_after_another_one_did_is_reported_as_killed() -> None:
    script = LateFirst()
    case = Case(script=script, members=executors(4))
    job = case.submit(5)
    case.run()
    assert job.failure is None
    assert script.finished.count((0, 0)) == script.finished.count((0, 1)) == 1, "both have succeeded"
    first, late = case.ends(0)
    assert isinstance(first, Success)
    assert isinstance(late, TaskKilled)
    case.cluster.assert_empty()


@pytest.mark.scenario("TSM-042", "26755: speculatable task submitted once")
def test_a_slow_task_is_submitted_once_though_it_is_looked_at_again_and_again() -> None:
    case = Case(members=executors(4, per_host=4), script=SlowFirst())  # there is no other host
    job = case.submit(4)
    case.run()
    assert case.slow() == [0]
    assert job.response_s == 100.0


@pytest.mark.scenario("TSM-042", "never on a host with a running attempt")
def test_a_second_attempt_never_runs_on_the_host_of_the_first() -> None:
    case = Case(members=executors(4, per_host=4), script=SlowFirst())
    job = case.submit(3)
    case.run(until_s=50.0)
    assert case.slow() == [0]
    assert case.second_attempts() == []
    case.cluster.backend.add(SimulatedExecutor(ExecutorId("other"), "host-1"))
    case.run(until_s=60.0)
    assert case.second_attempts() == [(0, "host-1")]
    assert job.failure is None
    assert job.response_s == 51.0


@pytest.mark.scenario("TSM-042", "keeps locality preferences")
def test_a_second_attempt_prefers_the_same_places() -> None:
    conf = settings(efficiency_enabled=False).set("minispark.locality.wait", "0s")
    case = Case(members=executors(8), conf=conf, script=SlowFirst())
    case.submit(6, ["host-0", "host-2"])
    case.run()
    assert case.slow() == [0]
    first = next(host for task, host in zip(case.launches, case.hosts, strict=True) if task.partition == 0)
    assert {first, case.second_attempts()[0][1]} == {"host-0", "host-2"}


@pytest.mark.scenario("TSM-027")
def test_an_output_that_came_second_is_not_missed_when_its_executor_is_lost() -> None:
    script = LateFirst()
    case = Case(script=script, members=executors(4))
    job = case.submit(6, shuffled=True)
    case.run(until_s=9.0)
    assert (0, 0) in script.finished
    launched = list(case.launches)
    first = next(task for task in launched if (task.partition, task.attempt_number) == (0, 0))
    case.cluster.backend.lose(first.executor_id)
    case.run(until_s=19.0)
    assert case.launches == launched, "the map stage still runs, and nothing is done again"
    case.run()
    assert job.failure is None


class Rates(SlowHost):
    """Successes say that they read a hundred records."""

    def success(self, task: TaskDescription, executor: SimulatedExecutor) -> Success:
        return Success(DirectResult(False, (b"",)), TaskMetrics(records_read=100, run_time_ns=1_000_000_000))


def test_what_heartbeats_say_of_a_slow_task_keeps_it_alone() -> None:
    case = Case(script=Rates(), conf=settings(efficiency_longRunTaskFactor=10), members=executors(3))
    job = case.submit(6)
    case.run(until_s=1.5)
    slow = next(task for task, host in zip(case.launches, case.hosts, strict=True) if host == "host-0")
    case.cluster.tasks_ref.send(AttemptsProgressed((slow.task_id, TaskId(99)), (150, 1), (1.5, 1.0)))
    case.run(until_s=15.0)
    assert case.slow() == []
    case.run(until_s=25.0)
    assert case.slow() == [slow.index], "ten times over the threshold nothing excuses it"
    case.run()
    assert job.failure is None


def test_with_one_executor_nothing_is_looked_for() -> None:
    case = Case(members=executors(1, cores=4))
    job = case.submit(8)
    case.run()
    assert job.failure is None
    assert case.slow() == []


def test_looking_ends_with_the_last_task_set_and_starts_with_the_next() -> None:
    case = Case(members=executors(3))
    case.submit(3)
    case.run()
    watch = case.cluster.tasks.watch
    assert watch.timers == {}
    case.submit(6)
    case.run(until_s=case.cluster.world.monotonic() + 0.5)
    assert len(watch.timers) == 1
    case.run()
    assert watch.timers == {}


def test_the_records_of_a_heartbeat_are_those_read_of_any_source() -> None:
    counters = {"records_read": 3, "shuffle_read_records": 4, "spilled_bytes": 9}
    tasks = [TaskProgress(TaskId(1), 2.5, counters), TaskProgress(TaskId(2), 0.5, {})]
    assert attempts_progressed(tasks) == AttemptsProgressed((TaskId(1), TaskId(2)), (7, 0), (2.5, 0.5))
