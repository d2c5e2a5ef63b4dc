import pytest

from minispark.ids import AccumulatorId, ExecutorId, ShuffleId, TaskId
from minispark.messages.scheduler import SubmitTaskSet, TaskEnded
from minispark.messages.task import (
    AccumulatorUpdate,
    ExceptionFailure,
    ExecutorLostFailure,
    FetchFailed,
    Success,
    TaskEndReason,
    TaskKilled,
    TaskMetrics,
    TaskResultLost,
)
from minispark.scheduler.logic.accumulation import updates_that_count
from minispark.testing.builders import LineageBuilder, map_success, result_success, submit_job, task_ended
from tests.scheduler.logic.dag_harness import DagHarness

ADDED = (AccumulatorUpdate(AccumulatorId(3), b"\x80\x05K\x01."),)
FAILED = ExceptionFailure("ValueError", "no", "", "", b"", TaskMetrics(), ADDED)


def with_additions(success: Success) -> Success:
    return Success(success.result, success.metrics, ADDED)


RESULT = with_additions(result_success())


def shuffled_job() -> DagHarness:
    """Return a job of a map stage and a result stage, two partitions each."""
    build = LineageBuilder()
    build.shuffled(build.source(2), 2)
    harness = DagHarness()
    harness.submit(submit_job(1, build.lineage()))
    return harness


def counted(harness: DagHarness, ended: TaskEnded) -> int:
    return len(updates_that_count(harness.state.stages.by_id.get(ended.stage_id), ended))


def count_and_end(harness: DagHarness, task_set: SubmitTaskSet, index: int, reason: TaskEndReason) -> int:
    """Let an attempt end, and return how many of its additions count."""
    number = counted(harness, task_ended(task_set, index, reason))
    harness.end(task_set, index, reason)
    return number


@pytest.mark.scenario("DAG-059")
def test_a_result_counts_with_the_first_attempt_of_its_partition_alone() -> None:
    harness = shuffled_job()
    harness.end_all_maps(harness.last)
    results = harness.last

    assert count_and_end(harness, results, 0, RESULT) == 1
    assert count_and_end(harness, results, 0, RESULT) == 0
    assert count_and_end(harness, results, 1, RESULT) == 1
    assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-059")
def test_a_result_stage_that_runs_again_counts_only_what_it_had_not_delivered() -> None:
    harness = shuffled_job()
    maps = harness.last
    harness.end_all_maps(maps)
    first = harness.last
    assert count_and_end(harness, first, 0, RESULT) == 1
    harness.end(first, 1, FetchFailed(None, ShuffleId(0), TaskId(0), -1, 1, "nobody knows where"))
    harness.resubmit()
    again = harness.last

    assert again.stage_attempt == 1
    assert count_and_end(harness, first, 0, RESULT) == 0
    assert count_and_end(harness, again, 0, RESULT) == 1
    assert harness.succeeded() == [1]


def test_a_map_task_counts_each_time() -> None:
    harness = shuffled_job()
    maps = harness.last
    success = with_additions(map_success(0, reducers=2))

    assert [count_and_end(harness, maps, 0, success) for _ in range(2)] == [1, 1]


@pytest.mark.scenario("DAG-060")
@pytest.mark.parametrize("reason", [FAILED, TaskKilled("no", TaskMetrics(), ADDED)])
def test_failed_and_killed_attempts_count_with_what_they_report(reason: TaskEndReason) -> None:
    harness = shuffled_job()

    assert counted(harness, task_ended(harness.last, 0, reason)) == 1


@pytest.mark.parametrize("reason", [TaskResultLost(), ExecutorLostFailure(ExecutorId("1"), True, "gone")])
def test_attempts_without_a_report_count_nothing(reason: TaskEndReason) -> None:
    harness = shuffled_job()

    assert counted(harness, task_ended(harness.last, 0, reason)) == 0


def test_nothing_counts_once_nobody_needs_the_stage() -> None:
    harness = shuffled_job()
    harness.end_all_maps(harness.last)
    results = harness.last
    harness.end_all_results(results)

    assert counted(harness, task_ended(results, 0, RESULT)) == 0
