"""Jobs whose last stage is a map stage: their result is how much was written."""

import pytest

from minispark.messages.scheduler import JobSubmitted
from minispark.messages.task import Lineage, ShuffleDependencyInfo
from minispark.shuffle.logic.statistics import unpack_sizes
from minispark.testing.builders import LineageBuilder, fetch_failed, map_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag
from tests.scheduler.logic.test_dag import task_set_failed


def map_job(job_id: int, build: LineageBuilder, shuffle: ShuffleDependencyInfo) -> JobSubmitted:
    """Return a job that writes a shuffle; its lineage ends at the RDD that is written."""
    nodes = tuple(build.nodes[: shuffle.rdd_id + 1])
    whole = submit_job(job_id, Lineage(nodes))
    return JobSubmitted(
        whole.job_id, whole.lineage, whole.partitions, shuffle.binary_id, "map", "app.py:1", {}, shuffle
    )


def chain(*counts: int) -> tuple[LineageBuilder, list[ShuffleDependencyInfo]]:
    """Make RDDs of these numbers of partitions, with a shuffle between each and the next."""
    build = LineageBuilder()
    build.source(counts[0])
    shuffles = []
    for parent, count in enumerate(counts[1:]):
        shuffles.append(build.shuffle_of(parent, count))
        build.add(count, [shuffles[-1]])
    return build, shuffles


def sizes(harness: DagHarness, job_id: int) -> tuple[int, ...]:
    return unpack_sizes(harness.results(job_id)[0])


def stages_run(harness: DagHarness) -> list[int]:
    return [task_set.stage_id for task_set in harness.sets]


@pytest.mark.scenario("DAG-066")
def test_a_map_stage_job_gives_the_sizes_of_what_was_written() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(2, 3)
        harness.submit(map_job(1, build, shuffle))
        assert harness.last.is_map_stage
        harness.end(harness.last, 0, map_success(0, reducers=3))
        assert harness.succeeded() == []
        harness.end(harness.last, 1, map_success(1, reducers=3))
        assert harness.succeeded() == [1]
        assert sizes(harness, 1) == (2, 2, 2)  # of a byte from each map
        assert harness.events() == ["JobStart", "StageSubmitted", "StageCompleted", "JobEnd"]


@pytest.mark.scenario("DAG-067")
def test_a_job_that_reads_what_a_map_stage_job_wrote_does_not_write_it_again() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(2, 2)
        harness.submit(map_job(1, build, shuffle))
        harness.submit(submit_job(2, build.lineage()))
        harness.end_all_maps(harness.last)
        assert harness.succeeded() == [1]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1, 2]
        assert stages_run(harness) == [0, 1]


@pytest.mark.scenario("DAG-069")
def test_a_map_stage_job_over_outputs_that_are_there_ends_at_once() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(2, 2)
        for job_id in (1, 2):
            harness.submit(map_job(job_id, build, shuffle))
        harness.end_all_maps(harness.last)
        harness.submit(map_job(3, build, shuffle))
        assert harness.succeeded() == [1, 2, 3]
        assert sizes(harness, 1) == sizes(harness, 3)
        assert stages_run(harness) == [0]


@pytest.mark.scenario("DAG-069")
def test_a_map_stage_job_ends_too_when_its_next_attempt_finds_nothing_missing() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(1, 1)
        harness.submit(map_job(1, build, shuffle))
        first = harness.last
        stage = harness.state.stages.by_id[first.stage_id]
        harness.state.end_stage(stage, "its executor was lost")
        harness.state.failed[stage.stage_id] = stage
        harness.end(first, 0, map_success(0))  # the failed attempt writes it after all
        assert harness.succeeded() == []
        harness.resubmit()
        assert harness.succeeded() == [1]
        assert stages_run(harness) == [0]


@pytest.mark.scenario("DAG-068", "map stage with fetch failure")
def test_a_map_stage_job_survives_a_fetch_failure() -> None:
    with dag() as harness:
        build, (first, second) = chain(2, 2, 2)
        harness.submit(map_job(1, build, second))
        harness.end_all_maps(harness.last, "exec-A")
        harness.end(harness.last, 0, map_success(0, executor="exec-B", reducers=2), "exec-B")
        harness.end(harness.last, 1, fetch_failed(first.shuffle_id, 0, executor="exec-A"))
        harness.resubmit()
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (0, [0, 1])
        harness.end_all_maps(harness.last, "exec-B")
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (1, [1])
        harness.end_all_maps(harness.last, "exec-B")
        assert harness.succeeded() == [1]
        assert sizes(harness, 1) == (2, 2)


@pytest.mark.scenario("DAG-068", "several shared map stages with failures")
def test_map_stage_jobs_that_share_stages_all_end_although_outputs_are_lost() -> None:
    with dag() as harness:
        build, shuffles = chain(2, 2, 2, 2)
        for job_id, shuffle in enumerate(shuffles):
            harness.submit(map_job(job_id, build, shuffle))
        harness.end_all_maps(harness.last, "exec-A")
        assert harness.succeeded() == [0]
        harness.end_all_maps(harness.last, "exec-B")
        assert harness.succeeded() == [0, 1]
        harness.end(harness.last, 0, fetch_failed(1, 0, executor="exec-B"))  # both outputs of shuffle 1 are lost …
        harness.resubmit()
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="exec-A"))  # … and so are those of shuffle 0
        harness.resubmit()
        for _ in range(3):
            harness.end_all_maps(harness.last, "exec-C")
        assert harness.succeeded() == [0, 1, 2]
        assert stages_run(harness) == [0, 1, 2, 1, 0, 1, 2]


@pytest.mark.scenario("DAG-070")
def test_outputs_of_a_lost_executor_that_come_late_do_not_end_a_map_stage_job() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(3, 2)
        harness.submit(map_job(1, build, shuffle))
        first = harness.last
        harness.end(first, 0, map_success(0, executor="exec-A", reducers=2), "exec-A")
        harness.lose_executor("exec-A")
        for index in (1, 2):
            harness.end(first, index, map_success(index, executor="exec-A", reducers=2), "exec-A")
        assert harness.succeeded() == []
        assert harness.partitions(harness.last) == [0, 1, 2]
        harness.end_all_maps(harness.last, "exec-B")
        assert harness.succeeded() == [1]


def test_the_failure_of_a_map_stage_fails_its_jobs_and_leaves_nothing() -> None:
    with dag() as harness:
        build, (shuffle,) = chain(1, 1)
        harness.submit(map_job(1, build, shuffle))
        harness.state.task_set_failed(task_set_failed(harness.last, "boom"))
        harness.absorb()
        assert harness.failed() == {1: "boom"}
