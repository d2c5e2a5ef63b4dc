"""What the executor's heartbeats say; when they are sent is tested in test_heartbeater."""

import asyncio

import pytest

from minispark.messages.cluster import StopExecutor
from minispark.messages.heartbeat import Heartbeat, HeartbeatResponse, TaskProgress
from tests.executor.attempts import binary, task
from tests.executor.executor_house import EXECUTOR_ID, House, in_house

COUNTING = binary(lambda context, _: setattr(context.metrics, "records_read", 100))


def sent(house: House) -> list[TaskProgress]:
    """Return what the last heartbeat said, and answer it."""
    (heartbeat,) = house.heartbeats.open_asks
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.executor_id == EXECUTOR_ID
    house.heartbeats.reply(HeartbeatResponse(False))
    return list(heartbeat.tasks)


@pytest.mark.scenario("EXE-005", "heartbeat drops zero accumulators (and option off)")
@pytest.mark.parametrize("drops", [True, False])
def test_a_heartbeat_says_how_far_the_running_tasks_are_without_what_is_zero(drops: bool) -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        await asyncio.sleep(4)
        house.launch(task(2))
        await asyncio.sleep(7)

        first, second = sent(house)
        assert (first.task_id, first.run_time_s) == (1, 10.0)
        assert (second.task_id, second.run_time_s) == (2, 6.0)
        counted = {name: value for name, value in first.counters.items() if value}
        assert counted == {"records_read": 100}
        assert (first.counters == counted) == drops
        await asyncio.sleep(30)

    settings = {} if drops else {"executor_heartbeat_dropZeroAccumulatorUpdates": False}
    in_house(test, duration=12.0, data=COUNTING, **settings)


def test_tasks_that_wait_for_a_slot_are_not_reported_and_an_executor_at_rest_is_silent() -> None:
    async def test(house: House) -> None:
        house.launch(task(1), task(2))
        await asyncio.sleep(11)
        assert [progress.task_id for progress in sent(house)] == [1]
        await asyncio.sleep(10)
        assert [progress.task_id for progress in sent(house)] == [2]
        await asyncio.sleep(100)
        assert house.heartbeats.open_asks == []
        assert house.executor.heartbeater.timer is None

    in_house(test, slots=1, duration=12.0)


def test_a_stopping_executor_sends_no_more() -> None:
    async def test(house: House) -> None:
        house.launch(task(1))
        house.tell(StopExecutor())
        await asyncio.sleep(100)
        assert house.heartbeats.asked == []

    in_house(test, duration=12.0)
