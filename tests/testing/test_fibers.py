import asyncio

import pytest

from minispark.testing.fibers import Abandoned, Fiber
from minispark.testing.virtual_loop import VirtualLoop


def test_a_fiber_runs_in_turns_with_whoever_resumes_it() -> None:
    fiber, heard = Fiber.take(), []

    def function() -> str:
        heard.append(fiber.suspend("first"))
        heard.append(fiber.suspend("second"))
        return "end"

    assert fiber.start(function) == "first"
    assert fiber.resume(1) == "second"
    assert heard == [1]
    assert (fiber.resume(2), fiber.is_done, heard) == ("end", True, [1, 2])


def test_an_abandoned_fiber_unwinds_and_its_thread_is_used_again() -> None:
    fiber, heard = Fiber.take(), []

    def function() -> None:
        try:
            fiber.suspend("waits")
        finally:
            heard.append("unwound")
            with pytest.raises(Abandoned):
                fiber.suspend("nobody answers")

    assert fiber.start(function) == "waits"
    fiber.abandon()
    fiber.abandon()
    assert (heard, fiber.is_done) == (["unwound"], True)
    assert Fiber.take() is fiber


def test_a_fiber_calls_functions_of_the_loop_that_waits_for_it() -> None:
    fiber, loops = Fiber.take(), []
    loop = VirtualLoop()

    def function() -> bool:
        fiber.call_outside(loop, lambda: loops.append(asyncio.get_running_loop()))
        return fiber.runs_here()

    assert fiber.start(function) is True
    assert loops == [loop]
    assert not fiber.runs_here()
    loop.close()


def test_a_fiber_that_is_abandoned_by_what_it_calls_outside_unwinds_after_the_call() -> None:
    fiber, heard = Fiber.take(), []
    loop = VirtualLoop()

    def function() -> None:
        try:
            fiber.call_outside(loop, fiber.abandon)
        finally:
            heard.append(fiber.is_abandoned)

    assert isinstance(fiber.start(function), Abandoned)
    assert (heard, fiber.is_done) == ([True], True)
    loop.close()
