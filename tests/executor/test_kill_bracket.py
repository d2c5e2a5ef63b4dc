"""Tests of where a kill strikes, with real signals in this process."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from minispark.errors import TaskKilled
from minispark.executor.kill_bracket import KILL_SIGNAL, KillBracket
from minispark.ids import TaskId
from minispark.messages.runner import KillAnswered, KillAttempt
from minispark.rpc.logic.codec import decode, encode

TASK = TaskId(7)


class Executor:
    """The other end of the control socket."""

    def __init__(self, control: socket.socket, bracket: KillBracket) -> None:
        self.control = control
        self.bracket = bracket

    def kill(self, task_id: TaskId = TASK, *, interrupt: bool = True, incarnation: int = 1) -> None:
        self.control.send(encode(KillAttempt(incarnation, task_id, interrupt, "enough"))[0])
        signal.raise_signal(KILL_SIGNAL)

    def answers(self) -> list[TaskId]:
        found: list[TaskId] = []
        while True:
            try:
                answer = decode(self.control.recv(1000))
            except BlockingIOError:
                return found
            assert isinstance(answer, KillAnswered)
            found.append(answer.task_id)


@pytest.fixture
def executor() -> Iterator[Executor]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    bracket = KillBracket(theirs, incarnation=1)
    before = signal.signal(KILL_SIGNAL, bracket.on_signal)
    with ours, theirs:
        yield Executor(ours, bracket)
    signal.signal(KILL_SIGNAL, before)


def test_a_kill_is_raised_inside_the_bracket_of_its_attempt(executor: Executor) -> None:
    executor.bracket.begin(TASK)

    with pytest.raises(TaskKilled, match="enough"), executor.bracket:
        executor.kill()

    assert executor.bracket.killed
    assert executor.bracket.reason == "enough"
    assert executor.answers() == [TASK]


def test_a_kill_outside_of_the_bracket_waits_for_its_entry(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    executor.kill()

    with pytest.raises(TaskKilled), executor.bracket:
        raise AssertionError("user code must not run")


def test_a_kill_before_its_attempt_begins_counts(executor: Executor) -> None:
    executor.kill()
    assert not executor.bracket.killed

    executor.bracket.begin(TASK)

    assert executor.bracket.killed


@pytest.mark.parametrize(("task_id", "incarnation", "answers"), [(TaskId(8), 1, [8]), (TASK, 2, [])])
def test_a_kill_of_another_attempt_or_runner_does_nothing(
    executor: Executor, task_id: TaskId, incarnation: int, answers: list[int]
) -> None:
    executor.bracket.begin(TASK)

    with executor.bracket:
        executor.kill(task_id, incarnation=incarnation)

    assert not executor.bracket.killed
    assert executor.answers() == answers


def test_a_kill_of_an_attempt_that_ended_is_answered_and_forgotten(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    executor.bracket.end()
    executor.kill()
    executor.bracket.begin(TaskId(8))

    with executor.bracket:
        assert not executor.bracket.killed

    assert executor.answers() == [TASK]


def test_a_kill_without_interrupt_only_sets_the_flag(executor: Executor) -> None:
    executor.bracket.begin(TASK)

    with executor.bracket:
        executor.kill(interrupt=False)
        assert executor.bracket.killed


def test_one_kill_raises_once(executor: Executor) -> None:
    executor.bracket.begin(TASK)

    with executor.bracket:
        with pytest.raises(TaskKilled):
            executor.kill()
        executor.kill()  # what user code does after it swallowed the first is not torn by a repetition

    assert executor.answers() == [TASK, TASK]


def test_an_unarmed_span_holds_a_kill_back(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    reached = []

    def user_code() -> None:
        with executor.bracket, executor.bracket.unarmed():
            executor.kill()
            reached.append("the end of the span")

    with pytest.raises(TaskKilled):
        user_code()
    assert reached


def test_waiting_in_an_unarmed_span_is_interrupted(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    reached = []

    def user_code() -> None:
        with executor.bracket, executor.bracket.unarmed() as span:
            span.wait(lambda: None)
            span.wait(executor.kill)
            reached.append("too far")

    with pytest.raises(TaskKilled):
        user_code()
    assert not reached
    assert not executor.bracket.armed


def test_an_error_in_an_unarmed_span_leaves_the_bracket_armed(executor: Executor) -> None:
    executor.bracket.begin(TASK)

    with executor.bracket:
        with pytest.raises(OSError, match="broken"), executor.bracket.unarmed():
            raise OSError("broken")
        assert executor.bracket.armed


def test_an_unarmed_span_outside_of_the_bracket_arms_nothing(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    executor.kill()

    with executor.bracket.unarmed() as span:
        span.wait(lambda: None)

    assert not executor.bracket.armed


def test_a_kill_swallowed_by_a_finaliser_can_be_repeated(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finalised:
        def __del__(self) -> None:
            executor.kill()

    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    executor.bracket.watch_unraisable()
    executor.bracket.begin(TASK)

    def user_code() -> None:
        with executor.bracket:
            Finalised()
            executor.kill()

    with pytest.raises(TaskKilled):
        user_code()


def test_other_unraisable_exceptions_are_reported_as_before(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __del__(self) -> None:
            raise OSError("broken")

    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: seen.append(type(unraisable.exc_value)))
    executor.bracket.watch_unraisable()

    Broken()

    assert seen == [OSError]
    assert not executor.bracket.armed


def test_an_executor_that_is_gone_needs_no_answer(executor: Executor) -> None:
    executor.bracket.begin(TASK)
    executor.control.close()

    os.kill(os.getpid(), KILL_SIGNAL)

    assert not executor.bracket.killed


@pytest.mark.scenario("BAR-006")
def test_while_it_waits_for_other_tasks_an_attempt_heeds_every_kill(executor: Executor) -> None:
    bracket = executor.bracket
    bracket.begin(TASK)
    bracket.heeds_all = True

    with pytest.raises(TaskKilled, match="enough"), bracket, bracket.unarmed() as span:
        span.wait(lambda: executor.kill(interrupt=False))

    assert executor.answers() == [TASK]


def test_a_kill_that_came_before_the_wait_for_other_tasks_is_heeded_at_its_start(executor: Executor) -> None:
    bracket = executor.bracket
    bracket.begin(TASK)

    with bracket:
        executor.kill(interrupt=False)
        bracket.heeds_all = True
        with pytest.raises(TaskKilled), bracket.unarmed() as span:
            span.wait(lambda: pytest.fail("it must not wait"))
