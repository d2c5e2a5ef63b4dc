from dataclasses import replace

import pytest

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, StageId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorLossPending,
    ExecutorRemoved,
    KillTaskSet,
    TaskEnded,
)
from minispark.messages.task import (
    ExecutorLostFailure,
    Resubmitted,
    Success,
    TaskDescription,
    TaskKilled,
    TaskState,
)
from minispark.scheduler.backend import WorkerOffer
from minispark.testing.builders import exception_failure, map_success, result_success, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness


def running(harness: SchedulerHarness, task: TaskDescription) -> None:
    harness.scheduler.status_update(StatusUpdate(task.executor_id, task.task_id, TaskState.RUNNING, None))


def removed(executor: str, *, by_app: bool = True) -> ExecutorRemoved:
    return ExecutorRemoved(ExecutorId(executor), "localhost", "exit code 1", by_app)


@pytest.mark.scenario("TSI-028", "39955: executor lost while its task is RUNNING counts as failure")
@pytest.mark.scenario("TSM-022", "unknown exit counts")
def test_a_task_that_ran_when_its_executor_died_is_blamed() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=1)
        harness.tell(task_set([0]))
        running(harness, harness.offer(1, "a")[0])
        harness.tell(removed("a"))
        assert [abort.kind for abort in harness.aborts()] == ["executor lost"]
        assert harness.reasons() == [ExecutorLostFailure(ExecutorId("a"), True, "exit code 1")]

    run_virtual(scenario())


@pytest.mark.scenario("TSI-028", "while the task is still *launching* (no RUNNING status seen) it does not")
@pytest.mark.scenario("TSM-022", "executor exit unrelated to its task does not count")
@pytest.mark.parametrize(("started", "by_app"), [(False, True), (True, False)])
def test_a_task_that_cannot_have_brought_its_executor_down_is_not_blamed(started: bool, by_app: bool) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=1)
        harness.tell(task_set([0]))
        (task,) = harness.offer(1, "a")
        if started:
            running(harness, task)
        harness.tell(removed("a", by_app=by_app))
        assert harness.aborts() == []
        assert len(harness.offer(1, "b")) == 1

    run_virtual(scenario())


@pytest.mark.scenario("TSI-018")
def test_of_a_lost_executor_nothing_is_kept() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1]))
        first, _ = harness.offer(2, "a")
        assert harness.scheduler.cluster.executors[ExecutorId("a")].tasks
        harness.tell(removed("a", by_app=False))
        assert harness.scheduler.cluster.executors == {}
        assert harness.scheduler.set_of_task == {}
        harness.end(first, result_success())  # said before it died; it runs again all the same
        assert len(harness.reasons()) == 2

    run_virtual(scenario())


@pytest.mark.scenario("TSI-017")
def test_nothing_is_launched_where_the_reason_of_a_loss_is_awaited_nor_lost_before_it_is_known() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=1)
        harness.tell(task_set([0, 1, 2]))
        harness.offer(1, "a")
        harness.tell(ExecutorLossPending(ExecutorId("a")))
        assert harness.offer(1, "a") == []
        assert harness.reasons() == []
        assert len(harness.offer(1, "b")) == 1
        harness.tell(removed("a", by_app=False))
        assert len(harness.reasons()) == 1
        assert [task.partition for task in harness.offer(2, "b")] == [0, 2]

    run_virtual(scenario())


@pytest.mark.scenario("TSI-020", "full decommission flow")
def test_a_decommissioned_executor_gets_no_task_and_its_end_is_nobodys_fault() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=1)
        harness.tell(task_set([0, 1]))
        (task,) = harness.offer(1, "a")
        running(harness, task)
        harness.tell(ExecutorDecommissioned(ExecutorId("a"), "localhost", "spot instance", True))
        assert harness.offer(1, "a") == []
        assert harness.scheduler.cluster.is_host_decommissioned("localhost")
        harness.tell(removed("a"))
        (reason,) = harness.reasons()
        assert isinstance(reason, ExecutorLostFailure)
        assert not reason.exit_caused_by_app
        assert "spot instance" in reason.reason
        assert harness.scheduler.cluster.decommissioned(ExecutorId("a")) is not None

    run_virtual(scenario())


def test_finished_map_tasks_run_again_when_their_outputs_went_with_the_executor() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([5, 6, 7], is_map_stage=True))
        first, _ = harness.offer(2, "a")
        harness.end(first, map_success(5, executor="a"))
        harness.tell(removed("a", by_app=False))
        ended = harness.dag.of(TaskEnded)[1:]
        assert [(type(end.reason), end.partition) for end in ended] == [(Resubmitted, 5), (ExecutorLostFailure, 6)]
        assert ended[0].task_id == first.task_id
        assert {task.partition for task in harness.offer(4, "b")} == {5, 6, 7}

    run_virtual(scenario())


@pytest.mark.parametrize(("worker_lost", "again"), [(False, 0), (True, 1)])
def test_outputs_that_a_service_keeps_survive_their_executor_but_not_its_host(worker_lost: bool, again: int) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.shuffle.service.enabled", "true"))
        harness.tell(task_set([0, 1], is_map_stage=True))
        harness.end(harness.offer(1, "a")[0], map_success(0, executor="a"))
        harness.tell(replace(removed("a"), worker_lost=worker_lost))
        assert sum(isinstance(reason, Resubmitted) for reason in harness.reasons()) == again

    run_virtual(scenario())


@pytest.mark.scenario("TSM-026")
def test_a_set_that_starts_nothing_more_does_not_run_finished_tasks_again() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1], is_map_stage=True))
        first, _ = harness.offer(2, "a")
        harness.end(first, map_success(0, executor="a"))
        harness.tell(KillTaskSet(StageId(0), True, "cancelled"))
        harness.tell(removed("a", by_app=False))
        assert [type(reason) for reason in harness.reasons()] == [Success, ExecutorLostFailure]
        harness.scheduler.assert_empty()

    run_virtual(scenario())


async def two_copies(harness: SchedulerHarness) -> tuple[TaskDescription, TaskDescription]:
    """Run a map task on host a and, a second time, on host b; another one of its set waits."""
    for name in "abc":
        harness.tell(ExecutorAdded(ExecutorId(name), name))
    harness.tell(task_set([0, 1], is_map_stage=True))
    (first,) = harness.offer(1, "a")
    (other,) = harness.offer(1, "c")
    (attempts,) = harness.scheduler.sets_of_stage.values()
    tasks = attempts[0]
    assert tasks.add_speculatable(tasks.running[first.task_id])
    (second,) = harness.scheduler.resource_offers([WorkerOffer(ExecutorId("b"), "b", 1)])
    assert (second.index, other.index) == (first.index, 1)
    return first, second


@pytest.mark.scenario("TSM-039")
@pytest.mark.scenario("TSM-027")
def test_when_one_copy_succeeds_the_other_is_killed_and_its_executors_loss_costs_nothing() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        first, second = await two_copies(harness)
        harness.end(second, map_success(0, executor="b"))
        assert harness.backend.kills == [(first.task_id, True, "another attempt succeeded")]
        harness.end(first, map_success(0, executor="a"))  # it was done before the kill came
        assert [type(reason) for reason in harness.reasons()] == [Success, TaskKilled]
        harness.tell(ExecutorRemoved(ExecutorId("a"), "a", "gone", False))
        assert Resubmitted() not in harness.reasons()

    run_virtual(scenario())


@pytest.mark.scenario("TSM-028")
def test_the_killed_copy_of_a_task_runs_again_when_the_output_of_the_other_is_lost() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        first, second = await two_copies(harness)
        harness.end(second, map_success(0, executor="b"))
        harness.tell(ExecutorRemoved(ExecutorId("b"), "b", "gone", False))
        assert harness.reasons()[-1] == Resubmitted()
        assert harness.offer(1, "d") == []  # the other copy is still running
        harness.end(first, TaskKilled("another attempt succeeded"))
        assert [task.index for task in harness.offer(1, "d")] == [0]

    run_virtual(scenario())


@pytest.mark.scenario("TSM-034")
@pytest.mark.scenario("TSM-036")
@pytest.mark.parametrize("name", ["minispark.errors.PicklingError", "minispark.errors.OutputExists"])
def test_a_failure_that_would_come_again_gives_the_set_up_at_once_and_the_end_is_told(name: str) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=4)
        harness.tell(task_set([0]))
        failure = replace(exception_failure("no"), class_name=name)
        harness.end(harness.offer()[0], failure)
        (abort,) = harness.aborts()
        assert abort.failure == failure
        assert harness.reasons() == [failure]
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("TSM-030")
def test_attempts_of_a_stage_have_sets_of_different_names() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0], stage_id=3))
        harness.offer()
        harness.tell(task_set([0], stage_id=3, attempt=1))
        names = [tasks.name for tasks in harness.scheduler.task_sets()]
        assert names == ["task set 3.0", "task set 3.1"]

    run_virtual(scenario())
