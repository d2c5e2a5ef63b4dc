import pytest

from minispark.ids import JobId, StageId
from minispark.messages.listener import JobEnd
from minispark.messages.scheduler import (
    AllJobsCancelled,
    JobCancelled,
    JobGroupCancelled,
    JobTagCancelled,
    StageCancelled,
)
from minispark.scheduler.logic.cancellation import MAX_CANCELLED_GROUPS
from minispark.scheduler.logic.effects import Post, Warn
from minispark.testing.builders import LineageBuilder, fetch_failed, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag

Cancel = JobCancelled | JobGroupCancelled | JobTagCancelled | StageCancelled | AllJobsCancelled


def submit(harness: DagHarness, job_id: int, group: str = "", tags: str = "") -> None:
    build = LineageBuilder()
    build.source(2)
    properties = {"minispark.jobGroup.id": group, "minispark.job.tags": tags}
    harness.submit(submit_job(job_id, build.lineage(), properties={k: v for k, v in properties.items() if v}))


def warnings(harness: DagHarness) -> list[str]:
    harness.absorb()
    return [effect.message for effect in harness.effects if isinstance(effect, Warn)]


@pytest.mark.scenario("DAG-020", "job cancellation")
def test_a_cancelled_job_fails_with_the_reason_and_its_tasks_are_killed() -> None:
    with dag() as harness:
        submit(harness, 1)
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        harness.state.cancellation.cancel_job(JobId(1), "again")
        harness.absorb()
        assert harness.failed() == {1: "enough"}
        assert harness.killed_stages() == [0]
        assert [e.event.result for e in harness.effects if isinstance(e, Post) and isinstance(e.event, JobEnd)] == [
            "cancelled"
        ]


@pytest.mark.scenario("DAG-020", "cancellation when the backend cannot kill tasks (job stays until tasks end)")
def test_a_job_whose_tasks_cannot_be_killed_stays_until_they_end() -> None:
    with dag() as harness:
        harness.state.can_kill_tasks = False
        submit(harness, 1)
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        assert "job 1 cannot be cancelled" in warnings(harness)[0]
        assert harness.failed() == {}
        assert harness.killed_stages() == []
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("JC-003", "cancel group + future jobs")
@pytest.mark.scenario("JC-003", "future jobs with reason")
def test_a_group_can_be_cancelled_with_the_jobs_to_come() -> None:
    with dag() as harness:
        submit(harness, 1, "a")
        harness.state.cancellation.cancel_group("a", "not needed", future_jobs=True)
        submit(harness, 2, "a")
        submit(harness, 3, "b")
        assert harness.failed() == {1: "not needed", 2: "not needed"}
        assert len(harness.sets) == 2
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [3]


def test_without_being_asked_a_cancelled_group_goes_on_with_new_jobs() -> None:
    with dag() as harness:
        submit(harness, 1, "a")
        harness.state.cancellation.cancel_group("a", "not needed")
        submit(harness, 2, "a")
        harness.end_all_results(harness.last)
        assert harness.failed() == {1: "not needed"}
        assert harness.succeeded() == [2]


@pytest.mark.scenario("JC-003", "bounded memory of cancelled groups")
def test_of_very_many_cancelled_groups_the_first_are_forgotten() -> None:
    with dag() as harness:
        for number in range(MAX_CANCELLED_GROUPS + 1):
            harness.state.cancellation.cancel_group(f"group-{number}", "no", future_jobs=True)
        submit(harness, 1, "group-1")
        submit(harness, 2, "group-0")
        harness.end_all_results(harness.last)
        assert harness.failed() == {1: "no"}
        assert harness.succeeded() == [2]
        assert len(harness.state.cancellation.cancelled_groups) == MAX_CANCELLED_GROUPS


def test_jobs_are_cancelled_by_any_of_their_tags() -> None:
    with dag() as harness:
        for job_id, tags in ((1, "one"), (2, "one,two"), (3, "two"), (4, "")):
            submit(harness, job_id, tags=tags)
        harness.state.cancellation.cancel_tag("two", "not needed")
        harness.absorb()
        assert harness.failed() == {2: "not needed", 3: "not needed"}
        harness.state.cancellation.cancel_all("stop")
        harness.absorb()
        assert harness.failed().keys() == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("message", "ended"),
    [
        (JobCancelled(JobId(1), "no"), [1]),
        (JobGroupCancelled("a", "no", False), [1, 3]),
        (JobTagCancelled("t", "no"), [2, 3]),
        (StageCancelled(StageId(1), "no"), [2]),
        (AllJobsCancelled("no"), [1, 2, 3]),
    ],
)
def test_each_message_ends_the_jobs_that_it_means_and_no_others(message: Cancel, ended: list[int]) -> None:
    with dag() as harness:
        for job_id, group, tags in ((1, "a", ""), (2, "b", "t"), (3, "a", "t")):
            submit(harness, job_id, group, tags)
        harness.state.cancellation.handle(message)
        harness.absorb()
        assert harness.failed() == dict.fromkeys(ended, "no")
        assert warnings(harness) == []
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.parametrize(
    "message", [JobCancelled(JobId(1), "no"), JobGroupCancelled("a", "no", False), JobTagCancelled("t", "no")]
)
def test_of_jobs_that_wait_for_slots_only_those_that_are_meant_end(message: Cancel) -> None:
    with dag() as harness:
        harness.state.barrier_checks.slots = lambda: 1
        build = LineageBuilder()
        build.declare(build.source(2), is_barrier=True)
        for job_id, group, tags in ((1, "a", "t,u"), (2, "b", "u")):
            properties = {"minispark.jobGroup.id": group, "minispark.job.tags": tags}
            harness.submit(submit_job(job_id, build.lineage(), properties=properties))
        harness.state.cancellation.handle(message)
        harness.absorb()
        assert harness.failed() == {1: "no"}
        harness.state.cancellation.cancel_all("enough")


def test_cancelling_a_stage_ends_the_jobs_that_need_it() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.source(1), 1)
        for job_id in (1, 2):
            harness.submit(submit_job(job_id, build.lineage()))
        submit(harness, 3)
        harness.state.cancellation.cancel_stage(StageId(0), "too slow")
        harness.end_all_results(harness.last)
        assert harness.failed() == {1: "too slow", 2: "too slow"}
        assert harness.succeeded() == [3]


def test_what_is_not_known_is_warned_of() -> None:
    with dag() as harness:
        cancellation = harness.state.cancellation
        cancellation.cancel_group("nightly", "no")
        cancellation.cancel_tag("slow", "no")
        cancellation.cancel_stage(StageId(7), "no")
        cancellation.cancel_job(JobId(7), "no")
        assert [text.split(" that ")[0].split(" whose ")[0] for text in warnings(harness)] == [
            "no active job is in the group 'nightly'",
            "no active job has the tag 'slow'",
            "no active job needs stage 7",
        ]


@pytest.mark.scenario("DAG-062")
def test_a_cancel_during_a_retry_kills_the_running_parent_and_what_is_left_of_the_child() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.source(2), 2)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, fetch_failed(0, 0))
        harness.resubmit()
        assert harness.last.is_map_stage
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        harness.absorb()
        assert harness.killed_stages() == [0, 1]
        assert harness.failed() == {1: "enough"}
