"""The warning that nobody takes an application's tasks."""

import asyncio
from collections.abc import Awaitable, Callable

from minispark.scheduler.starvation import StarvationWarning
from minispark.testing.virtual_loop import VirtualWorld, run_virtual


class House:
    """A warning every ten seconds, and when it was given."""

    def __init__(self) -> None:
        self.is_waiting = True
        self.said: list[float] = []
        world = VirtualWorld()
        self.warning = StarvationWarning(
            world, 10.0, lambda: self.is_waiting, lambda: self.said.append(world.monotonic())
        )
        self.since = world.monotonic()


def with_house(scenario: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(House())

    run_virtual(run())


def test_it_is_said_every_so_often_while_tasks_wait() -> None:
    async def scenario(house: House) -> None:
        house.warning.begin()
        house.warning.begin()
        await asyncio.sleep(25)
        house.is_waiting = False
        await asyncio.sleep(10)
        house.is_waiting = True
        await asyncio.sleep(10)
        assert house.said == [10, 20, 40]
        house.warning.stop()

    with_house(scenario)


def test_nothing_is_said_once_a_task_was_launched() -> None:
    async def scenario(house: House) -> None:
        house.warning.begin()
        await asyncio.sleep(15)
        house.warning.is_over = True
        await asyncio.sleep(30)
        house.warning.begin()
        await asyncio.sleep(30)
        assert house.said == [10]
        assert house.warning.timer is None

    with_house(scenario)


def test_nothing_is_said_after_the_stop() -> None:
    async def scenario(house: House) -> None:
        house.warning.stop()
        house.warning.begin()
        house.warning.stop()
        await asyncio.sleep(30)
        assert house.said == []

    with_house(scenario)
