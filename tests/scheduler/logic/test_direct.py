import dataclasses
from collections.abc import Callable

import pytest

from minispark.ids import ExecutorId, JobId
from minispark.messages.scheduler import DirectRunEnded, JobSubmitted
from minispark.messages.task import RunnerLost, TaskOutcome
from minispark.scheduler.logic.effects import KillDirectRun, RunDirectly
from minispark.testing.builders import LineageBuilder, exception_failure, result_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag


def job(job_id: int = 1, build: LineageBuilder | None = None, partitions: tuple[int, ...] = (1,)) -> JobSubmitted:
    if build is None:
        build = LineageBuilder()
        build.narrow(build.source(3))
    properties = {"minispark.jobGroup.id": "a", "minispark.job.tags": "one"}
    return dataclasses.replace(submit_job(job_id, build.lineage(), partitions, properties), allow_local=True)


def end(harness: DagHarness, outcome: TaskOutcome | None, job_id: int = 1) -> None:
    harness.state.direct.ended(DirectRunEnded(JobId(job_id), ExecutorId("driver"), outcome))
    harness.absorb()


def test_a_job_of_one_task_runs_without_stages() -> None:
    with dag() as harness:
        harness.submit(job())
        assert [effect.job.job_id for effect in harness.effects if isinstance(effect, RunDirectly)] == [1]
        end(harness, result_success(b"it"))
        assert harness.results(1) == {0: b"it"}
        assert harness.succeeded() == [1]
        assert harness.events() == ["JobStart", "JobEnd"]
        assert harness.sets == []


def test_what_needs_several_tasks_or_a_shuffle_or_is_not_allowed_to_goes_the_usual_way() -> None:
    shuffled = LineageBuilder()
    shuffled.shuffled(shuffled.source(1), 1)
    usual = dataclasses.replace(job(), allow_local=False)
    for submitted in (job(partitions=(0, 1)), job(build=shuffled, partitions=(0,)), usual):
        with dag() as harness:
            harness.submit(submitted)
            assert len(harness.sets) == 1
            harness.state.cancellation.cancel_all("enough")


@pytest.mark.parametrize("outcome", [None, RunnerLost(3, 0, ""), exception_failure()])
def test_what_does_not_work_out_is_tried_again_the_usual_way(outcome: TaskOutcome | None) -> None:
    with dag() as harness:
        harness.submit(job())
        end(harness, outcome)
        assert harness.partitions(harness.last) == [1]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]
        assert harness.events().count("JobStart") == 1


def test_where_a_task_is_tried_once_its_exception_ends_the_job() -> None:
    with dag() as harness:
        harness.state.max_failures = 1
        harness.submit(job())
        end(harness, exception_failure("boom"))
        assert harness.failed() == {1: "ValueError: boom"}
        assert harness.sets == []


def test_it_can_be_cancelled_like_any_other_job() -> None:
    with dag() as harness:
        cancellation = harness.state.cancellation
        cancels: list[Callable[[], None]] = [
            lambda: cancellation.cancel_job(JobId(0), "no"),
            lambda: cancellation.cancel_group("a", "no"),
            lambda: cancellation.cancel_tag("one", "no"),
            lambda: cancellation.cancel_all("no"),
        ]
        for job_id, cancel in enumerate(cancels):
            harness.submit(job(job_id))
            cancel()
            end(harness, result_success(), job_id)
        assert harness.failed() == dict.fromkeys(range(4), "no")
        assert [effect.job_id for effect in harness.effects if isinstance(effect, KillDirectRun)] == [0, 1, 2, 3]
        assert harness.succeeded() == []
