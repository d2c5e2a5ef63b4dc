"""What the end of an attempt means for its task: does it count, is it the last word, and how it reads in a line."""

from typing import Final

from minispark.messages.task import (
    ExceptionFailure,
    ExecutorLostFailure,
    FetchFailed,
    RunnerLost,
    TaskCommitDenied,
    TaskFailure,
    TaskKilled,
    TaskResultLost,
    UnknownReason,
)

__all__ = ["counts_as_failure", "failure_text", "is_final"]

FINAL_CLASSES: Final = frozenset(
    {"minispark.errors.PicklingError", "minispark.errors.OutputExists", "FileExistsError"}
)


def counts_as_failure(reason: TaskFailure) -> bool:
    """Tell whether a failure is the task's own doing and counts towards giving up."""
    match reason:
        case FetchFailed() | TaskKilled() | TaskCommitDenied():
            return False
        case ExecutorLostFailure():
            return reason.exit_caused_by_app
        case _:
            return True


def is_final(reason: TaskFailure) -> bool:
    """Tell whether the task would fail likewise each time: its result cannot be pickled, or its output is there."""
    return isinstance(reason, ExceptionFailure) and reason.class_name in FINAL_CLASSES


def failure_text(reason: TaskFailure) -> str:
    """Put a failure into a line."""
    match reason:
        case ExceptionFailure():
            return f"{reason.class_name}: {reason.description}"
        case ExecutorLostFailure():
            return f"executor {reason.executor_id} lost: {reason.reason}"
        case RunnerLost():
            how = f"signal {reason.signal}" if reason.signal else f"exit code {reason.exit_code}"
            return f"its runner process ended with {how}"
        case FetchFailed() | TaskResultLost() | UnknownReason():
            return reason.message or type(reason).__name__
        case TaskKilled():
            return f"killed: {reason.reason}"
        case TaskCommitDenied():
            return f"another attempt committed partition {reason.partition}"
