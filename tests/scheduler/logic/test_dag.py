import pytest

from minispark.ids import ExecutorId, JobId
from minispark.messages.listener import JobEnd, StageCompleted
from minispark.messages.scheduler import KillTaskSet, SubmitTaskSet, TaskSetFailed
from minispark.messages.task import Lineage, MapStatus
from minispark.scheduler.logic.effects import Post, RemoveMapOutput
from minispark.testing.builders import (
    LineageBuilder,
    exception_failure,
    fetch_failed,
    map_success,
    result_success,
    submit_job,
)
from tests.scheduler.logic.dag_harness import dag, write_on


def two_stages(maps: int = 2, reducers: int = 2) -> LineageBuilder:
    build = LineageBuilder()
    build.shuffled(build.source(maps), reducers)
    return build


def task_set_failed(task_set: SubmitTaskSet, message: str) -> TaskSetFailed:
    return TaskSetFailed(
        task_set.stage_id,
        task_set.stage_attempt,
        message,
        "task failures",
        exception_failure(),
        0,
        0,
        ExecutorId("driver"),
    )


@pytest.mark.scenario("DAG-017")
def test_a_job_without_shuffles_is_one_task_set() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.narrow(build.source(2))
        harness.submit(submit_job(1, build.lineage()))
        assert [harness.partitions(task_set) for task_set in harness.sets] == [[0, 1]]
        harness.end_all_results(harness.last)
        assert harness.results(1) == {0: b"0", 1: b"1"}
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-015")
def test_a_job_without_partitions_succeeds_at_once_and_listeners_see_it() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage(), partitions=[]))
        assert harness.succeeded() == [1]
        assert harness.events() == ["JobStart", "JobEnd"]


def test_nothing_is_made_for_listeners_that_are_not_there() -> None:
    with dag() as harness:
        harness.state.is_heard = False
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]
        assert harness.events() == []


@pytest.mark.scenario("DAG-031")
@pytest.mark.scenario("DAG-001")
def test_the_map_stage_runs_before_the_reduce_stage_and_has_the_lower_id() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        (maps,) = harness.sets
        assert maps.is_map_stage
        harness.end_all_maps(maps)
        reduces = harness.last
        assert not reduces.is_map_stage
        assert maps.stage_id < reduces.stage_id
        assert reduces.shuffle_ids == (0,)
        harness.end_all_results(reduces)
        assert harness.succeeded() == [1]


def test_results_come_at_the_positions_of_the_wanted_partitions() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(5)
        harness.submit(submit_job(1, build.lineage(), partitions=[4, 1]))
        assert harness.partitions(harness.last) == [4, 1]
        harness.end_all_results(harness.last)
        assert harness.results(1) == {0: b"4", 1: b"1"}


@pytest.mark.scenario("DAG-002")
def test_a_shuffle_that_two_branches_read_is_one_stage() -> None:
    with dag() as harness:
        build = LineageBuilder()
        shared = build.shuffled(build.source(2), 2)
        left, right = build.shuffled(shared, 2), build.shuffled(shared, 2)
        build.narrow(left, right)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.sets[0])
        assert len(harness.sets) == 3
        assert len({task_set.stage_id for task_set in harness.sets}) == 3
        for task_set in harness.sets[1:3]:
            harness.end_all_maps(task_set)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_large_task_set_comes_in_chunks() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(5000)
        harness.submit(submit_job(1, build.lineage()))
        assert [len(harness.partitions(chunk)) for chunk in harness.sets] == [2048, 2048, 904]
        assert [chunk.is_last for chunk in harness.sets] == [False, False, True]
        assert [chunk.first for chunk in harness.sets] == [0, 2048, 4096]
        assert {chunk.num_tasks for chunk in harness.sets} == {5000}
        harness.state.cancellation.cancel_job(JobId(1), "enough")


def test_a_second_job_skips_the_stage_whose_outputs_are_there() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        harness.submit(submit_job(1, lineage))
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        harness.submit(submit_job(2, lineage))
        assert [task_set.is_map_stage for task_set in harness.sets] == [True, False, False]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1, 2]


def test_two_jobs_at_once_share_a_running_map_stage() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        harness.submit(submit_job(1, lineage))
        harness.submit(submit_job(2, lineage))
        assert [task_set.is_map_stage for task_set in harness.sets] == [True]
        harness.end_all_maps(harness.sets[0])
        for task_set in harness.sets[1:]:
            harness.end_all_results(task_set)
        assert sorted(harness.succeeded()) == [1, 2]


@pytest.mark.scenario("DAG-019")
def test_a_task_set_that_is_given_up_fails_its_job_with_its_reason() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage()))
        harness.state.task_set_failed(task_set_failed(harness.last, "task 0 failed 4 times"))
        harness.absorb()
        assert harness.failed() == {1: "task 0 failed 4 times"}
        assert harness.killed_stages() == [harness.last.stage_id]


@pytest.mark.scenario("DAG-063")
def test_the_failure_of_a_shared_stage_fails_both_jobs() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        harness.submit(submit_job(1, lineage))
        harness.submit(submit_job(2, lineage))
        harness.state.task_set_failed(task_set_failed(harness.sets[0], "no"))
        harness.absorb()
        assert harness.failed() == {1: "no", 2: "no"}


def test_a_stage_that_waits_for_another_parent_goes_on_when_one_above_complete_outputs_is_given_up() -> None:
    with dag() as harness:
        build = LineageBuilder()
        lower = build.shuffled(build.shuffled(build.source(2), 2), 2)
        harness.submit(submit_job(0, build.lineage()))
        write_on(harness, "ab")
        write_on(harness, "cc")
        harness.end_all_results(harness.last)
        harness.lose_executor("a")  # the first shuffle is incomplete; what was made of it is not
        first_only = Lineage(build.lineage().nodes[:2])
        build.shuffled(build.narrow(lower, build.shuffled(build.source(2), 2)), 2)
        harness.submit(submit_job(1, build.lineage()))
        other_parent = harness.last
        harness.submit(submit_job(2, first_only))
        harness.state.task_set_failed(task_set_failed(harness.last, "no"))
        harness.absorb()
        assert harness.failed() == {2: "no"}
        assert harness.killed_stages() == [harness.last.stage_id]  # though a job goes on that knows it
        harness.end_all_maps(other_parent)
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [0, 1]


@pytest.mark.scenario("JC-005")
def test_cancelling_one_of_two_jobs_keeps_the_stage_they_share() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        harness.submit(submit_job(1, lineage))
        harness.submit(submit_job(2, lineage))
        harness.state.cancellation.cancel_job(JobId(1), "cancelled by its caller")
        harness.absorb()
        assert harness.killed_stages() == []
        harness.end_all_maps(harness.sets[0])
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [2]


def test_a_map_output_that_comes_after_its_stage_is_gone_is_removed() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.state.cancellation.cancel_job(JobId(1), "cancelled by its caller")
        late = map_success(0)
        harness.end(harness.sets[0], 0, late)
        assert isinstance(late.result, MapStatus)
        assert harness.of(RemoveMapOutput) == [RemoveMapOutput(late.result.location, late.result.map_id)]


def test_a_cancelled_job_kills_the_stages_that_only_it_needs() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.state.cancellation.cancel_job(JobId(1), "cancelled by its caller")
        harness.absorb()
        (kill,) = harness.of(KillTaskSet)
        assert isinstance(kill, KillTaskSet)
        assert (kill.stage_id, kill.interrupt) == (harness.sets[0].stage_id, True)
        ends = [e.event for e in harness.effects if isinstance(e, Post) and isinstance(e.event, JobEnd)]
        assert [end.result for end in ends] == ["cancelled"]


@pytest.mark.scenario("DAG-026")
@pytest.mark.parametrize(("value", "interrupts"), [("false", False), ("true", True), ("maybe", False)])
def test_whether_a_cancel_interrupts_is_a_property_of_the_job(value: str, interrupts: bool) -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(1)
        properties = {"minispark.job.interruptOnCancel": value}
        harness.submit(submit_job(1, build.lineage(), properties=properties))
        harness.state.cancellation.cancel_job(JobId(1), "no")
        harness.absorb()
        (kill,) = harness.of(KillTaskSet)
        assert isinstance(kill, KillTaskSet)
        assert kill.interrupt is interrupts


@pytest.mark.parametrize("interrupts", [True, False])
def test_the_setting_says_it_for_jobs_that_do_not(interrupts: bool) -> None:
    with dag() as harness:
        harness.state.interrupt_on_cancel = interrupts
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.state.cancellation.cancel_job(JobId(1), "no")
        harness.absorb()
        (kill,) = harness.of(KillTaskSet)
        assert isinstance(kill, KillTaskSet)
        assert kill.interrupt is interrupts


def test_a_group_is_cancelled_as_a_whole() -> None:
    with dag() as harness:
        for job_id, group in ((1, "a"), (2, "b"), (3, "a")):
            build = LineageBuilder()
            build.source(1)
            harness.submit(submit_job(job_id, build.lineage(), properties={"minispark.jobGroup.id": group}))
        harness.state.cancellation.cancel_group("a", "not needed")
        harness.absorb()
        assert list(harness.failed()) == [1, 3]
        harness.state.cancellation.cancel_all("stop")


def test_the_metrics_of_a_stage_are_the_sums_over_its_tasks() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage()))
        for index, size in ((0, 30), (1, 12)):
            harness.end(harness.last, index, result_success(b"", size))
        completed = [e.event for e in harness.effects if isinstance(e, Post) and isinstance(e.event, StageCompleted)]
        assert [event.stage.metrics.result_size_bytes for event in completed] == [42]


def test_a_lineage_of_ten_thousand_shuffles_is_submitted_without_recursion() -> None:
    with dag() as harness:
        build = LineageBuilder()
        last = build.source(1)
        for _ in range(10_000):
            last = build.shuffled(last, 1)
        harness.state.submit_job(submit_job(1, build.lineage()))
        (first,) = [effect for effect in harness.state.take_effects() if isinstance(effect, SubmitTaskSet)]
        assert first.stage_id == 0
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.parametrize("interrupts", [True, False])
def test_what_is_left_of_a_finished_job_is_interrupted_only_if_it_may_be(interrupts: bool) -> None:
    with dag() as harness:
        properties = {"minispark.job.interruptOnCancel": str(interrupts).lower()}
        harness.submit(submit_job(1, two_stages().lineage(), properties=properties))
        harness.end_all_maps(harness.last)
        first = harness.last
        harness.end(first, 0, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        harness.end_all_maps(harness.last)
        harness.end_all_results(first)  # the attempt that failed was faster; the new one goes on for nothing
        assert harness.succeeded() == [1]
        assert harness.of(KillTaskSet) == [KillTaskSet(first.stage_id, interrupts, "the stage is finished")]
