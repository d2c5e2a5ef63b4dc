"""The decisions of DriverRunnerTest."""

import pytest

from minispark.deploy.logic.supervision import Supervision
from minispark.messages.deploy_values import DriverState


def run(supervision: Supervision, exit_code: int, began: float = 0.0, lasted_s: float = 1.0) -> float | None:
    supervision.starts(began)
    return supervision.ended(exit_code, began + lasted_s)


@pytest.mark.parametrize("supervise", [False, True])
def test_a_driver_that_succeeds_is_finished(supervise: bool) -> None:
    supervision = Supervision(supervise=supervise)

    assert run(supervision, 0) is None
    assert supervision.final_state() is DriverState.FINISHED


def test_a_driver_that_fails_and_is_not_supervised_has_failed() -> None:
    supervision = Supervision(supervise=False)

    assert run(supervision, 1) is None
    assert supervision.final_state() is DriverState.FAILED
    assert supervision.runs == 1


def test_waits_double_until_it_succeeds() -> None:
    supervision = Supervision(supervise=True)

    waits = [run(supervision, code) for code in (1, -9, 2, 1, 0)]

    assert waits == [1.0, 2.0, 4.0, 8.0, None]
    assert supervision.final_state() is DriverState.FINISHED


def test_waits_begin_anew_after_a_run_that_lasted() -> None:
    supervision = Supervision(supervise=True)

    waits = [run(supervision, 1, lasted_s=lasted_s) for lasted_s in (1.0, 5.0, 5.1, 1.0)]

    assert waits == [1.0, 2.0, 1.0, 2.0]


def test_a_killed_driver_is_not_started_again() -> None:
    supervision = Supervision(supervise=True)
    supervision.starts(0.0)
    supervision.kill()

    assert supervision.ended(-15, 1.0) is None
    assert supervision.final_state() is DriverState.KILLED


def test_one_that_cannot_be_started_is_an_error() -> None:
    supervision = Supervision(supervise=True)
    supervision.failed("no such program")

    assert supervision.final_state() is DriverState.ERROR
