"""Several attempts: of a stage, whose sets follow each other, and of a task, one of which wins."""

import dataclasses

import pytest

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, StageId
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorRemoved,
    PartitionCompleted,
)
from minispark.messages.task import TaskDescription
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic import offers as module
from minispark.testing.builders import exception_failure, fetch_failed, map_success, result_success, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness


def on(harness: SchedulerHarness, host: str) -> list[TaskDescription]:
    """Offer a core of the executor of a host."""
    return harness.scheduler.resource_offers([WorkerOffer(ExecutorId(host), host, 1)])


def test_an_older_set_that_runs_nothing_goes_when_a_newer_attempt_of_its_stage_comes() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1], attempt=0))
        harness.tell(task_set([0], attempt=1))
        assert list(harness.scheduler.sets_of_stage[StageId(0)]) == [1]
        harness.end(harness.offer()[0], result_success())
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_further_tasks_of_a_set_that_is_over_start_nothing() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0], is_last=False, num_tasks=2))
        harness.end(harness.offer()[0], fetch_failed(0, 0))
        harness.tell(dataclasses.replace(task_set([1], num_tasks=2), first=1))
        assert harness.offer() == []
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_a_barrier_set_runs_all_its_tasks_though_an_older_attempt_delivers_one_late() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(dataclasses.replace(task_set([0, 1], attempt=1, is_map_stage=True), is_barrier=True))
        harness.tell(PartitionCompleted(StageId(0), 0))
        launched = harness.offer(2)
        assert [task.partition for task in launched] == [0, 1]
        for task in launched:
            harness.end(task, map_success(task.partition))
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_a_task_that_was_started_anew_beside_its_second_attempt_is_killed_with_the_others() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=4)
        for host in "abc":
            harness.tell(ExecutorAdded(ExecutorId(host), host))
        harness.tell(task_set([0]))
        (first,) = on(harness, "a")
        tasks = harness.scheduler.set_of_task[first.task_id]
        assert tasks.add_speculatable(tasks.running[first.task_id])
        harness.end(first, exception_failure())
        (again,) = on(harness, "b")
        assert on(harness, "b") == [], "no two attempts on a host"
        (second,) = on(harness, "c")
        harness.end(second, result_success())
        assert [task_id for task_id, _, _ in harness.backend.kills] == [again.task_id]

    run_virtual(scenario())


def test_an_executor_that_is_gone_is_not_decommissioned_any_more() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(ExecutorAdded(ExecutorId("a"), "a"))
        harness.tell(ExecutorRemoved(ExecutorId("a"), "a", "gone", False))
        harness.tell(ExecutorDecommissioned(ExecutorId("a"), "a", "spot instance", True))
        assert harness.scheduler.cluster.executors == {}

    run_virtual(scenario())


def test_an_executor_that_comes_during_the_last_step_of_a_round_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "SLICE_COST", module.LAUNCH_COST)
        harness = SchedulerHarness()
        harness.tell(task_set(range(3)))
        old = [WorkerOffer(ExecutorId(host), host, 1) for host in "ab"]
        assert len(harness.scheduler.resource_offers(old)) == 1
        harness.tell(ExecutorAdded(ExecutorId("c"), "c"))
        free = [offer for offer in old if offer.cores] + [WorkerOffer(ExecutorId("c"), "c", 1)]
        launched: list[TaskDescription] = []
        while len(launched) < 1:
            launched += harness.scheduler.resource_offers(free)
        before = harness.backend.revived
        while harness.scheduler.offers.steps is not None:
            harness.scheduler.resource_offers([offer for offer in free if offer.cores])
        assert harness.backend.revived > before, "nobody would offer c again"

    run_virtual(scenario())


def test_an_executor_that_is_excluded_during_a_round_is_not_used_by_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "SLICE_COST", module.LAUNCH_COST)
        rule = "minispark.excludeOnFailure.application.fetchFailure.enabled"
        harness = SchedulerHarness(SparkConf({"minispark.excludeOnFailure.enabled": True, rule: True}))
        harness.tell(task_set(range(6)))
        offers = [WorkerOffer(ExecutorId(host), host, 2) for host in "abc"]
        harness.scheduler.resource_offers(offers)
        left = next(offer for offer in offers if offer.cores == 2)
        health = harness.scheduler.watch.health()
        assert health is not None
        health.fetch_failed(left.executor_id, left.host, harness.scheduler.world.wall())
        while harness.scheduler.offers.steps is not None:
            harness.scheduler.resource_offers(offers)
        assert [offer.cores for offer in offers if offer is not left] == [0, 0]
        assert left.cores == 2

    run_virtual(scenario())
