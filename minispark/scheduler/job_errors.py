"""What the caller of a job gets when a task's failure ended it: the user's own exception, with a note saying where.

Called by the context in the caller's task, once for each `await`, so that every awaiter gets an exception object of
its own and tracebacks do not pile up. This is where exceptions of tasks are unpickled; nowhere else in the driver.
"""

import logging
import signal
from contextlib import suppress
from typing import Final

from minispark import errors
from minispark.ids import ExecutorId, StageId
from minispark.messages.task import (
    ExceptionFailure,
    ExecutorLostFailure,
    FetchFailed,
    Resubmitted,
    RunnerLost,
    Success,
    TaskCommitDenied,
    TaskEndReason,
    TaskKilled,
    TaskResultLost,
    UnknownReason,
)
from minispark.rdd.exception_pickling import loads_exception

__all__ = ["exception_for", "exit_text"]

logger = logging.getLogger(__name__)

HEAD: Final = "Traceback (most recent call last):\n"
CRASH_LINES: Final = 6
EXIT_HINTS: Final = {
    signal.SIGKILL: "the kernel does that when memory runs out; so may an administrator",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "a crash in native code, or a mapped file was truncated",
    signal.SIGILL: "native code built for another processor",
    signal.SIGFPE: "a crash in native code",
    signal.SIGXCPU: "a limit on processor time",
}

# `raise` inside a coroutine turns these into something else, and a BaseException would end the driver itself.
NOT_RAISABLE: Final = (StopIteration, StopAsyncIteration)


def exception_for(
    failure: TaskEndReason,
    *,
    stage_id: StageId,
    partition: int,
    attempt: int,
    max_failures: int,
    executor_id: ExecutorId,
    call_site: str,
) -> BaseException:
    """Return a new exception for a failure that ended a job; never raises.

    It is the exception that user code raised; a UserCodeError if that cannot travel or is not an Exception (a task's
    SystemExit must not end the driver); else a JobFailed. Raise it near to the user's `await`: every frame between
    is a line of the traceback.

    Args:
        failure: how the last attempt ended.
        stage_id: the stage of the task.
        partition: the partition it computed.
        attempt: the attempt's number, from 1.
        max_failures: failures of one task after which its job is given up.
        executor_id: where the attempt ran.
        call_site: the user's line that made the last of the stage's RDDs, "app.py:12"; "" if unknown.
    """
    exception: BaseException
    remote = ""
    if isinstance(failure, ExceptionFailure):
        exception = users_exception(failure)
        remote = frames_of(failure.traceback)
        logger.debug("traceback of the failed task:\n%s", failure.full_traceback)
    else:
        exception = engines_exception(failure)
    attempts = f"attempt {attempt}/{max_failures}" if attempt <= max_failures else f"attempt {attempt}"
    stage = f"in stage {stage_id}, " if stage_id >= 0 else "in "
    where = f"{stage}partition {partition}, {attempts}, on executor {executor_id}"
    with suppress(Exception):  # a user's class may refuse notes
        exception.add_note(f"{where}; the last RDD of the stage was made at {call_site}" if call_site else where)
        if remote:
            exception.add_note(f"in the task:\n{remote}")
    return exception


def users_exception(failure: ExceptionFailure) -> Exception:
    """Return the exception that was raised in the task, or one that tells its type and text."""
    if failure.exception:
        # What rebuilds it is the user's code and may raise anything, SystemExit included.
        with suppress(Exception, SystemExit):
            exception = loads_exception(failure.exception)
            if isinstance(exception, Exception) and not isinstance(exception, NOT_RAISABLE):
                return exception.with_traceback(None)
    text = f"{failure.class_name}: {failure.description}" if failure.description else failure.class_name
    return errors.UserCodeError(text)


def engines_exception(failure: TaskEndReason) -> errors.JobFailed:
    """Return the error of a task that did not fail by an exception."""
    match failure:
        case RunnerLost(exit_code, number, text):
            return errors.ExecutorLost(
                f"the process that ran the task {exit_text(exit_code, number)}{last_words(text)}"
            )
        case ExecutorLostFailure(executor_id, exit_caused_by_app, reason):
            blame = "" if exit_caused_by_app else " (not by the application's fault)"
            return errors.ExecutorLost(f"executor {executor_id} was lost while it ran the task{blame}: {reason}")
        case FetchFailed():
            return errors.JobFailed(fetch_text(failure))
        case TaskResultLost(message):
            return errors.JobFailed(with_reason("the task succeeded, but its result was lost on the way", message))
        case TaskCommitDenied(_, denied_partition, number):
            return errors.JobFailed(
                f"the task may not commit the output of partition {denied_partition}: another attempt than"
                f" {number} may"
            )
        case TaskKilled(reason):
            return errors.JobFailed(with_reason("the task was killed", reason))
        case UnknownReason(message):
            return errors.JobFailed(with_reason("the task ended, and nobody knows why", message))
        case Resubmitted() | Success() | ExceptionFailure():
            return errors.JobFailed(f"the task ended as {type(failure).__name__}, which ends no job")


def exit_text(exit_code: int | None, number: int) -> str:
    """Say how a process ended: "was killed by SIGKILL (…)", "exited with code 3 (os._exit)".

    Args:
        exit_code: None if a signal ended it.
        number: the signal; 0 if it exited.
    """
    if exit_code is not None:
        return f"exited with code {exit_code} (os._exit, or a fatal error of the interpreter)"
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"was killed by signal {number}"
    hint = EXIT_HINTS.get(signal.Signals(number))
    return f"was killed by {name}" + (f" ({hint})" if hint else "")


def last_words(text: str) -> str:
    """Return what a process wrote when it crashed, short; the way it ended is said already."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("the runner process ")]
    if len(lines) > 1:
        return "; its last words:\n" + "\n".join(lines[:CRASH_LINES])
    return f": {lines[0]}" if lines else ""


def fetch_text(failure: FetchFailed) -> str:
    """Say which map output could not be read."""
    where = f" on executor {failure.location.executor_id} at {failure.location.host}" if failure.location else ""
    which = f"map output {failure.map_index}" if failure.map_index >= 0 else "the map outputs"
    text = f"{which} of shuffle {failure.shuffle_id}{where} could not be read for partition {failure.reduce_id}"
    return with_reason(text, failure.message)


def with_reason(text: str, reason: str) -> str:
    """Add a reason if there is one."""
    return f"{text}: {reason}" if reason else text


def frames_of(text: str) -> str:
    """Return the frames of a plain traceback, since the rest is said already; all of one with causes or members."""
    if text.count(HEAD) != 1 or not text.startswith(HEAD):
        return text if HEAD in text or "Exception Group Traceback" in text else ""
    frames = []
    for line in text.removeprefix(HEAD).splitlines():
        if not line.startswith("  "):
            break
        frames.append(line)
    return "\n".join(frames)
