import pytest

from minispark.testing.fibers import Abandoned, Fiber


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
