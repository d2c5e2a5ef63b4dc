from collections.abc import Callable

import pytest

from minispark.ids import JobId
from minispark.scheduler.logic.barrier_checks import BarrierRules
from minispark.scheduler.logic.effects import CheckSlotsLater, Warn
from minispark.testing.builders import LineageBuilder, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag


def barrier(build: LineageBuilder, partitions: int = 2) -> int:
    """Add a source and a barrier RDD over it."""
    return build.declare(build.narrow(build.source(partitions)), is_barrier=True)


def pruned(build: LineageBuilder) -> list[int] | None:
    build.narrow(barrier(build, 4), partitions=2)
    return None


def first(build: LineageBuilder) -> list[int] | None:
    build.narrow(barrier(build))
    return [0]


def union(build: LineageBuilder) -> list[int] | None:
    build.narrow(barrier(build), build.source(2), partitions=4)
    return None


def coalesced(build: LineageBuilder) -> list[int] | None:
    build.narrow(barrier(build, 4), partitions=1)
    return None


def zipped(build: LineageBuilder) -> list[int] | None:
    build.narrow(build.narrow(barrier(build)), barrier(build))
    return None


def below_two_barriers(build: LineageBuilder) -> list[int] | None:
    build.declare(build.narrow(barrier(build), barrier(build)), is_barrier=True)
    return None


def with_slots(harness: DagHarness, slots: int, **rules: float) -> None:
    """Say how many tasks can run at once, and how often that is asked."""
    checks = harness.state.barrier_checks
    checks.slots = lambda: slots
    checks.rules = BarrierRules(
        check_interval_s=rules.get("every", 15), max_check_failures=int(rules.get("times", 40))
    )


def due(harness: DagHarness, job_id: int = 1) -> None:
    harness.state.barrier_checks.check_again(JobId(job_id))
    harness.absorb()


@pytest.mark.scenario(
    "BAR-010",
    "unsupported RDD chain in a barrier stage: partition pruning (result, map), partial partitions (first/take), "
    "union, coalesce, zip, two barrier parents",
)
@pytest.mark.parametrize("behind_a_shuffle", [False, True])
@pytest.mark.parametrize("chain", [pruned, first, union, coalesced, zipped, below_two_barriers])
def test_chains_that_a_barrier_stage_cannot_have_fail_the_job(
    chain: Callable[[LineageBuilder], list[int] | None], behind_a_shuffle: bool
) -> None:
    with dag() as harness:
        build = LineageBuilder()
        partitions = chain(build)
        if behind_a_shuffle and partitions is None:
            build.shuffled(len(build.nodes) - 1, 2)
        harness.submit(submit_job(1, build.lineage(), partitions))
        (message,) = harness.failed().values()
        two = chain in (zipped, below_two_barriers)
        assert ("more than one barrier RDD" if two else "partitions, but the stage would run") in message
        assert harness.sets == []


@pytest.mark.scenario("BAR-010", "pruning outside the barrier stage is allowed")
def test_what_lies_beyond_a_shuffle_does_not_matter() -> None:
    with dag() as harness:
        build = LineageBuilder()
        above = build.shuffled(build.narrow(build.source(4), partitions=2), 3)
        below = build.shuffled(build.declare(build.narrow(above), is_barrier=True), 2)
        build.narrow(below, partitions=1)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_maps(harness.last)
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert [task_set.is_barrier for task_set in harness.sets] == [False, True, False]
        assert harness.succeeded() == [1]


@pytest.mark.scenario("BAR-011")
@pytest.mark.parametrize("behind_a_shuffle", [False, True])
def test_dynamic_allocation_and_barriers_do_not_go_together(behind_a_shuffle: bool) -> None:
    with dag() as harness:
        harness.state.barrier_checks.rules = BarrierRules(dynamic_allocation=True)
        build = LineageBuilder()
        rdd = barrier(build)
        if behind_a_shuffle:
            build.shuffled(rdd, 2)
        harness.submit(submit_job(1, build.lineage()))
        assert "minispark.dynamicAllocation.enabled" in harness.failed()[1]


@pytest.mark.parametrize("dynamic", [False, True])
def test_jobs_without_barriers_are_not_asked(dynamic: bool) -> None:
    with dag() as harness:
        with_slots(harness, 0)
        harness.state.barrier_checks.rules = BarrierRules(dynamic_allocation=dynamic)
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("BAR-012", "more slots than available: retried every 15 s up to 40 times, then job fails")
@pytest.mark.parametrize("behind_a_shuffle", [False, True])
def test_a_job_that_needs_more_slots_is_looked_at_again_and_fails_in_the_end(behind_a_shuffle: bool) -> None:
    with dag() as harness:
        with_slots(harness, 3)
        build = LineageBuilder()
        rdd = barrier(build, 4)
        if behind_a_shuffle:
            build.shuffled(rdd, 2)
        harness.submit(submit_job(1, build.lineage()))
        for count in range(40):
            assert harness.of(CheckSlotsLater) == [CheckSlotsLater(JobId(1), 15)] * (count + 1)
            due(harness)
        assert len(harness.of(CheckSlotsLater)) == 40
        assert "needs 4 slots at once, and there are 3, after 41 looks" in harness.failed()[1]
        assert len(harness.of(Warn)) == 1


def test_unless_set_otherwise_it_is_looked_at_forty_times_every_fifteen_seconds() -> None:
    with dag() as harness:
        harness.state.barrier_checks.slots = lambda: 1
        build = LineageBuilder()
        barrier(build)
        harness.submit(submit_job(1, build.lineage()))
        while not harness.failed():
            due(harness)
        assert harness.of(CheckSlotsLater) == [CheckSlotsLater(JobId(1), 15)] * 40


def test_a_job_that_waited_for_slots_runs_when_they_are_there() -> None:
    with dag() as harness:
        with_slots(harness, 1, every=2.5)
        build = LineageBuilder()
        barrier(build)
        harness.submit(submit_job(1, build.lineage()))
        assert (harness.sets, harness.of(CheckSlotsLater)) == ([], [CheckSlotsLater(JobId(1), 2.5)])
        with_slots(harness, 2)
        due(harness)
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_job_that_waits_for_slots_runs_as_soon_as_executors_bring_them() -> None:
    with dag() as harness:
        with_slots(harness, 0)
        build = LineageBuilder()
        barrier(build)
        harness.submit(submit_job(1, build.lineage()))
        for slots in (1, 2):
            assert harness.sets == []
            with_slots(harness, slots)
            harness.state.barrier_checks.executor_added()
            harness.absorb()
        due(harness)  # the look that it waited for finds it gone
        assert len(harness.sets) == 1
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.parametrize("way", ["job", "group", "tag", "all"])
def test_a_job_that_waits_for_slots_can_be_cancelled(way: str) -> None:
    with dag() as harness:
        with_slots(harness, 1)
        build = LineageBuilder()
        barrier(build)
        properties = {"minispark.jobGroup.id": "g", "minispark.job.tags": "t,u"}
        harness.submit(submit_job(1, build.lineage(), properties=properties))
        cancellation = harness.state.cancellation
        cancels: dict[str, Callable[[], None]] = {
            "job": lambda: cancellation.cancel_job(JobId(1), "enough"),
            "group": lambda: cancellation.cancel_group("g", "enough"),
            "tag": lambda: cancellation.cancel_tag("u", "enough"),
            "all": lambda: cancellation.cancel_all("enough"),
        }
        cancels[way]()
        harness.absorb()
        assert harness.failed() == {1: "enough"}
        assert len(harness.of(Warn)) == 1  # that it waits; none that nobody was meant
        due(harness)
        assert harness.sets == []
