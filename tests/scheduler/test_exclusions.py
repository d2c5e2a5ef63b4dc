"""minispark.scheduler.exclusions: real schedulers over simulated executors, some of which are bad."""

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.listener import Excluded, Unexcluded, UnschedulableTaskSet
from minispark.messages.task import (
    ExecutorLostFailure,
    FetchFailed,
    TaskCommitDenied,
    TaskDescription,
    TaskFailure,
    TaskKilled,
)
from minispark.scheduler.exclusions import Exclusions
from minispark.scheduler.exclusions import exclusions as exclusions_of
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.exclusion import TaskSetExclusion
from minispark.scheduler.logic.task_set import TaskSet
from minispark.testing.builders import location, task_set
from minispark.testing.scripted_tasks import SimulatedExecutor
from minispark.testing.simulated_cluster import executors
from tests.scheduler.exclusion_harness import HOUR, Case, Events, Failing, everywhere, on_host, settings

# -- a bad host that everybody prefers -------------------------------------------------------------------------------


@pytest.mark.scenario("SIT-003", "bad preferred node: without exclusion job fails")
def test_without_exclusion_a_bad_host_that_tasks_prefer_fails_the_job() -> None:
    case = Case(executors(20, cores=2, per_host=4), Failing(on_host("host-0")), SparkConf(environment={}))
    job = case.run(10, ["host-0"])
    assert job.failure is not None
    assert "failed 4 times" in job.failure.message
    assert case.cluster.tasks.watch.exclusions is None


@pytest.mark.scenario("SIT-003", "with defaults of exclusion succeeds despite several bad executors")
def test_with_the_defaults_of_exclusion_the_job_leaves_the_bad_host() -> None:
    case = Case(executors(20, cores=2, per_host=4), Failing(on_host("host-0")))
    job = case.run(10, ["host-0"])
    assert job.failure is None
    assert len(job.results) == 10
    assert any(
        event.host == "host-0" and not event.executor_id
        for event in case.events.posted
        if isinstance(event, Excluded)
    )


@pytest.mark.scenario("SIT-003", "bad node with many executors succeeds with the right settings")
def test_a_bad_host_with_many_executors_is_left_in_time_if_attempts_suffice() -> None:
    conf = settings(
        task_maxTaskAttemptsPerNode=4, stage_maxFailedTasksPerExecutor=9, stage_maxFailedExecutorsPerNode=9
    )
    conf.set("minispark.task.maxFailures", 5)
    case = Case(executors(20, cores=2, per_host=4), Failing(on_host("host-0")), conf)
    job = case.run(10, ["host-0"])
    assert job.failure is None
    assert len(job.results) == 10
    assert max(case.launches.count(launch) for launch in case.launches) == 1, "no task is tried twice on an executor"


@pytest.mark.scenario("SIT-003", "15865 progress with fewer executors than maxFailures")
def test_with_fewer_executors_than_attempts_a_job_fails_instead_of_waiting_for_ever() -> None:
    case = Case(executors(2), Failing(everywhere), settings())
    job = case.run(10)
    assert job.failure is not None
    assert "can run on no executor" in job.failure.message


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.scenario("TSM-021")
@pytest.mark.scenario("TSM-033")
def test_a_task_does_not_go_back_to_the_executor_where_it_failed_though_it_prefers_it() -> None:
    case = Case(executors(4), Failing(on_host("host-0")))
    job = case.run(1, ["host-0"])
    assert job.failure is None
    assert case.launches[0] == (0, 0, "exec-0")
    assert [executor for _, _, executor in case.launches].count("exec-0") == 1


class Excuses:
    """Tells, the long way, from all failures so far, whether a task is excluded from an executor by default rules."""

    def __init__(self, bad: set[tuple[int, int]]) -> None:
        self.bad = bad
        self.failed: list[tuple[int, int]] = []

    def fails(self, task: TaskDescription, executor: SimulatedExecutor) -> bool:
        attempt = (task.partition, number_of(executor))
        if attempt in self.bad:
            self.failed.append(attempt)
        return attempt in self.bad

    def exclude(self, index: int, executor: int) -> bool:
        neighbours = [number for number in range(6) if number // 2 == executor // 2]
        on_host = [where for task, where in self.failed if task == index and where in neighbours]
        return executor in on_host or len(on_host) >= 2 or self.left(executor) or all(map(self.left, neighbours))

    def left(self, executor: int) -> bool:
        return len({task for task, where in self.failed if where == executor}) >= 2


def number_of(executor: SimulatedExecutor) -> int:
    return int(executor.executor_id.removeprefix("exec-"))


@pytest.mark.scenario("TSI-021")
@pytest.mark.scenario("TSI-025")
@settings_of_hypothesis(max_examples=60)
@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=24))
def test_tasks_run_nowhere_they_are_excluded_from_and_are_given_up_only_when_that_is_everywhere(
    bad: set[tuple[int, int]],
) -> None:
    excuses = Excuses(bad)
    conf = settings().set("minispark.task.maxFailures", 10)
    case = Case(executors(6, per_host=2), Failing(excuses.fails), conf)
    wrong: list[str] = []

    def launched(task: TaskDescription, executor: SimulatedExecutor) -> None:
        if excuses.exclude(task.partition, number_of(executor)):
            wrong.append(f"{task.name} on {executor.executor_id}")

    case.cluster.backend.on_launch = launched
    job = case.run(5)
    assert not wrong
    stuck = [index for index in range(5) if all(excuses.exclude(index, number) for number in range(6))]
    if job.failure is None:
        assert len(job.results) == 5
    else:
        assert "can run on no executor" in job.failure.message
        assert stuck


@pytest.mark.scenario("TSI-021")
def test_a_set_leaves_executors_and_hosts_that_other_sets_use() -> None:
    case = Case(
        executors(6, per_host=3), Failing(lambda task, executor: task.job_id == 0 and executor.host == "host-0")
    )
    first, second = case.submit(12), case.submit(12)
    case.cluster.run()
    assert (first.failure, second.failure) == (None, None)
    assert "host-0" in case.events.excluded(stage_id=0)
    assert case.events.excluded(stage_id=1) == []
    assert set(case.used_by(second)) == {f"exec-{number}" for number in range(6)}


NOT_ITS_FAULT: list[TaskFailure] = [
    TaskKilled("preempted"),
    TaskCommitDenied(JobId(0), 0, 0),
    ExecutorLostFailure(ExecutorId("exec-0"), False, "preempted"),
    FetchFailed(location("exec-1", "host-1"), ShuffleId(0), TaskId(0), 0, 0, "gone"),
]


@pytest.mark.scenario("TSM-031")
@pytest.mark.parametrize("reason", NOT_ITS_FAULT)
def test_ends_that_are_no_failures_exclude_nobody(reason: TaskFailure) -> None:
    exclusions = make_exclusions(settings(stage_maxFailedTasksPerExecutor=1, application_maxFailedTasksPerExecutor=1))
    tasks = one_running(exclusions)
    exclusions.task_failed(tasks, tasks.running[TaskId(0)], reason, 1.0)
    assert isinstance(tasks.exclusion, TaskSetExclusion)
    assert not tasks.exclusion.has_failures()
    tasks.mark_successful(0)
    tasks.mark_successful(1)
    exclusions.set_ended(tasks, 1.0)
    assert exclusions.health is not None
    assert exclusions.health.excludes_nothing()


@pytest.mark.scenario("TSM-032")
def test_with_the_rule_on_the_executor_of_an_unreadable_output_is_excluded() -> None:
    exclusions = make_exclusions(settings(application_fetchFailure_enabled=True))
    tasks = one_running(exclusions)
    exclusions.task_failed(tasks, tasks.running[TaskId(0)], NOT_ITS_FAULT[-1], 1.0)
    assert exclusions.health is not None
    assert exclusions.health.refuses(ExecutorId("exec-1"), "host-1")
    assert not exclusions.health.refuses(ExecutorId("exec-0"), "host-0")
    exclusions.task_failed(
        tasks, tasks.running[TaskId(0)], FetchFailed(None, ShuffleId(0), TaskId(0), -1, 0, ""), 1.0
    )
    assert list(exclusions.health.executors) == ["exec-1"]


def make_exclusions(conf: SparkConf) -> Exclusions:
    made = exclusions_of(conf, Cluster(), Events(), lambda delay_s, message: None)
    assert made is not None
    return made


def one_running(exclusions: Exclusions) -> TaskSet:
    """Return a set of two tasks, one of which runs on exec-0."""
    submitted = task_set([0, 1])
    tasks = TaskSet(submitted, max_failures=4, max_result_bytes=0)
    tasks.exclusion = exclusions.of_task_set(submitted)
    tasks.launched(0, TaskId(0), ExecutorId("exec-0"), "host-0", 0.0)
    return tasks


# -- the whole application -------------------------------------------------------------------------------------------


@pytest.mark.scenario("HT-001")
def test_an_executor_that_fails_a_task_in_each_of_two_jobs_is_left_by_the_third() -> None:
    case = Case(executors(2), Failing(on_host("host-0")), settings(stage_maxFailedTasksPerExecutor=9))
    assert case.run(1, ["host-0"]).failure is None
    assert case.events.excluded() == []
    assert case.run(1, ["host-0"]).failure is None
    assert case.events.excluded() == ["exec-0"]
    third = case.run(4, ["host-0"])
    assert third.failure is None
    assert set(case.used_by(third)) == {"exec-1"}


@pytest.mark.scenario("HT-002")
def test_the_failures_of_a_job_that_fails_are_the_fault_of_nobody_else() -> None:
    case = Case(executors(8), Failing(everywhere))
    job = case.run(4)
    assert job.failure is not None
    assert case.events.excluded() == []
    assert case.events.excluded(stage_id=0) != []


@pytest.mark.scenario("TSI-027")
@pytest.mark.scenario("HT-003")
def test_an_executor_is_offered_again_when_its_exclusion_has_expired() -> None:
    case = Case(executors(2), Failing(lambda task, executor: task.job_id == 0 and executor.host == "host-0"))
    case.submit(4)
    case.cluster.run(until_s=100.0)
    assert case.events.excluded() == ["exec-0"]
    early = case.submit(4)
    case.cluster.run(until_s=200.0)
    assert set(case.used_by(early)) == {"exec-1"}
    case.cluster.run(until_s=2 * HOUR)
    late = case.run(4)
    assert set(case.used_by(late)) == {"exec-0", "exec-1"}
    lifted = [event for event in case.events.posted if isinstance(event, Unexcluded)]
    assert [event.executor_id for event in lifted] == ["exec-0"]


def test_tasks_that_wait_for_an_exclusion_to_expire_are_launched_then() -> None:
    case = Case(executors(1), Failing(on_host()), settings(timeout="10s", application_fetchFailure_enabled=True))
    exclusions = case.exclusions()
    case.cluster.run(until_s=5.0)
    assert exclusions.health is not None
    exclusions.perform(exclusions.health.fetch_failed(ExecutorId("exec-0"), "host-0", case.cluster.world.wall()))
    job = case.run(1)
    assert job.failure is None
    assert job.response_s == pytest.approx(11.0, abs=0.01)
    assert exclusions.unschedulable.expires_s == {}


def set_clock_back(case: Case, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the time of day go back, as it may on any machine; timers go on as before."""
    wall = case.cluster.world.wall
    monkeypatch.setattr(case.cluster.world, "wall", lambda: wall() - seconds)


def test_an_exclusion_expires_although_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(executors(1), Failing(on_host()), settings(timeout="10s", application_fetchFailure_enabled=True))
    health = case.exclusions().health
    assert health is not None
    case.cluster.run(until_s=5.0)
    case.exclusions().perform(health.fetch_failed(ExecutorId("exec-0"), "host-0", case.cluster.world.wall()))
    set_clock_back(case, monkeypatch, 3.0)
    job = case.run(1)
    assert job.response_s == pytest.approx(14.0, abs=0.01)


def test_a_set_that_waits_is_given_up_although_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(executors(1), Failing(everywhere))
    case.allocation()
    job = case.submit(1)
    case.cluster.run(until_s=50.0)
    set_clock_back(case, monkeypatch, 3.0)
    case.cluster.run(until_s=500.0)
    assert job.failure is not None
    case.cluster.assert_empty()


# -- sets that nobody may run ----------------------------------------------------------------------------------------


@pytest.mark.scenario("TSI-022")
def test_a_set_is_given_up_when_all_is_excluded_and_no_executor_can_come() -> None:
    case = Case(executors(2), Failing(everywhere), settings())
    job = case.run(1)
    assert job.failure is not None
    assert "task 0 (partition 0) of task set 0.0 can run on no executor" in job.failure.message
    assert "bad host" in job.failure.message
    assert sorted(executor for _, _, executor in case.launches) == ["exec-0", "exec-1"]


@pytest.mark.scenario("TSI-023", "22148: abort timer when completely excluded")
def test_a_set_waits_for_a_new_executor_before_it_is_given_up() -> None:
    case = Case(executors(1), Failing(everywhere))
    allocation = case.allocation()
    job = case.run(1)
    assert allocation.removed == [("exec-0", False)]
    assert job.failure is not None
    assert "can run on no executor" in job.failure.message
    assert job.response_s == 1.0 + 120.0


@pytest.mark.scenario("TSI-023", "acquire new executor by killing an idle excluded one")
def test_an_idle_executor_is_ended_for_a_new_one_on_which_the_set_goes_on() -> None:
    case = Case(executors(1), Failing(on_host("host-0")))
    allocation = case.allocation(replace_after_s=30.0)
    job = case.run(3)
    assert job.failure is None
    assert [name for name, _ in allocation.removed] == ["exec-0"]
    assert case.launches[0] == (0, 0, "exec-0")
    assert set(case.used_by(job)) == {"exec-0", "new-1"}
    assert case.exclusions().unschedulable.expires_s == {}


@pytest.mark.scenario("TSI-023", "timers of all sets cleared on any launch")
def test_no_set_is_given_up_while_another_one_goes_on() -> None:
    script = Failing(lambda task, executor: task.job_id < 2)
    case = Case(executors(1), script)
    script.slow = {(2, partition): 100.0 for partition in range(4)}
    case.allocation().is_obedient = False
    stuck = [case.submit(1), case.submit(1)]
    case.cluster.run(until_s=50.0)
    assert len(case.exclusions().unschedulable.expires_s) == 2
    other = case.submit(4)
    case.cluster.run(until_s=60.0)
    assert case.exclusions().unschedulable.expires_s == {}
    case.cluster.run()
    assert other.failure is None
    assert [job.failure is None for job in stuck] == [False, False]
    assert [job.ended_s for job in stuck] == [450.0 + 120.0] * 2


@pytest.mark.scenario("TSI-023", "no abort if not completely excluded")
def test_a_set_that_another_executor_may_run_waits_for_it() -> None:
    script = Failing(lambda task, executor: task.job_id == 1 and executor.host == "host-0")
    case = Case(executors(2), script)
    script.slow = {(0, partition): 1000.0 for partition in range(2)}
    case.submit(2)
    case.cluster.run(until_s=1.0)
    case.cluster.backend.add(SimulatedExecutor(ExecutorId("exec-2"), "host-0"))
    job = case.run(1)
    assert job.failure is None
    assert job.response_s > 900.0
    assert case.exclusions().unschedulable.expires_s == {}


@pytest.mark.scenario("TSI-024")
def test_with_dynamic_allocation_executors_are_asked_for_and_the_set_is_given_up_after_the_timeout_only() -> None:
    script = Failing(lambda task, executor: task.job_id == 0)
    case = Case(executors(1, cores=2), script, settings().set("minispark.dynamicAllocation.enabled", True))
    script.slow = {(1, 0): 1000.0}
    allocation = case.allocation()
    stuck = case.submit(1)
    case.submit(1)
    case.cluster.run(until_s=100.0)
    waits = [event for event in case.events.posted if isinstance(event, UnschedulableTaskSet)]
    assert [event.is_unschedulable for event in waits] == [True]
    assert stuck.ended_s is None
    case.cluster.run(until_s=200.0)
    assert stuck.response_s == 1.0 + 120.0
    assert stuck.failure is not None
    assert allocation.removed == [], "the executor is busy with the other job"


def test_with_dynamic_allocation_a_launch_is_told_too() -> None:
    conf = settings().set("minispark.dynamicAllocation.enabled", True)
    case = Case(executors(1), Failing(lambda task, executor: task.job_id == 0), conf)
    exclusions = case.exclusions()
    exclusions.unschedulable.found((StageId(5), 1), None, 0.0)
    case.run(1)
    waits = [event for event in case.events.posted if isinstance(event, UnschedulableTaskSet)]
    assert waits[0] == UnschedulableTaskSet(StageId(5), 1, False)


@pytest.mark.scenario("TSI-026", "abort if executor loss makes a previously failed task unschedulable")
def test_the_loss_of_the_last_executor_that_a_failed_task_may_use_gives_it_up() -> None:
    script = Failing(lambda task, executor: task.partition == 0)
    case = Case(executors(2), script, settings())
    script.slow = {(0, 1): 100.0}
    job = case.submit(2)
    case.cluster.run(until_s=5.0)
    assert job.ended_s is None
    failed_on = next(executor for _, partition, executor in case.launches if partition == 0)
    case.cluster.backend.lose(ExecutorId("exec-1" if failed_on == "exec-0" else "exec-0"))
    case.cluster.run()
    assert job.failure is not None
    assert "task 0 (partition 0) of task set 0.0 can run on no executor" in job.failure.message
    assert job.ended_s == 105.0, "as soon as nothing is launched"


@pytest.mark.scenario("TSI-026", "not while an unused executor exists")
def test_an_executor_that_was_never_used_is_one_that_a_task_may_use() -> None:
    case = Case(executors(3), Failing(lambda task, executor: executor.host == "host-0"), settings())
    job = case.submit(1, ["host-0"])
    case.cluster.run(until_s=1.5)
    case.cluster.backend.lose(ExecutorId("exec-1"))
    case.cluster.run()
    assert job.failure is None
    assert case.used_by(job) == ["exec-0", "exec-2"]


@pytest.mark.scenario("HT-008", "exclusion kills executors / nodes if configured")
@pytest.mark.parametrize("decommission", [False, True])
def test_excluded_executors_are_ended_as_configured(decommission: bool) -> None:
    conf = settings(killExcludedExecutors=True, killExcludedExecutors_decommission=decommission)
    case = Case(executors(6, per_host=2), Failing(on_host("host-0")), conf)
    allocation = case.allocation()
    assert case.run(12).failure is None
    assert case.events.excluded() == ["exec-0", "exec-1", "host-0"]
    assert allocation.removed == [("exec-0", decommission), ("exec-1", decommission), ("host-0", decommission)]
