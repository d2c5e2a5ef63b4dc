import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.ids import BlockId, ExecutorId, StageId
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorRemoved,
    KillTaskAttempt,
    KillTaskSet,
    PartitionCompleted,
    SubmitTaskSet,
    TaskAttemptKilled,
    TaskEnded,
)
from minispark.messages.task import (
    DirectResult,
    ExecutorLostFailure,
    IndirectResult,
    Success,
    TaskKilled,
    TaskLocation,
    TaskMetrics,
    TaskResultLost,
)
from minispark.scheduler.logic.locality import Locality
from minispark.testing.builders import exception_failure, preferences, result_success, task_set
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


def test_one_attempt_is_killed_and_its_task_offered_again_as_if_it_had_not_failed() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=1)
        harness.tell(task_set([0, 1]))
        killed, other = harness.offer(2)
        assert harness.ask(KillTaskAttempt(killed.task_id, True, "too slow")) == TaskAttemptKilled(True)
        assert harness.backend.kills == [(killed.task_id, True, "too slow")]
        harness.end(killed, TaskKilled("too slow"))
        assert harness.ask(KillTaskAttempt(killed.task_id, True, "too late")) == TaskAttemptKilled(False)
        assert len(harness.backend.kills) == 1
        (again,) = harness.offer()
        assert (again.index, again.attempt_number, harness.aborts()) == (killed.index, 1, [])
        for task in (again, other):
            harness.end(task, result_success())
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
        harness = SchedulerHarness(SparkConf({"minispark.starvation.timeout": "10s"}))
        harness.tell(task_set([0]))
        await asyncio.sleep(21)
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert "no executor has taken a task yet: 0 executors are known" in caplog.text
        harness.offer()
        await asyncio.sleep(60)
        assert len(caplog.records) == 2

    run_virtual(scenario())
