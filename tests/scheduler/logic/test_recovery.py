from dataclasses import replace

import pytest

from minispark.messages.scheduler import PartitionCompleted
from minispark.messages.task import Resubmitted
from minispark.testing.builders import (
    LineageBuilder,
    exception_failure,
    fetch_failed,
    map_success,
    result_success,
    submit_job,
)
from tests.scheduler.logic.dag_harness import DagHarness, dag, places, three_stages, two_stages, write_on


def fail_reduce_once(harness: DagHarness, *, only_this: bool = True) -> None:
    """Let the newest reduce set's first task miss map output 0, and run the stages again up to the reduce set."""
    harness.end(harness.last, 0, fetch_failed(0, 0, only_this=only_this))
    harness.resubmit()
    harness.end_all_maps(harness.last)


@pytest.mark.scenario("DAG-043")
def test_a_fetch_failure_reruns_the_map_and_then_only_the_failed_reduces() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        reduces = harness.last
        harness.end(reduces, 0, result_success(b"0"))
        harness.end(reduces, 1, fetch_failed(0, 1, only_this=True))
        harness.resubmit()
        assert harness.last.is_map_stage
        assert harness.partitions(harness.last) == [1]
        harness.end_all_maps(harness.last)
        assert harness.partitions(harness.last) == [1]
        harness.end_all_results(harness.last)
        assert harness.results(1) == {0: b"0", 1: b"1"}


def test_a_fetch_failure_from_an_unreachable_executor_drops_all_its_outputs() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        maps = harness.last
        for index, executor in enumerate(("a", "a", "b")):
            harness.end(maps, index, map_success(index, executor=executor, reducers=2), executor)
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="a"))
        harness.resubmit()
        assert harness.partitions(harness.last) == [0, 1]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-044")
def test_several_fetch_failures_cause_one_resubmission() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages(maps=2, reducers=3).lineage()))
        harness.end_all_maps(harness.last)
        reduces = harness.last
        harness.end(reduces, 0, fetch_failed(0, 0, only_this=True))
        harness.end(reduces, 1, fetch_failed(0, 1, only_this=True))
        assert harness.resubmissions() == 1
        harness.resubmit()
        assert harness.partitions(harness.last) == [0, 1]
        harness.state.cancellation.cancel_all("enough")


def test_stages_of_different_jobs_that_fail_within_a_moment_are_resubmitted_together() -> None:
    with dag() as harness:
        for job_id in (1, 2):
            build = LineageBuilder()
            if job_id == 2:
                build.shuffle_of(build.source(1), 1)  # so that its shuffle is another one
            build.shuffled(build.source(2), 2)
            harness.submit(submit_job(job_id, build.lineage()))
            harness.end_all_maps(harness.last)
        first, second = (each for each in harness.sets if not each.is_map_stage)
        harness.end(first, 0, fetch_failed(0, 0, only_this=True))
        harness.end(second, 0, fetch_failed(1, 0, only_this=True))
        assert harness.resubmissions() == 1
        harness.resubmit()
        assert [each.is_map_stage for each in harness.sets[-2:]] == [True, True]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-046")
def test_a_fetch_failure_of_an_older_attempt_is_ignored() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages(reducers=3).lineage()))
        harness.end_all_maps(harness.last)
        old = harness.last
        fail_reduce_once(harness)
        count = len(harness.sets)
        harness.end(old, 2, fetch_failed(0, 1, only_this=True))
        harness.resubmit()
        assert len(harness.sets) == count
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-058")
def test_a_result_of_an_older_attempt_is_taken_and_the_live_task_set_told() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        old = harness.last
        fail_reduce_once(harness)
        harness.end(old, 1, result_success(b"1"))
        assert harness.of(PartitionCompleted) == [PartitionCompleted(old.stage_id, 1)]
        harness.end(harness.last, 0, result_success(b"0"))
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-049")
@pytest.mark.scenario("DAG-050")
def test_a_stage_is_given_up_after_four_fetch_failures_in_a_row() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        for _ in range(3):
            fail_reduce_once(harness)
            assert harness.failed() == {}
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        assert "4 attempts in a row" in harness.failed()[1]


def test_a_stage_is_given_up_at_its_total_number_of_attempts() -> None:
    with dag(max_attempts=2) as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        fail_reduce_once(harness)
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        assert "minispark.stage.maxAttempts" in harness.failed()[1]


@pytest.mark.scenario("DAG-041")
def test_a_late_completion_from_a_lost_executor_does_not_count() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        maps = harness.last
        harness.lose_executor("a")
        harness.end(maps, 0, map_success(0, executor="a", reducers=2), "a")
        harness.end(maps, 1, map_success(1, executor="b", reducers=2), "b")
        assert harness.partitions(harness.last) == [0]
        harness.end_all_maps(harness.last, "b")
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_outputs_lost_between_map_and_reduce_are_made_again_first() -> None:
    with dag() as harness:
        build = LineageBuilder()
        first = build.shuffled(build.source(2), 2)
        build.shuffled(first, 1)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last, "a")
        harness.lose_executor("a")
        second = harness.last
        harness.end(second, 0, fetch_failed(0, 0, executor="a"))
        harness.resubmit()
        assert harness.partitions(harness.last) == [0, 1]
        harness.end_all_maps(harness.last, "b")
        harness.end_all_maps(harness.last, "b")
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_resubmitted_map_task_is_waited_for() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        maps = harness.last
        harness.end(maps, 0, map_success(0, reducers=2))
        harness.end(maps, 0, Resubmitted())
        harness.end(maps, 1, map_success(1, reducers=2))
        assert len(harness.sets) == 1
        harness.end(maps, 0, map_success(0, map_id=7, reducers=2))
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-045")
def test_a_late_fetch_failure_waits_for_the_attempt_of_the_map_stage_that_runs() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        reduces = harness.last
        harness.end(reduces, 0, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        harness.end(reduces, 1, fetch_failed(0, 1, only_this=True))
        harness.resubmit()
        assert [harness.partitions(task_set) for task_set in harness.sets[2:]] == [[0]]
        harness.end_all_maps(harness.last)
        assert harness.partitions(harness.last) == [1]
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-047")
def test_a_shuffle_of_an_earlier_job_is_made_again_for_a_later_one() -> None:
    with dag() as harness:
        lineage = two_stages().lineage()
        harness.submit(submit_job(1, lineage))
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        harness.submit(submit_job(2, lineage))
        fail_reduce_once(harness)
        assert harness.sets[-2].stage_id != harness.sets[0].stage_id
        assert harness.partitions(harness.sets[-2]) == [0]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1, 2]


@pytest.mark.scenario("DAG-048")
def test_losses_on_several_levels_are_made_good_from_the_top() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        write_on(harness, "ab")
        write_on(harness, "ab")
        harness.end(harness.last, 0, fetch_failed(1, 0, executor="a"))  # and shuffle 0 loses what a had as well
        harness.resubmit()
        assert [(task_set.stage_id, harness.partitions(task_set)) for task_set in harness.sets[3:]] == [(0, [0])]
        write_on(harness, "b")
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (1, [0])
        write_on(harness, "b")
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def fail_and_come_back(harness: DagHarness, shuffle_id: int) -> None:
    """Let the newest set's first task miss an output, and run what is needed until its stage runs again."""
    failing = harness.last.stage_id
    harness.end(harness.last, 0, fetch_failed(shuffle_id, 0, only_this=True))
    harness.resubmit()
    while harness.last.stage_id != failing:
        harness.end_all_maps(harness.last)


@pytest.mark.scenario("DAG-051")
def test_failures_of_different_stages_do_not_add_up() -> None:
    with dag(max_consecutive_attempts=3) as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        harness.end_all_maps(harness.last)
        for _ in range(2):
            fail_and_come_back(harness, 0)  # stage 1
        harness.end_all_maps(harness.last)
        for _ in range(2):
            fail_and_come_back(harness, 1)  # stage 2
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-052")
def test_a_success_in_between_starts_the_count_of_failures_anew() -> None:
    with dag(max_consecutive_attempts=3) as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        harness.end_all_maps(harness.last)
        for _ in range(2):
            fail_and_come_back(harness, 0)
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, fetch_failed(1, 0, only_this=True))
        harness.resubmit()
        for _ in range(2):
            fail_and_come_back(harness, 0)  # four failures in all, but two in a row
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-053")
def test_the_total_of_attempts_is_a_limit_of_its_own_with_its_own_message() -> None:
    with dag(max_attempts=2) as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        fail_reduce_once(harness)
        count = len(harness.sets)
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        assert "attempted 2 times (minispark.stage.maxAttempts)" in harness.failed()[1]
        assert "in a row" not in harness.failed()[1]
        harness.resubmit()
        assert len(harness.sets) == count


@pytest.mark.scenario("DAG-054")
@pytest.mark.parametrize(("excuse", "gives_up"), [(True, False), (False, True)])
def test_fetch_failures_from_executors_that_go_away_on_purpose_are_excused(excuse: bool, gives_up: bool) -> None:
    with dag(max_consecutive_attempts=2, excuse_decommissioned=excuse) as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.decommission("driver")
        fail_reduce_once(harness)
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        assert bool(harness.failed()) is gives_up
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-055")
@pytest.mark.scenario("DAG-061", "40082: stage with no pending partitions left after resubmission finalises")
@pytest.mark.scenario("DAG-061", "(push on/off)")
def test_a_copy_that_cannot_fetch_does_no_harm_to_the_original_that_succeeds() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        write_on(harness, "ab")
        second = harness.last
        harness.end(second, 0, map_success(0, executor="b", reducers=2), "b")
        harness.end(second, 1, fetch_failed(0, 0, executor="a"))  # the copy
        harness.end(second, 1, map_success(1, executor="b", reducers=2), "b")  # the original
        assert places(harness, 1) == ["b", "b"]
        harness.resubmit()
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (0, [0])
        write_on(harness, "b")
        assert harness.last.stage_id == 2  # nothing of stage 1 is missing: it ended when it was submitted
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_copy_that_cannot_fetch_does_not_keep_a_job_from_ending() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        reduces = harness.last
        harness.end(reduces, 1, fetch_failed(0, 0, only_this=True))
        harness.end_all_results(reduces)
        assert harness.succeeded() == [1]
        harness.resubmit()


@pytest.mark.scenario("DAG-056")
def test_after_a_stage_was_given_up_others_still_handle_fetch_failures() -> None:
    with dag(max_consecutive_attempts=1) as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        assert list(harness.failed()) == [1]
        harness.state.recovery.rules = replace(harness.state.recovery.rules, max_consecutive_attempts=4)
        harness.submit(submit_job(2, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        fail_reduce_once(harness)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [2]


@pytest.mark.scenario("DAG-057")
def test_a_late_output_that_may_be_lost_does_not_end_the_attempt_that_makes_it() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        write_on(harness, "ab")
        old = harness.last
        harness.end(old, 1, fetch_failed(0, 0, executor="a"))
        harness.resubmit()
        write_on(harness, "b")
        live = harness.last
        assert (live.stage_id, live.stage_attempt) == (1, 1)
        harness.end(live, 1, map_success(1, executor="b", reducers=2), "b")
        harness.end(old, 0, map_success(0, executor="a", reducers=2), "a")  # a is lost since
        assert harness.last is live
        assert harness.of(PartitionCompleted) == []
        harness.end(live, 0, map_success(0, executor="b", reducers=2), "b")
        assert (harness.last.stage_id, places(harness, 1)) == (2, ["b", "b"])
        harness.end_all_results(harness.last)


def test_unknown_locations_drop_nothing_but_make_executors_ask_again() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        epoch = harness.map_outputs.epoch
        harness.end(harness.last, 0, replace(fetch_failed(0, -1), location=None))
        assert places(harness) == ["driver", "driver"]
        assert harness.map_outputs.epoch > epoch  # for others too, whether or not this stage runs again
        harness.resubmit()
        assert harness.last.epoch > epoch
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_stage_that_is_given_up_ends_only_the_jobs_that_cannot_do_without() -> None:
    with dag() as harness:
        build = three_stages()
        harness.submit(submit_job(1, build.lineage()))
        write_on(harness, "ab")
        write_on(harness, "AB")  # complete, and safe from what follows
        sibling = LineageBuilder()
        sibling.shuffled(sibling.source(2), 2)
        harness.submit(submit_job(2, sibling.lineage()))  # reads shuffle 0 only
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="a"))
        harness.resubmit()
        lost = harness.last
        assert lost.stage_id == 0
        harness.end(lost, 0, exception_failure())
        stage = harness.state.stages.by_id[lost.stage_id]
        harness.state.abort_stage(stage, harness.state.recovery.too_many_attempts(stage))
        harness.absorb()
        assert list(harness.failed()) == [2]
        harness.end_all_results(harness.sets[2])
        assert harness.succeeded() == [1]


def test_tasks_of_an_excused_attempt_are_killed_with_their_job() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.decommission("driver")
        harness.end(harness.last, 0, fetch_failed(0, 0))
        harness.state.cancellation.cancel_all("enough")
        harness.absorb()
        assert harness.last.stage_id in harness.killed_stages()


def test_a_stage_whose_last_output_comes_late_waits_for_its_parent_no_more() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.shuffled(build.source(2), 2), 1)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        middle = harness.last
        harness.end(middle, 0, map_success(0))
        harness.end(middle, 1, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        first_again = harness.last

        harness.end(middle, 1, map_success(1))  # another copy of the task that could not fetch

        result = harness.last
        assert (result.is_map_stage, result.stage_attempt) == (False, 0)
        harness.end_all_results(result)
        assert harness.succeeded() == [1]
        assert first_again.stage_id in harness.killed_stages()  # it ran for nothing
