"""What the caller of a job is told when a task's failure ended it."""

import asyncio
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from minispark import errors
from minispark.executor.failures import describe
from minispark.ids import ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages import task as values
from minispark.messages.task import BlockManagerId, TaskEndReason, TaskMetrics
from minispark.scheduler.job_errors import exception_for, exit_text

DRIVER = ExecutorId("driver")


class MyError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class NotesRefused(Exception):
    def add_note(self, note: str) -> None:
        raise TypeError("no notes")


def error_for(failure: TaskEndReason, attempt: int = 4) -> BaseException:
    return exception_for(
        failure,
        stage_id=StageId(3),
        partition=7,
        attempt=attempt,
        max_failures=4,
        executor_id=DRIVER,
        call_site="app.py:42",
    )


def failure_of(function: Callable[[], object]) -> values.ExceptionFailure:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 — any may be raised in a task
        # In a task, the frames above are minispark's and are left out.
        users = None if error.__traceback__ is None else error.__traceback__.tb_next
        return describe(error.with_traceback(users), TaskMetrics())
    raise AssertionError


def failure_with(error: BaseException) -> values.ExceptionFailure:
    def fail() -> None:
        raise error

    return failure_of(fail)


def test_the_users_exception_comes_back_with_where_it_was_raised() -> None:
    error = error_for(failure_with(MyError(7, "no")))

    assert isinstance(error, MyError)
    assert error.code == 7
    place, remote = error.__notes__
    assert (
        place
        == "in stage 3, partition 7, attempt 4/4, on executor driver; the last RDD of the stage was made at app.py:42"
    )
    assert remote.startswith("in the task:\n  File ")
    assert remote.endswith("    raise error")
    assert error.__cause__ is None
    assert error.__traceback__ is None


def test_a_division_by_zero_takes_less_than_15_lines() -> None:
    def collect() -> None:
        raise error_for(failure_of(lambda: 1 / 0))

    with pytest.raises(ZeroDivisionError) as caught:
        collect()

    lines = "".join(traceback.format_exception(caught.value)).splitlines()
    assert len(lines) < 15, "\n".join(lines)
    assert sum("division by zero" in line for line in lines) == 1


def test_every_await_gets_an_exception_of_its_own() -> None:
    failure = failure_with(MyError(7, "no"))

    first, second = error_for(failure), error_for(failure)

    assert first is not second
    assert len(second.__notes__) == 2


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("x"), StopIteration(1), StopAsyncIteration()],
    ids=lambda error: type(error).__name__,
)
def test_what_would_end_or_confuse_the_driver_is_a_user_code_error(error: BaseException) -> None:
    raised = error_for(failure_with(error))

    assert type(raised) is errors.UserCodeError
    assert type(error).__name__ in str(raised)


def test_a_pickle_that_is_no_exception_is_a_user_code_error() -> None:
    failure = values.ExceptionFailure("app.Lost", "gone", "", "", pickle.dumps("text"), TaskMetrics())

    assert str(error_for(failure)) == "app.Lost: gone"


class Exits:
    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


@pytest.mark.parametrize("data", [b"not a pickle", b"cno_such_module\nThing\n.", pickle.dumps(Exits())], ids=repr)
def test_an_exception_that_cannot_be_unpickled_is_a_user_code_error(data: bytes) -> None:
    failure = values.ExceptionFailure("app.Lost", "", "app.Lost", "", data, TaskMetrics())

    error = error_for(failure)

    assert type(error) is errors.UserCodeError
    assert str(error) == "app.Lost"


def test_a_class_that_refuses_notes_is_raised_all_the_same() -> None:
    assert isinstance(error_for(failure_with(NotesRefused("x"))), NotesRefused)


def test_causes_are_shown_with_their_remote_frames() -> None:
    def fail() -> None:
        try:
            int("key")
        except ValueError as cause:
            raise MyError(1, "no") from cause

    error = error_for(failure_of(fail))

    assert isinstance(error.__cause__, ValueError)
    assert "direct cause" in error.__notes__[1]


def test_an_error_without_frames_has_no_second_note() -> None:
    error = error_for(describe(ValueError("x"), TaskMetrics()), attempt=6)

    assert error.__notes__ == [
        "in stage 3, partition 7, attempt 6, on executor driver; the last RDD of the stage was made at app.py:42"
    ]


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (values.RunnerLost(3, 0, ""), "the process that ran the task exited with code 3 (os._exit, or a fatal error"),
        (values.RunnerLost(None, 9, ""), "the process that ran the task was killed by SIGKILL (the kernel does that"),
        (values.RunnerLost(None, 11, "the runner process was killed\nFatal Python error: Segmentation fault\n\nT"),
         "was killed by SIGSEGV (a crash in native code); its last words:\nFatal Python error: Segmentation fault"),
        (values.RunnerLost(None, 15, "it used 3 GB"), "that ran the task was killed by SIGTERM: it used 3 GB"),
        (values.ExecutorLostFailure(ExecutorId("4"), False, "its host is down"),
         "executor 4 was lost while it ran the task (not by the application's fault): its host is down"),
    ],
)  # fmt: skip
def test_losses_are_decoded(loss: TaskEndReason, text: str) -> None:
    error = error_for(loss)

    assert isinstance(error, errors.ExecutorLost)
    assert text in str(error)
    assert error.__notes__[0].startswith("in stage 3, partition 7")


WHERE = BlockManagerId(ExecutorId("2"), "host-b", 7000, "")


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (values.FetchFailed(WHERE, ShuffleId(5), TaskId(9), 1, 7, "connection refused"),
         "map output 1 of shuffle 5 on executor 2 at host-b could not be read for partition 7: connection refused"),
        (values.FetchFailed(None, ShuffleId(5), TaskId(-1), -1, 7, ""),
         "the map outputs of shuffle 5 could not be read for partition 7"),
        (values.TaskResultLost("disk full"), "the task succeeded, but its result was lost on the way: disk full"),
        (values.TaskCommitDenied(JobId(1), 7, 2),
         "the task may not commit the output of partition 7: another attempt than 2 may"),
        (values.TaskKilled("stage cancelled"), "the task was killed: stage cancelled"),
        (values.UnknownReason(), "the task ended, and nobody knows why"),
        (values.Resubmitted(), "the task ended as Resubmitted, which ends no job"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_every_other_failure_has_its_text(failure: TaskEndReason, text: str) -> None:
    error = error_for(failure)

    assert type(error) is errors.JobFailed
    assert str(error) == text


def test_an_unknown_signal_is_told_by_its_number() -> None:
    assert exit_text(None, 200) == "was killed by signal 200"
