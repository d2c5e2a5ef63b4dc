"""A job before the job: once, shared, and safe to cancel."""

import asyncio
from typing import Any

import pytest

from minispark.rdd.preparation import Preparation
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual, settle


class Gate:
    """An action that waits to be let through. Attributes: started, cancelled: how often."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def action(self) -> None:
        self.started += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error


async def waiting(preparation: Preparation, count: int) -> list["asyncio.Task[None]"]:
    futures = [asyncio.create_task(preparation.run()) for _ in range(count)]
    await settle()
    return futures


def test_all_who_need_it_share_one_run() -> None:
    async def main() -> int:
        gate = Gate()
        preparation = Preparation(gate.action, SerialJobRunner())
        futures = await waiting(preparation, 3)
        gate.open.set()
        await asyncio.gather(*futures)
        await preparation.run()
        return gate.started

    assert run_virtual(main()) == 1


def test_it_goes_on_while_one_still_waits_and_ends_with_the_last() -> None:
    async def main() -> Any:
        gate = Gate()
        first, second = await waiting(Preparation(gate.action, SerialJobRunner()), 2)
        first.cancel()
        await settle()
        before = gate.cancelled
        second.cancel()
        await settle()
        return before, gate.cancelled

    assert run_virtual(main()) == (0, 1)


def test_who_comes_after_a_cancellation_starts_it_anew() -> None:
    async def main() -> int:
        gate = Gate()
        preparation = Preparation(gate.action, SerialJobRunner())
        (first,) = await waiting(preparation, 1)
        first.cancel()
        await settle()
        gate.open.set()
        await preparation.run()
        return gate.started

    assert run_virtual(main()) == 2


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    async def main() -> bool:
        gate = Gate()
        preparation = Preparation(gate.action, SerialJobRunner())
        futures = await waiting(preparation, 2)
        gate.error = KeyError("sample")
        gate.open.set()
        for future in futures:
            with pytest.raises(KeyError, match="sample"):
                await future
        gate.error = None
        await preparation.run()
        return preparation.is_done

    assert run_virtual(main())
