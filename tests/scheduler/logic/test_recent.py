from collections.abc import Sequence

import pytest

from minispark.ids import JobId, StageId
from minispark.messages.scheduler import SubmitTaskSet
from minispark.messages.task import Resubmitted, TaskEndReason, TaskKilled
from minispark.scheduler.logic.recent import RETAINED, EndedJob, Recent, StageCounts
from minispark.testing.builders import (
    LineageBuilder,
    exception_failure,
    fetch_failed,
    map_success,
    result_success,
    submit_job,
    task_ended,
)
from tests.scheduler.logic.dag_harness import DagHarness, dag, two_stages


def fail(harness: DagHarness, task_set: SubmitTaskSet, index: int, reason: TaskEndReason) -> None:
    harness.state.watchers.task_ended(task_ended(task_set, index, reason))
    harness.end(task_set, index, reason)


def counted(harness: DagHarness, stage_id: int) -> Sequence[int]:
    stage = harness.state.stages.by_id[StageId(stage_id)]
    counts = harness.state.recent.counts(stage)
    return counts.attempt, counts.num_tasks, counts.num_completed, counts.num_failed


def test_a_stage_that_runs_is_counted_as_its_tasks_end() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        assert [counted(harness, stage_id) for stage_id in (0, 1)] == [(0, 3, 0, 0), (0, 2, 0, 0)]
        harness.end(harness.last, 1, map_success(1, reducers=2))
        assert counted(harness, 0) == (0, 3, 1, 0)
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, result_success())
        assert counted(harness, 1) == (0, 2, 1, 0)
        harness.end_all_results(harness.last)


def test_failures_of_the_latest_attempt_are_counted_but_not_what_was_killed_or_lost() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        maps = harness.last
        for reason in (exception_failure(), TaskKilled("speculation"), Resubmitted(), exception_failure()):
            fail(harness, maps, 0, reason)
        assert counted(harness, 0) == (0, 2, 0, 2)
        harness.end_all_maps(maps)
        fail(harness, harness.last, 0, fetch_failed(0, 0))
        assert harness.state.recent.stages[StageId(1)].num_failed == 1
        harness.resubmit()
        assert counted(harness, 0) == (1, 2, 0, 0)
        fail(harness, maps, 1, exception_failure())
        assert counted(harness, 0) == (1, 2, 0, 0)
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)


def test_a_job_and_its_stages_are_remembered_when_they_have_ended() -> None:
    properties = {"minispark.jobGroup.id": "nightly", "minispark.job.tags": "a,b"}
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage(), properties=properties))
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
    job = harness.state.recent.jobs[JobId(1)]
    assert (job.result, job.group, job.tags, job.stages()) == ("succeeded", "nightly", ("a", "b"), [0, 1])
    assert [harness.state.recent.stages[StageId(number)].num_completed for number in (0, 1)] == [2, 2]


@pytest.mark.parametrize("partitions", [[], [0, 1]])
def test_jobs_without_partitions_and_cancelled_ones_are_remembered_too(partitions: list[int]) -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage(), partitions))
        harness.state.cancellation.cancel_job(JobId(1), "not needed")
        harness.absorb()
    assert harness.state.recent.jobs[JobId(1)].result == ("cancelled" if partitions else "succeeded")


def test_a_job_of_a_group_that_was_cancelled_for_good_is_remembered_as_cancelled() -> None:
    with dag() as harness:
        harness.state.cancellation.cancel_group("nightly", "for good", future_jobs=True)
        harness.submit(submit_job(1, two_stages().lineage(), properties={"minispark.jobGroup.id": "nightly"}))
    assert harness.state.recent.jobs == {1: EndedJob("cancelled", "nightly", (), b"")}


def test_only_the_last_jobs_and_stages_are_remembered() -> None:
    recent = Recent({})
    for number in range(RETAINED + 2):
        recent.job_ended(JobId(number), {}, (), "succeeded")
    recent.job_ended(JobId(2), {}, (), "failed")
    assert (len(recent.jobs), min(recent.jobs), recent.jobs[JobId(2)].result) == (RETAINED, 2, "failed")


def test_a_skipped_stage_is_counted_while_it_is_needed_and_then_forgotten() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        for job_id in (1, 2):
            harness.submit(submit_job(job_id, lineage))
            if job_id == 1:
                harness.end_all_maps(harness.last)
            else:
                skipped = harness.state.recent.counts(harness.state.stages.by_id[StageId(2)])
                assert (skipped.num_tasks, skipped.num_completed) == (2, 0)
            harness.end_all_results(harness.last)
    assert [*harness.state.recent.stages] == [0, 1, 3]
    assert isinstance(harness.state.recent.stages[StageId(3)], StageCounts)
