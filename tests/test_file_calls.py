"""Calls to file systems that answer late or never."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from minispark.errors import JobCancelled
from minispark.file_calls import FileCalls
from minispark.rdd.files import output_at
from minispark.rdd.filesystems import find
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

T = TypeVar("T")


class DeadWorld(VirtualWorld):
    """A world whose file systems stand."""

    async def run_detached(self, function: Callable[[], T]) -> T:
        never: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        return await never


def test_a_call_gives_its_result_and_leaves_nothing() -> None:
    async def scenario() -> tuple[int, dict[object, Any]]:
        calls = FileCalls(VirtualWorld(), 5.0)
        return await calls.run(max, 1, 2), calls.open

    assert run_virtual(scenario()) == (2, {})


def test_what_is_left_of_a_job_is_given_up_when_its_file_system_stands(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> float:
        world = DeadWorld()
        await FileCalls(world, 5.0).give_up(output_at("memory://bob:secret@host/out"))
        return world.monotonic()

    assert run_virtual(scenario()) == pytest.approx(5.0, abs=0.1)
    assert "left at memory://bob:…@host/out could not be removed within 5 s" in caplog.text


def test_who_awaits_a_call_goes_on_when_the_application_has_ended() -> None:
    async def scenario() -> None:
        calls = FileCalls(DeadWorld(), 5.0)
        asyncio.get_running_loop().call_later(1.0, calls.stop)
        with pytest.raises(JobCancelled, match="stopped before find of memory://host/in had come back"):
            await calls.run(find, "memory://host/in")
        assert not calls.awaited

    run_virtual(scenario())


def test_a_time_out_of_the_file_system_is_its_own() -> None:
    def refuse() -> None:
        raise TimeoutError("no answer from host")

    with pytest.raises(TimeoutError, match="no answer from host"):
        run_virtual(FileCalls(VirtualWorld(), 5.0).run(refuse))


def test_calls_that_have_not_come_back_are_named_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world = DeadWorld()
        calls = FileCalls(world, 5.0)
        waiting = asyncio.ensure_future(calls.run(output_at("memory://bob:secret@host/out").create))
        await world.sleep(3.0)
        waiting.cancel()
        calls.stop()
        calls.stop()

    run_virtual(scenario())

    (message,) = caplog.messages
    assert message.endswith("not answered for 3.0 s: create of memory://bob:…@host/out is left to itself")
