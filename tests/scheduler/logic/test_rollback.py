import pytest

from minispark.ids import TaskId
from minispark.messages.scheduler import PartitionCompleted
from minispark.messages.task import MapStatus
from minispark.scheduler.logic.effects import RemoveMapOutput
from minispark.testing.builders import LineageBuilder, fetch_failed, map_success, result_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag, map_ids, places, three_stages, two_stages, write_on


def indeterminate(build: LineageBuilder, *rdd_ids: int) -> LineageBuilder:
    """Declare RDDs, and what follows from them, indeterminate."""
    for rdd_id in rdd_ids:
        build.declare(rdd_id, determinism="indeterminate")
    return build


def lose_first(harness: DagHarness, shuffle_id: int = 0, *, task: int = 0) -> None:
    """Let a task of the newest set miss the first output of a shuffle; the other outputs are safe."""
    harness.end(harness.last, task, fetch_failed(shuffle_id, 0, only_this=True))


@pytest.mark.scenario("DAG-077")
def test_a_lost_output_of_an_indeterminate_stage_runs_it_and_all_that_follows_in_full() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(three_stages(), 0, 1, 2).lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 1, map_success(1, reducers=2))  # half of stage 1 is done
        lose_first(harness)
        harness.resubmit()
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (0, [0, 1])
        assert places(harness, 1) == ["-", "-"]
        harness.end_all_maps(harness.last)
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (1, [0, 1])
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.results(1) == {0: b"0", 1: b"1"}


def test_a_determinate_stage_runs_again_only_where_it_lost_something() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, three_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 1, map_success(1, reducers=2))
        lose_first(harness)
        harness.resubmit()
        assert harness.partitions(harness.last) == [0]
        assert places(harness, 1) == ["-", "driver"]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-078")
def test_what_an_attempt_that_was_rolled_back_still_writes_is_removed() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(three_stages(), 0, 1, 2).lineage()))
        harness.end_all_maps(harness.last)
        old = harness.last
        lose_first(harness)
        harness.resubmit()
        harness.end_all_maps(harness.last)
        late = map_success(1, map_id=99, reducers=2)
        harness.end(old, 1, late)
        assert isinstance(late.result, MapStatus)
        assert harness.of(RemoveMapOutput) == [RemoveMapOutput(late.result.location, late.result.map_id)]
        assert harness.of(PartitionCompleted) == []
        assert places(harness, 1) == ["-", "-"]
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)


@pytest.mark.scenario("DAG-079")
def test_a_rollback_goes_on_through_three_indeterminate_stages() -> None:
    with dag() as harness:
        build = three_stages()
        build.shuffled(2, 2)
        harness.submit(submit_job(1, indeterminate(build, 0, 1, 2).lineage()))
        for _ in range(2):
            harness.end_all_maps(harness.last)
        lose_first(harness, 1)  # stage 2 cannot read stage 1
        harness.resubmit()
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (1, [0, 1])
        lose_first(harness, 0)  # which cannot read stage 0
        harness.resubmit()
        for stage_id in (0, 1, 2):
            assert (harness.last.stage_id, harness.partitions(harness.last)) == (stage_id, [0, 1])
            harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-081")
def test_results_that_were_given_cannot_be_rolled_back() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(two_stages(), 0).lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, result_success())
        lose_first(harness, task=1)
        assert "has given 1 of 2 results already" in harness.failed()[1]
        assert "checkpoint the RDD" in harness.failed()[1]
        harness.resubmit()
        assert len(harness.sets) == 2


@pytest.mark.scenario("DAG-083")
@pytest.mark.parametrize("delivers", [False, True])
def test_whether_results_were_given_is_asked_when_the_stage_is_resubmitted(delivers: bool) -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(two_stages(), 0).lineage()))
        harness.end_all_maps(harness.last)
        reduces = harness.last
        lose_first(harness)
        assert harness.failed() == {}
        if delivers:
            harness.end(reduces, 1, result_success())
        harness.resubmit()
        assert list(harness.failed()) == ([1] if delivers else [])
        if not delivers:
            harness.end_all_maps(harness.last)
            assert harness.partitions(harness.last) == [0, 1]
            harness.end_all_results(harness.last)
            assert harness.succeeded() == [1]


def test_an_output_that_is_lost_with_its_executor_is_rolled_back_when_its_stage_runs_again() -> None:
    with dag() as harness:
        build = LineageBuilder()
        left, right = build.shuffled(build.source(2), 2), build.shuffled(build.source(2), 2)
        build.narrow(left, right)
        harness.submit(submit_job(1, indeterminate(build, 0).lineage()))
        write_on(harness, "ab", harness.sets[0])
        write_on(harness, "bb", harness.sets[1])
        harness.lose_executor("a")
        harness.end(harness.last, 0, fetch_failed(1, 0, executor="b", only_this=True))  # of the determinate stage
        harness.end(harness.last, 1, result_success())
        harness.resubmit()
        assert "has given 1 of 2 results already" in harness.failed()[1]


def test_the_result_of_a_task_that_was_rolled_back_gives_the_job_up() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(two_stages(), 0).lineage()))
        harness.end_all_maps(harness.last)
        old = harness.last
        lose_first(harness)
        harness.resubmit()
        assert harness.killed_stages() == [old.stage_id]  # so that it hardly ever comes to this
        harness.end(old, 1, result_success())
        assert "may be visible already" in harness.failed()[1]


def test_a_running_stage_of_another_job_that_reads_the_lost_output_starts_over() -> None:
    with dag() as harness:
        shared = indeterminate(three_stages(), 0, 1, 2)
        harness.submit(submit_job(1, shared.lineage()))
        reader = indeterminate(two_stages(), 0, 1)
        harness.submit(submit_job(2, reader.lineage()))
        harness.end_all_maps(harness.last)
        first, second = harness.sets[1:]
        assert (first.job_id, second.job_id) == (1, 2)
        harness.end(first, 0, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        assert second.stage_id in harness.killed_stages()
        harness.resubmit()
        harness.end_all_maps(harness.last)
        retried = {task_set.stage_id: task_set for task_set in harness.sets[-2:]}
        assert retried.keys() == {first.stage_id, second.stage_id}
        harness.end_all_results(retried[second.stage_id])
        harness.end_all_maps(retried[first.stage_id])
        harness.end_all_results(harness.last)
        assert sorted(harness.succeeded()) == [1, 2]


def test_complete_outputs_below_the_lost_one_are_made_again() -> None:
    with dag() as harness:
        build = indeterminate(three_stages(), 0, 1, 2)
        build.narrow(2, build.add(2, build.nodes[1].dependencies))  # the last stage reads shuffles 0 and 1
        harness.submit(submit_job(1, indeterminate(build, 3, 4).lineage()))
        harness.end_all_maps(harness.last)
        harness.end_all_maps(harness.last)
        assert places(harness, 1) == ["driver", "driver"]
        lose_first(harness, 0)
        harness.resubmit()
        assert places(harness, 1) == ["-", "-"]
        for stage_id in (0, 1):
            assert (harness.last.stage_id, harness.partitions(harness.last)) == (stage_id, [0, 1])
            harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-076")
def test_readers_are_never_sent_to_outputs_of_two_attempts() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(two_stages(maps=3), 0).lineage()))
        old = harness.last
        for index in range(3):
            harness.end(old, index, map_success(index, map_id=10 + index, reducers=2))
        lose_first(harness)
        harness.resubmit()
        for index in range(2):
            harness.end(harness.last, index, map_success(index, map_id=20 + index, reducers=2))
        harness.end(old, 2, map_success(2, map_id=13, reducers=2))  # a copy of the first attempt
        assert map_ids(harness) == [20, 21, -1]
        harness.end(harness.last, 2, map_success(2, map_id=22, reducers=2))
        assert map_ids(harness) == [20, 21, 22]
        harness.end_all_results(harness.last)


@pytest.mark.parametrize("lost", [False, True])
def test_a_copy_that_ends_after_its_stage_does_not_replace_what_was_read(lost: bool) -> None:
    with dag() as harness:
        harness.submit(submit_job(1, indeterminate(two_stages(), 0, 1).lineage()))
        maps = harness.last
        for index in range(2):
            harness.end(maps, index, map_success(index, map_id=10 + index, reducers=2, executor="a"), "a")
        harness.end(harness.last, 0, result_success(b"0"))
        if lost:
            harness.lose_executor("a")
        copy = map_success(1, map_id=21, reducers=2, executor="b")
        harness.end(maps, 1, copy, "b")
        assert map_ids(harness) == ([-1, -1] if lost else [10, 11])
        assert isinstance(copy.result, MapStatus)
        assert harness.of(RemoveMapOutput) == [RemoveMapOutput(copy.result.location, TaskId(21))]
        harness.state.cancellation.cancel_all("enough")
