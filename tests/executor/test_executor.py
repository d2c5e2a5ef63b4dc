import asyncio
import signal

import pytest

from minispark.errors import MemoryLimitError, RpcEndpointNotFound, RpcTimeout
from minispark.executor.executor import STOPPED
from minispark.executor.logic.preparation import IDLE_TTL_S
from minispark.executor.logic.slots import KILL_MARK_TTL_S
from minispark.ids import BinaryId, JobId, ShuffleId, TaskId
from minispark.messages import task as values
from minispark.messages.cluster import (
    BinaryContent,
    ExecutorStopped,
    FetchBinary,
    StopExecutor,
)
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.messages.task import ExceptionFailure, RunnerLost, Success, TaskKilled, TaskState
from minispark.testing.fakes import RecordingContext
from minispark.testing.virtual_loop import settle
from tests.executor.attempts import task
from tests.executor.executor_house import CRASH, NOTHING, House, in_house


def test_a_short_task_is_reported_once_as_finished() -> None:
    async def test(house: House) -> None:
        house.launch(task(7))
        await settle()

        assert house.updates() == [(7, TaskState.FINISHED)]
        assert isinstance(house.outcome(), Success)

    in_house(test)


def test_a_long_task_is_reported_as_running_first() -> None:
    async def test(house: House) -> None:
        house.launch(task(7))
        await asyncio.sleep(10)

        assert house.updates() == [(7, TaskState.RUNNING), (7, TaskState.FINISHED)]

    in_house(test, duration=1.0)


def test_a_binary_is_fetched_once_for_tasks_that_start_together() -> None:
    async def test(house: House) -> None:
        house.launch(task(1), task(2), task(3))
        assert house.binary_server.open_asks == [FetchBinary(BinaryId(1))]

        house.binary_server.reply(BinaryContent(BinaryId(1), NOTHING))
        await settle()

        assert house.updates() == [(number, TaskState.FINISHED) for number in (1, 2, 3)]
        assert len(house.binary_server.asked) == 1

    in_house(test, data=None)


def test_map_outputs_are_fetched_before_the_task_starts() -> None:
    async def test(house: House) -> None:
        house.launch(task(1, shuffle_ids=[4], epoch=2))
        await settle()
        assert not house.pool.dispatched
        assert house.tracker.open_asks == [GetMapOutputStatuses(ShuffleId(4))]

        house.tracker.reply(MapOutputStatuses(ShuffleId(4), 2, b"packed"))
        await settle()

        assert house.updates() == [(1, TaskState.FINISHED)]

    in_house(test)


def test_map_outputs_are_fetched_again_for_a_later_epoch() -> None:
    async def test(house: House) -> None:
        for epoch in (1, 1, 2):
            house.launch(task(10 * epoch + len(house.updates()), shuffle_ids=[4], epoch=epoch))
            if house.tracker.open_asks:
                house.tracker.reply(MapOutputStatuses(ShuffleId(4), epoch, b"packed"))
            await settle()

        assert [state for _, state in house.updates()] == [TaskState.FINISHED] * 3
        assert len(house.tracker.asked) == 2

    in_house(test)


def test_map_outputs_that_are_too_old_fail_the_attempt() -> None:
    async def test(house: House) -> None:
        house.launch(task(1, shuffle_ids=[4], epoch=9))
        house.tracker.reply(MapOutputStatuses(ShuffleId(4), 2, b"packed"))
        await settle()

        outcome = house.outcome()
        assert isinstance(outcome, ExceptionFailure)
        assert "older than epoch 9" in outcome.description

    in_house(test)


@pytest.mark.parametrize(
    "error", [RpcEndpointNotFound("Could not find BinaryServer."), RpcTimeout("no reply of BinaryServer in 120 s")]
)
def test_an_attempt_whose_binary_cannot_be_had_fails_with_the_reason(error: BaseException) -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        house.binary_server.fail(error)
        await settle()

        outcome = house.outcome()
        assert house.updates() == [(1, TaskState.FAILED)]
        assert isinstance(outcome, ExceptionFailure)
        assert "task 0.0 in stage 2.3 could not start on executor exec-1" in outcome.description
        assert "BinaryServer" in outcome.description

    in_house(test, data=None)


def test_an_attempt_fails_if_the_tracker_is_gone_and_the_next_one_asks_again() -> None:
    async def test(house: House) -> None:
        house.launch(task(1, shuffle_ids=[4]))
        house.tracker.fail(RpcEndpointNotFound("Could not find MapOutputTracker."))
        await settle()
        house.launch(task(2, shuffle_ids=[4]))
        house.tracker.reply(MapOutputStatuses(ShuffleId(4), 0, b"packed"))
        await settle()

        assert house.updates() == [(1, TaskState.FAILED), (2, TaskState.FINISHED)]

    in_house(test)


def test_an_answer_of_the_wrong_kind_fails_the_attempt() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        house.binary_server.reply(ExecutorStopped())
        await settle()

        outcome = house.outcome()
        assert isinstance(outcome, ExceptionFailure)
        assert "answered with a ExecutorStopped" in outcome.description

    in_house(test, data=None)


def test_tasks_beyond_the_slots_wait_for_one() -> None:
    async def test(house: House) -> None:
        house.launch(*(task(number) for number in (1, 2, 3)))
        await asyncio.sleep(1)
        assert house.pool.dispatched == [(1, 1), (0, 2)]

        await asyncio.sleep(10)

        assert [number for _, number in house.pool.dispatched[2:]] == [3]
        assert {number for number, state in house.updates() if state is TaskState.FINISHED} == {1, 2, 3}

    in_house(test, duration=3.0)


def test_a_task_goes_to_the_slot_that_holds_its_blocks() -> None:
    async def test(house: House) -> None:
        for number in (1, 2):
            house.launch(task(number))
            await settle()

        assert house.pool.dispatched == [(2, 1), (2, 2)]

    in_house(test, slots=4, affinity=2)


def test_a_kill_before_the_launch_is_remembered() -> None:
    async def test(house: House) -> None:
        house.kill(7)
        house.launch(task(7))
        await settle()

        assert house.outcome() == TaskKilled("why")
        assert house.updates() == [(7, TaskState.KILLED)]
        assert not house.pool.dispatched

    in_house(test)


def test_a_kill_long_before_the_launch_is_forgotten() -> None:
    async def test(house: House) -> None:
        house.kill(7)
        await asyncio.sleep(KILL_MARK_TTL_S)
        house.launch(task(7))
        await settle()

        assert house.updates() == [(7, TaskState.FINISHED)]

    in_house(test)


def test_a_kill_while_the_attempt_is_prepared_ends_it_at_once() -> None:
    async def test(house: House) -> None:
        house.launch(task(7))

        house.kill(7)

        assert house.updates() == [(7, TaskState.KILLED)]
        house.binary_server.reply(BinaryContent(BinaryId(1), NOTHING))
        await settle()
        assert not house.pool.dispatched

    in_house(test, data=None)


def test_a_kill_while_the_attempt_waits_for_a_slot_ends_it_at_once() -> None:
    async def test(house: House) -> None:
        house.launch(task(1), task(2))
        await settle()

        house.kill(2)

        assert house.updates() == [(2, TaskState.KILLED)]
        await asyncio.sleep(10)
        assert house.pool.dispatched == [(0, 1)]

    in_house(test, slots=1, duration=3.0)


def test_a_running_attempt_is_killed_by_its_runner() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(1)

        house.kill(1)
        house.kill(1)
        assert (1, TaskState.KILLED) not in house.updates()
        await settle()

        assert house.outcome() == TaskKilled("why")

    in_house(test, duration=3.0)


def test_a_kill_that_is_not_answered_blocks_the_slot() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(1)

        house.kill(1, interrupt=False)
        house.launch(task(2))
        await asyncio.sleep(1)
        assert house.pool.dispatched == [(0, 1)]
        await asyncio.sleep(10)

        assert house.pool.dispatched == [(0, 1), (0, 2)]
        assert [state for _, state in house.updates() if state.is_finished] == [TaskState.KILLED, TaskState.FINISHED]

    in_house(test, slots=1, duration=3.0)


def test_a_lost_runner_costs_its_attempt_and_the_next_one_waits_for_the_fresh_runner() -> None:
    async def test(house: House) -> None:
        house.launch(task(1), task(2))
        await asyncio.sleep(1)

        house.pool.crash(0, CRASH, restart_s=0.5)
        await settle()
        assert house.updates()[-1] == (1, TaskState.FAILED)
        assert house.outcome() == CRASH
        await asyncio.sleep(10)

        assert house.updates()[-1] == (2, TaskState.FINISHED)

    in_house(test, slots=1, duration=3.0)


@pytest.mark.parametrize(
    ("loss", "outcome"), [(RunnerLost(None, signal.SIGKILL, ""), ExceptionFailure), (CRASH, RunnerLost)]
)
def test_an_attempt_that_is_ended_for_its_memory_fails_for_that_unless_it_dies_of_something_else(
    loss: RunnerLost, outcome: type[object]
) -> None:
    """A runner that ends before it began the attempt takes its memory along; the next runner may die, too."""

    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(1)

        house.executor.fail_attempt(TaskId(1), MemoryLimitError("it held too much"))
        house.pool.crash(0, loss)
        await settle()

        assert isinstance(house.outcome(), outcome)

    in_house(test, slots=1, duration=3.0)


def test_an_attempt_that_was_being_killed_when_its_runner_died_was_killed() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(1)
        house.kill(1, interrupt=False)

        house.pool.crash(0, CRASH)
        await settle()

        assert house.outcome() == TaskKilled("why")

    in_house(test, slots=1, duration=3.0)


def test_a_denied_commit_is_reported_as_killed() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(1)

        house.pool.runs[0].outcome = values.TaskCommitDenied(JobId(1), 0, 0)
        await asyncio.sleep(10)

        assert house.updates()[-1] == (1, TaskState.KILLED)

    in_house(test, slots=1, duration=3.0)


def test_binaries_that_no_task_used_for_long_are_let_go() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(IDLE_TTL_S - 1)
        assert house.executor.preparation.binary(BinaryId(1)) is not None

        await asyncio.sleep(2)

        assert not house.executor.preparation.holdings
        assert house.executor.expiry is None

    in_house(test)


def test_a_stop_ends_everything_and_answers() -> None:
    async def test(house: House) -> None:
        house.launch(task(1), task(2), task(3, shuffle_ids=[4]))
        await settle()

        contexts = [house.tell(StopExecutor()), house.tell(StopExecutor())]
        await settle()

        assert sorted(house.updates()) == [(number, TaskState.KILLED) for number in (1, 2, 3)]
        assert [context.replies for context in contexts] == [[ExecutorStopped()]] * 2

    in_house(test, slots=1, duration=3.0)


def test_a_stopping_executor_takes_no_tasks() -> None:
    async def test(house: House) -> None:
        house.tell(StopExecutor())
        house.launch(task(1))
        await settle()

        assert house.outcome() == TaskKilled(STOPPED)

    in_house(test)


def test_a_stop_that_nobody_waits_for_is_reported_to_the_backend() -> None:
    async def test(house: House) -> None:
        house.executor.receive(StopExecutor(), RecordingContext(is_ask=False))
        await settle()

        assert house.backend.of(ExecutorStopped) == [ExecutorStopped()]

    in_house(test)
