import pytest

from minispark.messages.scheduler import PartitionCompleted
from minispark.messages.task import Resubmitted
from minispark.testing.builders import LineageBuilder, fetch_failed, map_success, result_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag


def two_stages(maps: int = 2, reducers: int = 2) -> LineageBuilder:
    build = LineageBuilder()
    build.shuffled(build.source(maps), reducers)
    return build


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
