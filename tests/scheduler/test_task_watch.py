"""minispark.scheduler.task_watch: timers of exclusion and speculation."""

import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.ids import ExecutorId, StageId, TaskId
from minispark.messages.scheduler import AttemptsProgressed, CheckSpeculation, UnschedulableExpired
from minispark.testing.builders import LineageBuilder, task_set
from minispark.testing.simulated_cluster import SimulatedCluster, executors
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import FakeBackend, SchedulerHarness


def conf(**values: object) -> SparkConf:
    settings = SparkConf(environment={})
    for key, value in values.items():
        settings.set("minispark." + key.replace("_", "."), value)
    return settings


def test_by_default_nothing_is_watched_and_no_timer_is_set() -> None:
    cluster = SimulatedCluster(executors(2))
    build = LineageBuilder()
    build.source(4)
    cluster.submit(build.lineage())
    cluster.run(until_s=0.5)
    watch = cluster.tasks.watch
    assert (watch.exclusions, watch.speculations, watch.health()) == (None, None, None)
    assert watch.timers == {}
    (tasks,) = cluster.tasks.task_sets()
    assert (tasks.exclusion, tasks.speculation) == (None, None)
    for message in (CheckSpeculation(), AttemptsProgressed((TaskId(0),), (1,), (1.0,))):
        cluster.tasks_ref.send(message)
    cluster.run()
    cluster.assert_empty()


def test_settings_that_contradict_each_other_fail_the_start() -> None:
    settings = conf(excludeOnFailure_enabled=True, task_maxFailures=2)
    with pytest.raises(ConfigurationError, match=r"maxTaskAttemptsPerNode = 2 must be below .*maxFailures = 2"):
        SimulatedCluster(executors(1), conf=settings)


def test_the_end_of_the_scheduler_is_the_end_of_its_timers() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(conf(speculation=True))
        harness.tell(task_set([0, 1]))
        timers = dict(harness.scheduler.watch.timers)
        assert len(timers) == 1
        harness.scheduler.on_stop()
        assert harness.scheduler.watch.timers == {}
        assert all(timer.cancelled() for timer in timers.values())

    run_virtual(scenario())


def test_the_timer_of_a_set_that_has_ended_means_nothing() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(conf(excludeOnFailure_enabled=True))
        harness.tell(UnschedulableExpired(StageId(9), 0))
        harness.tell(task_set([0]))
        harness.tell(UnschedulableExpired(StageId(0), 0))
        assert harness.aborts() == []

    run_virtual(scenario())


class AllocatingBackend(FakeBackend):
    """A backend that can end executors."""

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        raise AssertionError("nothing is excluded")

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        raise AssertionError("nothing is excluded")


def test_a_backend_that_can_end_executors_is_asked_to() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(conf(excludeOnFailure_enabled=True))
        exclusions = harness.scheduler.watch.exclusions
        assert exclusions is not None
        assert exclusions.allocation is None, "this one cannot"
        backend = AllocatingBackend()
        harness.scheduler.attach(backend)
        assert exclusions.allocation is backend

    run_virtual(scenario())
