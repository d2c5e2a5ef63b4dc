from collections.abc import Sequence

import pytest

from minispark.ids import JobId, TaskId
from minispark.messages.scheduler import SubmitTaskSet, unpack_integers
from minispark.messages.task import MapStatus, Success, TaskMetrics
from minispark.scheduler.logic import submission
from minispark.scheduler.logic.dag import DagState
from minispark.scheduler.logic.effects import SubmitMoreTasks
from minispark.scheduler.logic.submission import CHUNK
from minispark.testing.builders import LineageBuilder, fetch_failed, location, map_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag
from tests.scheduler.logic.test_cached import Blocks
from tests.scheduler.logic.test_preferred import rows


def keep(state: DagState, blocks: Blocks) -> Blocks:
    """Have the machine ask this table of blocks."""
    state.cached.blocks = blocks
    return blocks


def preferred(task_set: SubmitTaskSet) -> list[list[str]]:
    return rows(task_set.preferences)


def two_cached_shuffles() -> LineageBuilder:
    """Make RDD 0 (cached, 2) → shuffle 0 → RDD 1 (cached, 2) → shuffle 1 → RDD 2 (1)."""
    build = LineageBuilder()
    source = build.source(2, is_cached=True)
    middle = build.add(2, [build.shuffle_of(source, 2)], is_cached=True)
    build.shuffled(middle, 1)
    return build


def map_sets(harness: DagHarness) -> list[tuple[int, list[int]]]:
    return [(s.stage_id, list(unpack_integers(s.partitions))) for s in harness.sets if s.is_map_stage]


def test_the_preferences_of_an_rdd_reach_the_task_set() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.narrow(build.source(3, [["a"], [], ["b", "a"]]))
        harness.submit(submit_job(1, build.lineage(), [2, 0]))
        assert preferred(harness.last) == [["b", "a"], ["a"]]
        harness.end_all_results(harness.last)


def test_a_large_stage_with_preferences_is_submitted_over_several_turns() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(2 * CHUNK + 1, [["a"]] * (2 * CHUNK + 1))
        harness.submit(submit_job(1, build.lineage()))
        for turn in (1, 2, 3):
            assert len(harness.sets) == turn
            assert [len(preferred(task_set)) for task_set in harness.sets] == [CHUNK, CHUNK, 1][:turn]
            for more in [e for e in harness.effects if isinstance(e, SubmitMoreTasks)][turn - 1 :]:
                harness.state.submission.submit_more(more.stage_id, more.stage_attempt)
            harness.absorb()
        assert [task_set.is_last for task_set in harness.sets] == [False, False, True]
        assert harness.state.submission.rests == {}
        harness.state.cancellation.cancel_all("enough")


def test_what_is_left_of_an_attempt_that_ended_is_not_submitted() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.source(CHUNK + 1, [["a"]] * (CHUNK + 1))
        harness.submit(submit_job(1, build.lineage()))
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        harness.state.submission.submit_more(harness.last.stage_id, 0)
        harness.absorb()
        assert len(harness.sets) == 1
        assert harness.state.submission.rests == {}


@pytest.mark.scenario("DAG-033")
def test_a_job_over_a_cached_rdd_behind_a_shuffle_skips_the_stages_before() -> None:
    with dag() as harness:
        keep(harness.state, Blocks({1: [["d"], ["c"]]}))
        harness.submit(submit_job(1, two_cached_shuffles().lineage()))
        assert map_sets(harness) == [(1, [0, 1])]
        assert preferred(harness.last) == [["d"], ["c"]]
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_lost_output_behind_a_cached_rdd_is_computed_from_the_cache() -> None:
    with dag() as harness:
        blocks = keep(harness.state, Blocks({}))
        harness.submit(submit_job(1, two_cached_shuffles().lineage()))
        harness.end_all_maps(harness.last, "exec-A")
        assert blocks.kept is not None
        blocks.kept |= {1: [["d"], ["c"]]}
        harness.end_all_maps(harness.last, "exec-A")
        harness.end(harness.last, 0, fetch_failed(1, 0, executor="exec-A"))
        harness.resubmit()
        assert map_sets(harness) == [(0, [0, 1]), (1, [0, 1]), (1, [0, 1])]
        assert preferred(harness.last) == [["d"], ["c"]]
        harness.end_all_maps(harness.last, "exec-B")
        harness.end_all_results(harness.last)


@pytest.mark.scenario("DAG-005")
def test_cached_rdds_are_asked_for_once_and_again_when_something_happened() -> None:
    with dag() as harness:
        blocks = keep(harness.state, Blocks({0: [["a"], ["b"]]}))
        build = two_cached_shuffles()

        def asked() -> Sequence[int]:
            answer, blocks.asked = blocks.asked, []
            return answer

        harness.submit(submit_job(1, build.lineage()))
        assert asked() == [1, 0]  # RDD 1 by the search for missing parents, RDD 0 by it and by the tasks
        harness.submit(submit_job(2, build.lineage(), [0]))
        assert harness.state.cached.known == {}  # a new job would ask anew, but its stages are underway
        harness.end_all_maps(harness.sets[0], "exec-A")
        assert asked() == [1]  # so does what follows a stage that completed
        harness.lose_executor("exec-B")
        assert harness.state.cached.known == {}
        harness.end_all_maps(harness.last, "exec-A")
        harness.end(harness.last, 0, fetch_failed(1, 0, executor="exec-A"))
        asked()
        harness.resubmit()
        assert asked() == [1, 0]
        harness.state.cancellation.cancel_all("enough")
        harness.absorb()


@pytest.mark.scenario("DAG-013", "53564: RPC timeout while asking cache locations does not kill the scheduler/app")
@pytest.mark.scenario("DAG-013", 'location lookup is treated as "not cached" and the stage proceeds')
@pytest.mark.scenario("DAG-014")
def test_a_table_of_blocks_that_does_not_answer_means_that_the_parents_run() -> None:
    with dag() as harness:
        keep(harness.state, Blocks(None))
        harness.submit(submit_job(1, two_cached_shuffles().lineage()))
        assert map_sets(harness) == [(0, [0, 1])]
        harness.end_all_maps(harness.last)
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]
        assert map_sets(harness) == [(0, [0, 1]), (1, [0, 1])]


@pytest.mark.scenario("DAG-034")
def test_a_map_side_without_partitions_is_not_computed() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.source(0), 2)
        harness.submit(submit_job(1, build.lineage()))
        assert map_sets(harness) == []
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-032")
def test_a_child_waits_until_all_outputs_of_all_its_parents_are_registered() -> None:
    with dag() as harness:
        build = LineageBuilder()
        left, right = build.shuffled(build.source(2), 1), build.shuffled(build.source(2), 1)
        build.narrow(left, right)
        harness.submit(submit_job(1, build.lineage()))
        first, second = harness.sets
        harness.end_all_maps(first, "exec-A")
        harness.end(second, 0, map_success(0, executor="exec-A"), "exec-A")
        harness.lose_executor("exec-A")
        harness.end(second, 1, map_success(1, executor="exec-B"), "exec-B")
        assert not [task_set for task_set in harness.sets if not task_set.is_map_stage]
        assert map_sets(harness)[2:] == [(1, [0])]
        harness.end(harness.last, 0, map_success(0, executor="exec-B"), "exec-B")
        assert not [task_set for task_set in harness.sets if not task_set.is_map_stage]
        harness.end_all_maps(harness.last, "exec-B")
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-064")
def test_a_stage_whose_first_job_is_gone_runs_under_the_properties_of_the_second() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.narrow(build.shuffled(build.source(1), 1)), 1)
        for job_id in (1, 2):
            harness.submit(submit_job(job_id, build.lineage(), properties={"owner": f"job {job_id}"}))
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        harness.end_all_maps(harness.last)
        assert (harness.last.job_id, harness.last.properties) == (2, {"owner": "job 2"})
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [2]


@pytest.mark.scenario("DAG-065")
def test_so_does_the_next_attempt_after_a_fetch_failure() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.shuffled(build.shuffled(build.source(1), 1), 1)
        for job_id in (1, 2):
            harness.submit(submit_job(job_id, build.lineage(), properties={"owner": f"job {job_id}"}))
        harness.end_all_maps(harness.last)
        assert harness.last.properties == {"owner": "job 1"}
        harness.state.cancellation.cancel_job(JobId(1), "enough")
        harness.end(harness.last, 0, fetch_failed(0, 0))
        harness.resubmit()
        assert (harness.last.stage_id, harness.last.properties) == (0, {"owner": "job 2"})
        harness.end_all_maps(harness.last)
        assert (harness.last.stage_id, harness.last.job_id, harness.last.properties) == (1, 2, {"owner": "job 2"})
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [2]


@pytest.mark.scenario("DAG-008")
@pytest.mark.scenario("DAG-009")
def test_reduce_tasks_prefer_the_hosts_that_wrote_a_fifth_of_what_they_read() -> None:
    with dag() as harness:
        build = LineageBuilder()
        build.narrow(build.shuffled(build.source(8), 2))
        harness.submit(submit_job(1, build.lineage()))
        for index, host in enumerate("aaaaaabc"):  # a: six eighths, b and c: one eighth each
            status = MapStatus(location(host, host), TaskId(index), index, bytes([1, 1]), 2, 1)
            harness.end(harness.sets[0], index, Success(status, TaskMetrics()), host)
        assert preferred(harness.last) == [["a"], ["a"]]
        harness.end_all_results(harness.last)


def test_an_attempt_whose_stage_is_done_before_all_of_it_was_submitted_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submission, "CHUNK", 2)
    build = LineageBuilder()
    build.shuffled(build.shuffled(build.source(1), 3), 1)
    with dag() as harness:
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        attempt = [harness.last, harness.last]
        harness.state.submission.submit_more(harness.last.stage_id, 0)
        harness.absorb()
        attempt.append(harness.last)
        harness.end(attempt[0], 0, fetch_failed(0, 0))
        harness.resubmit()
        harness.end_all_maps(harness.last)
        second = harness.last
        for partition, index in enumerate([0, 1, 0]):  # the tasks of the first attempt went on
            harness.end(attempt[partition], index, map_success(partition, executor="b"), "b")
        assert harness.killed_stages() == [second.stage_id]
        assert second.stage_id not in harness.state.submission.rests
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]
