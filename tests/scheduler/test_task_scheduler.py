import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.ids import BlockId, ExecutorId, StageId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorLossPending,
    ExecutorRemoved,
    KillTaskSet,
    PartitionCompleted,
    SubmitTaskSet,
    TaskEnded,
)
from minispark.messages.task import (
    DirectResult,
    ExecutorLostFailure,
    IndirectResult,
    Resubmitted,
    Success,
    TaskDescription,
    TaskKilled,
    TaskLocation,
    TaskMetrics,
    TaskResultLost,
    TaskState,
)
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.locality import Locality
from minispark.testing.builders import exception_failure, map_success, preferences, result_success, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import DRIVER, SchedulerHarness


def indirect(size: int = 10, path: str = "somewhere") -> Success:
    return Success(
        IndirectResult(BlockId("taskresult_0"), size, True, path, (size,)), TaskMetrics(result_size_bytes=size)
    )


def test_offers_launch_the_tasks_of_the_oldest_job_first_and_no_more_than_cores() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1], job_id=2, stage_id=2))
        harness.tell(task_set([0, 1], job_id=1, stage_id=1))
        assert [(task.job_id, task.partition) for task in harness.offer(3)] == [(1, 0), (1, 1), (2, 0)]
        assert [(task.job_id, task.partition) for task in harness.offer(3)] == [(2, 1)]
        assert harness.offer(3) == []

    run_virtual(scenario())


@pytest.mark.scenario("TSI-002")
def test_a_task_that_takes_two_cores_is_launched_where_two_are_free() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.task.cpus", 2))
        harness.tell(task_set([0, 1, 2]))
        assert [task.cpus for task in harness.offer(5)] == [2, 2]
        assert harness.offer(1) == []

    run_virtual(scenario())


@pytest.mark.scenario("TSI-012")
@pytest.mark.scenario("TSI-013")
def test_only_the_newest_attempt_of_a_stage_launches_tasks() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1]))
        assert len(harness.offer(1)) == 1
        harness.tell(task_set([0, 1], attempt=1))
        assert [(task.stage_attempt, task.partition) for task in harness.offer(4)] == [(1, 0), (1, 1)]

    run_virtual(scenario())


@pytest.mark.scenario("TSI-014")
def test_the_end_of_an_older_attempt_does_not_stop_the_live_one() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0, 1]))
        (old,) = harness.offer(1)
        harness.tell(task_set([0, 1], attempt=1))
        harness.end(old, result_success())
        live = harness.offer(4)
        assert len(live) == 2
        for task in live:
            harness.end(task, result_success())
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("TSI-015")
def test_a_second_end_of_a_task_is_ignored() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0]))
        (task,) = harness.offer()
        harness.end(task, result_success(b"first"))
        harness.end(task, result_success(b"second"))
        assert harness.reasons() == [result_success(b"first")]
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("TSI-016")
def test_killing_a_stage_kills_the_tasks_of_all_its_attempts() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0]))
        (old,) = harness.offer(1)
        harness.tell(task_set([0], attempt=1))
        (new,) = harness.offer(1)
        harness.tell(KillTaskSet(StageId(0), True, "cancelled"))
        assert harness.backend.kills == [(old.task_id, True, "cancelled"), (new.task_id, True, "cancelled")]
        for task in (old, new):
            harness.end(task, TaskKilled("cancelled"))
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_a_failed_task_is_offered_again_until_its_failures_are_too_many() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=2)
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], exception_failure("first"))
        assert harness.aborts() == []
        (again,) = harness.offer()
        assert again.attempt_number == 1
        harness.end(again, exception_failure("second"))
        (abort,) = harness.aborts()
        assert (abort.kind, abort.failure, abort.attempt_number) == ("task failures", exception_failure("second"), 1)
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("TSM-029")
def test_the_dag_scheduler_hears_of_an_end_after_the_task_set_knows_it() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0]))
        (task,) = harness.offer()
        seen: list[bool] = []
        harness.dag.send = lambda message: seen.append(not harness.scheduler.set_of_task)  # type: ignore[method-assign]
        harness.end(task, result_success())
        assert seen == [True]

    run_virtual(scenario())


def test_a_partition_done_by_an_older_attempt_is_not_run_by_the_live_one() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([3, 4], attempt=1))
        harness.tell(PartitionCompleted(StageId(0), 3))
        assert [task.partition for task in harness.offer()] == [4]

    run_virtual(scenario())


def test_the_tasks_of_a_lost_executor_end_and_run_elsewhere() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=2)
        harness.tell(task_set([0]))
        harness.offer(1, "a")
        harness.tell(ExecutorRemoved(ExecutorId("a"), "localhost", "gone", False))
        assert harness.reasons() == [ExecutorLostFailure(ExecutorId("a"), False, "gone")]
        (again,) = harness.offer(1, "b")
        harness.end(again, result_success())
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "TaskResultGetter")
def test_a_result_left_with_the_executor_is_fetched_before_the_task_counts_as_done() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.stored["taskresult_0"] = DirectResult(True, (b"rows",))
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], indirect())
        assert harness.reasons() == []
        await harness.fetched()
        (success,) = harness.reasons()
        assert isinstance(success, Success)
        assert success.result == DirectResult(True, (b"rows",))
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "TaskResultGetter")
@pytest.mark.parametrize("stored", [{}, {"taskresult_0": OSError(5, "input/output error")}])
def test_a_task_whose_result_is_lost_runs_again(stored: dict[str, DirectResult | OSError]) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=2)
        harness.stored = stored
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], indirect())
        await harness.fetched()
        assert [type(reason) for reason in harness.reasons()] == [TaskResultLost]
        (again,) = harness.offer()
        assert harness.scheduler.launcher.next_task_id == 2
        harness.end(again, result_success())
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "TaskResultGetter")
def test_results_beyond_the_bound_give_the_job_up_before_they_are_fetched() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.driver.maxResultSize", "100"))
        harness.tell(task_set([0, 1]))
        first, second = harness.offer()
        harness.end(first, result_success(b"", 60))
        harness.end(second, indirect(60, path=""))
        (abort,) = harness.aborts()
        assert abort.kind == "result too large"
        assert len(harness.dag.of(TaskEnded)) == 2
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_the_file_of_a_result_that_is_too_much_is_read_away() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.driver.maxResultSize", "100"))
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], indirect(101))
        await asyncio.sleep(1)
        assert harness.read == ["taskresult_0"]
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_a_kill_while_a_result_is_fetched_lets_the_fetch_end_the_task() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.stored["taskresult_0"] = DirectResult(True, ())
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], indirect())
        harness.tell(KillTaskSet(StageId(0), True, "cancelled"))
        assert harness.backend.kills == []
        await harness.fetched()
        harness.scheduler.assert_empty()

    run_virtual(scenario())


def test_nobody_else_is_offered_what_a_full_round_used_up() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set(range(5)))
        assert len(harness.offer(2)) == 2
        assert {task.executor_id for task in harness.offer(2)} == {DRIVER}
        assert len(harness.offer(2)) == 1

    run_virtual(scenario())


def test_a_wait_that_is_over_but_for_a_rounding_error_lets_time_pass() -> None:
    async def scenario() -> None:
        scheduler = SchedulerHarness().scheduler
        now = scheduler.world.monotonic()
        scheduler.offers.wake_s = now + 1e-12
        scheduler.wake_later(now)
        assert scheduler.wake_timer is not None
        assert scheduler.wake_timer.when() >= now + 0.001

    run_virtual(scenario())


# -- places ----------------------------------------------------------------------------------------------------------


def on(host: str, count: int) -> SubmitTaskSet:
    """Return a task set whose tasks prefer a host."""
    return replace(task_set(range(count)), preferences=preferences([[TaskLocation(host)]] * count))


def test_a_set_that_waits_for_a_near_place_is_offered_others_when_its_wait_ends() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(ExecutorAdded(ExecutorId("far"), "localhost"))
        harness.tell(ExecutorAdded(ExecutorId("near"), "h1"))
        harness.tell(on("h1", 1))
        assert harness.offer(1, "far") == []
        revived = harness.backend.revived
        await asyncio.sleep(2.9)
        assert harness.backend.revived == revived
        await asyncio.sleep(0.2)
        assert harness.backend.revived == revived + 1
        assert len(harness.offer(1, "far")) == 1
        harness.scheduler.on_stop()

    run_virtual(scenario())


def test_racks_from_a_table_keep_tasks_near(tmp_path: Path) -> None:
    table = tmp_path / "racks"
    table.write_text("h1 r1\nlocalhost r1\n")

    async def scenario() -> None:
        conf = SparkConf().set("minispark.topology.resolver", f"table:{table}").set("minispark.locality.wait", "0")
        harness = SchedulerHarness(conf)
        harness.tell(on("h1", 1))
        harness.offer(1, "e1")
        (attempts,) = harness.scheduler.sets_of_stage.values()
        assert [task.locality for task in attempts[0].running.values()] == [Locality.RACK]

    run_virtual(scenario())


def test_until_the_first_launch_it_is_said_that_nobody_takes_the_tasks(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([0]))
        await asyncio.sleep(31)
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert "no executor has taken a task yet: 0 executors are known" in caplog.text
        harness.offer()
        await asyncio.sleep(60)
        assert len(caplog.records) == 2

    run_virtual(scenario())


# -- executors that go away ------------------------------------------------------------------------------------------


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
        assert harness.scheduler.cluster.is_busy(ExecutorId("a"))
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
