"""Barrier sets as the TaskScheduler treats them; when their tasks are launched is tested in logic/test_offers.py."""

import dataclasses

import pytest

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.messages.coordination import BARRIER_ADDRESSES
from minispark.messages.scheduler import ExecutorAdded, KillTaskSet, SubmitTaskSet
from minispark.messages.task import TaskLocation
from minispark.testing.builders import preferences, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness

LEGACY = "minispark.locality.wait.legacyResetOnTaskLaunch"


def barrier_set() -> SubmitTaskSet:
    """Return a set of two tasks that would like to run elsewhere than where the offers are."""
    elsewhere = preferences([[TaskLocation("elsewhere")]] * 2)
    return dataclasses.replace(task_set([0, 1]), is_barrier=True, preferences=elsewhere)


@pytest.mark.scenario("BAR-007")
@pytest.mark.parametrize("legacy", [True, False])
def test_with_the_legacy_rule_a_barrier_stage_does_not_wait_for_places(legacy: bool) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf({LEGACY: legacy}))
        harness.tell(ExecutorAdded(ExecutorId("far"), "elsewhere"))
        harness.tell(barrier_set())
        assert len(harness.offer(2)) == (2 if legacy else 0)
        assert harness.aborts() == []

    run_virtual(scenario())


def test_each_task_of_a_barrier_set_is_told_where_all_are() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(dataclasses.replace(task_set([4, 7]), is_barrier=True))
        launched = harness.offer(2)
        addresses = [task.properties[BARRIER_ADDRESSES] for task in launched]
        assert addresses == ["localhost:driver,localhost:driver"] * 2

    run_virtual(scenario())


@pytest.mark.scenario("BAR-008")
@pytest.mark.parametrize("interrupt", [True, False])
def test_the_fellows_of_a_failed_task_are_interrupted_if_the_job_says_so(interrupt: bool) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(dataclasses.replace(task_set([0, 1]), is_barrier=True))
        launched = harness.offer(2)
        harness.tell(KillTaskSet(launched[0].stage_id, interrupt, "a fellow failed"))
        assert [(task_id, how) for task_id, how, _ in harness.backend.kills] == [
            (task.task_id, interrupt) for task in launched
        ]

    run_virtual(scenario())
