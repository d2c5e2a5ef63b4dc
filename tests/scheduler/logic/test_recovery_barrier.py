import pytest

from minispark.messages.scheduler import KillTaskSet
from minispark.messages.task import TaskEndReason, TaskKilled
from minispark.scheduler.logic.effects import FailJob
from minispark.testing.builders import (
    exception_failure,
    fetch_failed,
    map_success,
    submit_job,
)
from tests.scheduler.logic.dag_harness import dag, three_stages, two_stages, write_on


@pytest.mark.scenario("DAG-071")
def test_a_fetch_failure_in_a_barrier_stage_runs_all_its_tasks_again() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages(barrier=1).lineage()))
        write_on(harness, "ab")
        barrier = harness.last
        assert barrier.is_barrier
        harness.end(barrier, 0, map_success(0, executor="b", reducers=2), "b")
        harness.end(barrier, 1, fetch_failed(0, 0, executor="a"))
        assert harness.killed_stages() == [barrier.stage_id]
        harness.resubmit()
        write_on(harness, "b")
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (barrier.stage_id, [0, 1])
        write_on(harness, "bb")
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_an_output_of_a_barrier_stage_that_is_lost_takes_the_others_with_it() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        write_on(harness, "ab")
        harness.end(harness.last, 1, fetch_failed(0, 0, executor="a", only_this=True))
        harness.resubmit()
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (0, [0, 1])
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.parametrize("when", ["while the stage runs", "after it"])
def test_an_output_of_a_barrier_stage_that_is_gone_with_an_executor_is_not_made_again_alone(when: str) -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        barrier = harness.last
        harness.end(barrier, 0, map_success(0, executor="a", reducers=2), "a")
        if when == "after it":
            harness.end(barrier, 1, map_success(1, executor="b", reducers=2), "b")
        harness.lose_executor("a")
        if when == "after it":
            harness.end(harness.last, 1, fetch_failed(0, 0, executor="a"))
            harness.resubmit()
        else:
            harness.end(barrier, 1, map_success(1, executor="b", reducers=2), "b")
        assert [harness.last.stage_id, harness.last.stage_attempt] == [barrier.stage_id, 1]
        assert harness.partitions(harness.last) == [0, 1]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-072")
@pytest.mark.scenario("DAG-074")
def test_a_killed_task_of_a_barrier_stage_runs_all_of_them_again_once() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        barrier = harness.last
        harness.end(barrier, 0, map_success(0, reducers=2))
        harness.end(barrier, 1, TaskKilled("by hand"))
        assert harness.killed_stages() == [barrier.stage_id]
        harness.end(barrier, 0, exception_failure())  # a further failure of the same attempt
        assert (harness.resubmissions(), harness.killed_stages()) == (1, [barrier.stage_id])
        harness.resubmit()
        assert [harness.partitions(task_set) for task_set in harness.sets] == [[0, 1], [0, 1]]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-073")
@pytest.mark.parametrize("reason", [exception_failure(), fetch_failed(0, 0), TaskKilled("by hand")])
def test_a_barrier_stage_that_gives_results_cannot_run_again(reason: TaskEndReason) -> None:
    with dag() as harness:
        build = two_stages()
        build.declare(1, is_barrier=True)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, reason)
        assert "cannot run again: it may have given results" in harness.failed()[1]


def test_the_caller_gets_what_a_task_of_the_barrier_stage_raised() -> None:
    with dag() as harness:
        build = two_stages()
        build.declare(1, is_barrier=True)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        raised = exception_failure("mine")
        harness.end(harness.last, 1, raised)
        (failed,) = [effect for effect in harness.effects if isinstance(effect, FailJob)]
        failure = failed.failure
        assert (failure.kind, failure.task_failure) == ("task failures", raised)
        assert (failure.partition, failure.attempt_number, failure.executor_id) == (1, 0, "driver")


@pytest.mark.scenario("BAR-008")
@pytest.mark.parametrize("interrupt", [True, False])
def test_the_fellows_of_a_failed_task_are_interrupted_if_the_job_says_so(interrupt: bool) -> None:
    with dag() as harness:
        properties = {"minispark.job.interruptOnCancel": str(interrupt).lower()}
        harness.submit(submit_job(1, three_stages(barrier=0).lineage(), properties=properties))
        harness.end(harness.last, 1, exception_failure())
        kills = [effect.interrupt for effect in harness.effects if isinstance(effect, KillTaskSet)]
        assert kills == [interrupt]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-075")
def test_a_failure_of_an_older_attempt_of_a_barrier_stage_is_ignored() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        old = harness.last
        harness.end(old, 0, exception_failure())
        harness.resubmit()
        harness.end(old, 1, exception_failure())
        harness.resubmit()
        assert [task_set.stage_attempt for task_set in harness.sets] == [0, 1]
        assert harness.state.running
        harness.state.cancellation.cancel_all("enough")


def test_a_barrier_stage_has_as_many_attempts_as_any_other() -> None:
    with dag(max_consecutive_attempts=2) as harness:
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        harness.end(harness.last, 0, exception_failure())
        harness.resubmit()
        harness.end(harness.last, 1, exception_failure())
        assert "2 attempts in a row failed" in harness.failed()[1]
        assert "ExceptionFailure" in harness.failed()[1]


def test_a_barrier_stage_whose_tasks_cannot_be_killed_is_given_up() -> None:
    with dag() as harness:
        harness.state.can_kill_tasks = False
        harness.submit(submit_job(1, three_stages(barrier=0).lineage()))
        harness.end(harness.last, 0, exception_failure())
        assert "cannot be killed" in harness.failed()[1]
