from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from minispark.errors import RpcTimeout
from minispark.executor.heartbeater import MAX_FAILURES, Heartbeater
from minispark.ids import ExecutorId, TaskId
from minispark.messages.heartbeat import Heartbeat, HeartbeatResponse, TaskProgress
from minispark.testing.fakes import RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

ME = ExecutorId("1")
PROGRESS = TaskProgress(TaskId(7), 10.0, {})


class House:
    """A heartbeater, and what it does; make it inside of a running loop."""

    def __init__(self, is_local: bool) -> None:
        self.world = VirtualWorld()
        self.receiver = RecordingRef("HeartbeatReceiver", answer=self.answer)
        self.tasks: tuple[TaskProgress, ...] = (PROGRESS,)
        self.response: HeartbeatResponse | RpcTimeout = HeartbeatResponse(False)
        self.registrations = 0
        self.gone: list[str] = []
        self.heartbeater = Heartbeater(
            ME, self.receiver, 10.0, self.world,
            progress=lambda: self.tasks, reregister=self.reregister,
            driver_gone=None if is_local else self.gone.append,
        )  # fmt: skip

    def answer(self, ask: Heartbeat) -> HeartbeatResponse:
        if isinstance(self.response, RpcTimeout):
            raise self.response
        return self.response

    def reregister(self) -> None:
        self.registrations += 1

    def sent(self) -> list[object]:
        return [message for message, _ in self.receiver.asked]


def in_house(test: Callable[[House], Coroutine[Any, Any, None]], *, is_local: bool = False) -> None:
    """Run a test; whatever it does, a stop leaves no timer."""

    async def main() -> None:
        house = House(is_local)
        await test(house)
        house.heartbeater.stop()
        assert house.heartbeater.timer is None

    run_virtual(main())


def test_it_beats_once_an_interval_whoever_starts_it_how_often() -> None:
    async def test(house: House) -> None:
        house.heartbeater.start()
        house.heartbeater.start()
        await house.world.sleep(9)
        assert house.sent() == []
        await house.world.sleep(22)
        assert house.sent() == [Heartbeat(ME, (PROGRESS,))] * 3

    in_house(test)


def test_in_local_mode_an_executor_at_rest_falls_silent_until_it_is_started_again() -> None:
    async def test(house: House) -> None:
        house.tasks = ()
        house.heartbeater.start()
        await house.world.sleep(11)
        assert house.sent() == []
        assert house.heartbeater.timer is None
        house.tasks = (PROGRESS,)
        house.heartbeater.start()
        await house.world.sleep(11)
        assert len(house.sent()) == 1

    in_house(test, is_local=True)


def test_in_a_cluster_an_executor_at_rest_beats_too() -> None:
    async def test(house: House) -> None:
        house.tasks = ()
        house.heartbeater.start()
        await house.world.sleep(25)
        assert house.sent() == [Heartbeat(ME, ())] * 2

    in_house(test)


def test_an_executor_that_is_not_known_registers_again() -> None:
    async def test(house: House) -> None:
        house.response = HeartbeatResponse(True)
        house.heartbeater.start()
        await house.world.sleep(11)
        assert house.registrations == 1

    in_house(test)


@pytest.mark.scenario("EXE-007")
def test_an_executor_that_stops_does_not_register_again() -> None:
    async def test(house: House) -> None:
        house.receiver.answer = None
        house.heartbeater.start()
        await house.world.sleep(11)
        house.heartbeater.stop()
        house.receiver.reply(HeartbeatResponse(True))
        await house.world.sleep(1)
        assert house.registrations == 0
        house.heartbeater.start()
        assert house.heartbeater.timer is None

    in_house(test)


def test_after_so_many_failures_in_a_row_the_driver_is_taken_for_gone() -> None:
    async def test(house: House) -> None:
        house.response = RpcTimeout("no reply")
        house.heartbeater.start()
        await house.world.sleep(10 * MAX_FAILURES - 1)
        house.response = HeartbeatResponse(False)  # an answer in between begins the count anew
        await house.world.sleep(10)
        house.response = RpcTimeout("no reply")
        await house.world.sleep(10 * MAX_FAILURES - 10)
        assert house.gone == []
        await house.world.sleep(10)
        assert house.gone == ["60 heartbeats in a row were not answered, the last one with RpcTimeout: no reply"]
        assert len(house.sent()) == 2 * MAX_FAILURES

    in_house(test)
