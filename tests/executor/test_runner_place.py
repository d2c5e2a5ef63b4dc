"""Tests of the pursuit of a kill, in virtual time."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from minispark.executor.grace import Grace
from minispark.executor.kill_bracket import KILL_SIGNAL
from minispark.executor.logic.runner_slot import Finished, SlotState
from minispark.executor.runner_place import RunnerPlace
from minispark.ids import TaskId
from minispark.messages.task import RunnerLost, UnknownReason

TASK = TaskId(7)
GRACE_S = 1.0


class Timer:
    """One timer of the test's clock."""

    def __init__(self, due: float, run: Callable[[], object]) -> None:
        self.due = due
        self.run = run

    def cancel(self) -> None:
        self.run = lambda: None


class Timers:
    """The World's timers on a clock that the test moves; it has nothing else of the World."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Timer] = []

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(self.now + delay_s, lambda: callback(*args))
        self.waiting.append(timer)
        return timer

    def move(self, to: float) -> None:
        while due := sorted((timer for timer in self.waiting if timer.due <= to), key=lambda timer: timer.due):
            self.waiting.remove(due[0])
            self.now = due[0].due
            due[0].run()
        self.now = to


class Link:
    """Keeps the kills that were sent."""

    incarnation = 1

    def __init__(self) -> None:
        self.kills: list[tuple[bool, str]] = []
        self.closed = False
        self.page = self
        self.task_id: TaskId | None = None

    def send_kill(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        self.kills.append((interrupt, reason))

    def close(self) -> None:
        self.closed = True


class Busy:
    """A place whose runner runs an attempt."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.link = Link()
        self.signals: list[int] = []
        self.place = RunnerPlace(
            0,
            self.timers,  # type: ignore[arg-type]  # only its timers are used
            lambda incarnation, number: self.signals.append(number),
        )
        self.place.link = self.link  # type: ignore[assignment]  # only what is faked is used
        self.place.slot.start(1)
        self.place.slot.ready(1)
        self.place.slot.dispatch(TASK)

    def kill(self, interrupt: bool = True, *, ends: bool = True) -> None:
        self.place.kill(TASK, interrupt, "enough", Grace(GRACE_S, ends))

    def answer(self) -> None:
        self.place.slot.answered(1, TASK)


@pytest.fixture
def busy() -> Busy:
    return Busy()


def test_a_kill_is_sent_then_signalled(busy: Busy) -> None:
    busy.kill()

    assert busy.link.kills == [(True, "enough")]
    assert busy.signals == [KILL_SIGNAL]


def test_an_unanswered_kill_is_signalled_again_ever_more_rarely(busy: Busy) -> None:
    busy.kill(interrupt=False)

    busy.timers.move(0.1)
    assert busy.signals == [KILL_SIGNAL] * 5

    busy.answer()
    busy.timers.move(10.0)
    assert busy.signals == [KILL_SIGNAL] * 5
    assert busy.link.kills == [(False, "enough")]


def test_an_answered_kill_is_repeated_at_half_of_the_grace_and_enforced_after_it(busy: Busy) -> None:
    busy.kill()
    busy.answer()

    busy.timers.move(GRACE_S / 2)
    assert busy.link.kills == [(True, "enough")] * 2
    busy.answer()

    busy.timers.move(GRACE_S)
    assert busy.signals == [KILL_SIGNAL, KILL_SIGNAL, signal.SIGKILL]
    assert busy.place.slot.state is SlotState.DOOMED


def test_an_attempt_that_ends_in_time_is_not_pursued(busy: Busy) -> None:
    busy.kill()
    busy.answer()
    busy.place.slot.finished(1, TASK, UnknownReason())

    busy.place.clear()
    busy.timers.move(10 * GRACE_S)

    assert busy.signals == [KILL_SIGNAL]
    assert not busy.place.busy


def test_a_polite_kill_is_never_enforced(busy: Busy) -> None:
    busy.kill(interrupt=False)
    busy.answer()

    busy.timers.move(10 * GRACE_S)

    assert signal.SIGKILL not in busy.signals


def test_a_runner_that_is_discarded_as_its_attempt_ends_takes_no_other(busy: Busy) -> None:
    slot = busy.place.slot

    busy.place.discard(TASK)
    assert slot.finished(1, TASK, UnknownReason("its last word")) is None
    busy.place.discard(TASK)

    assert busy.signals == [signal.SIGKILL]
    slot.exited(1, RunnerLost(None, signal.SIGKILL, ""), begun=True)
    slot.start(2)
    assert slot.ready(2) == Finished(TASK, UnknownReason("its last word"))
    assert slot.dispatch(TaskId(8))


def test_a_runner_is_not_discarded_for_an_attempt_that_it_runs_no_more(busy: Busy) -> None:
    busy.place.slot.finished(1, TASK, UnknownReason())
    busy.place.slot.dispatch(TaskId(8))

    busy.place.discard(TASK)
    busy.place.discard(None)

    assert (busy.signals, busy.place.slot.state) == ([], SlotState.BUSY)


def test_a_kill_without_a_runner_is_left_to_the_next(busy: Busy) -> None:
    busy.place.close()
    busy.kill()

    assert busy.link.closed
    assert busy.signals == []
    busy.place.tell(TASK, True, "enough")
    assert busy.link.kills == []


def test_an_attempt_is_long_at_the_second_look_if_its_runner_has_begun_it(busy: Busy) -> None:
    assert busy.place.runs_longer() is None
    assert busy.place.runs_longer() is None

    busy.link.task_id = TASK

    assert busy.place.runs_longer() is True
    assert busy.place.runs_longer() is False


@pytest.mark.scenario("JC-006", "not with timeout -1")
def test_an_attempt_whose_grace_never_ends_is_killed_twice_and_then_let_be(busy: Busy) -> None:
    busy.kill(ends=False)
    busy.answer()
    busy.timers.move(GRACE_S / 2)
    busy.answer()
    busy.timers.move(1000 * GRACE_S)

    assert busy.link.kills == [(True, "enough")] * 2
    assert busy.signals == [KILL_SIGNAL] * 2
