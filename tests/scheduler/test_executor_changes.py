"""Executors that come and go: what a TaskScheduler's table of them says, and which finished tasks run again."""

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import ExecutorAdded, ExecutorDecommissioned, ExecutorLossPending, ExecutorRemoved
from minispark.messages.task import Resubmitted
from minispark.testing.builders import map_success, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness

A = ExecutorId("a")


@pytest.mark.scenario("TSM-023")
def test_of_a_lost_executors_outputs_those_that_were_handed_over_are_not_made_again() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1, 2], is_map_stage=True))
        tasks = harness.offer(2, "a")
        for index, task in enumerate(tasks):
            harness.end(task, map_success(index))
        harness.scheduler.executors.has_moved = {TaskId(tasks[0].task_id)}.__contains__

        harness.tell(ExecutorRemoved(A, "localhost", "decommissioned", False))

        assert [reason for reason in harness.reasons() if isinstance(reason, Resubmitted)] == [Resubmitted()]
        assert len(harness.offer(3, "b")) == 2  # the one that is lost, and the one that had not run
        assert len(harness.offer(3, "c")) == 0

    run_virtual(scenario())


def test_an_executor_is_known_from_its_first_word_to_its_loss() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        cluster = harness.scheduler.cluster
        for _ in range(2):
            harness.tell(ExecutorAdded(A, "host-a"))
        assert [(each, cluster.executors[each].host) for each in cluster.executors] == [(A, "host-a")]
        harness.tell(ExecutorRemoved(A, "host-a", "exit code 1", True))
        assert not cluster.executors

    run_virtual(scenario())


@pytest.mark.parametrize(
    "news", [ExecutorLossPending(A), ExecutorDecommissioned(A, "localhost", "it goes", False)], ids=["lost", "goes"]
)
def test_tasks_need_not_wait_for_an_executor_that_takes_no_more(
    news: ExecutorLossPending | ExecutorDecommissioned,
) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(ExecutorAdded(A, "localhost"))
        harness.tell(task_set([0]))
        (waiting,) = harness.scheduler.task_sets()
        waiting.near_until = 1e9

        harness.tell(news)

        assert waiting.near_until == 0.0
        assert harness.offer(1, "a") == []
        assert len(harness.offer(1, "b")) == 1

    run_virtual(scenario())
