"""What went wrong in a task, as a value that travels: `describe` turns an exception into an `ExceptionFailure`.

Called by the task runner, outside of the user-code bracket, and by the executor; `scheduler.job_errors` makes an
exception of it again. It handles what user code made, so whatever it calls may fail: it must never raise, never take
long, and never make much of little (texts and pickles are bounded).
"""

import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import cloudpickle

from minispark import errors
from minispark.messages.task import AccumulatorUpdate, ExceptionFailure, TaskMetrics
from minispark.rdd.exception_pickling import dumps_exception, type_name
from minispark.urls import shown

__all__ = ["describe"]

DESCRIPTION_LENGTH: Final = 4_000
LINE_LENGTH: Final = 1_000
TRACEBACK_LINES: Final = 40
TRACEBACK_LENGTH: Final = 8_000
FULL_TRACEBACK_LENGTH: Final = 64_000
PICKLE_LENGTH: Final = 256 << 10  # no pickle call in the driver's loop handles more
SHOWN_FRAMES: Final = 4  # at either end of a deep stack
LEFT_OUT: Final = "<left out>"

STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep
ENGINE: Final = (
    os.path.dirname(errors.__file__) + os.sep,
    os.path.dirname(cloudpickle.__file__) + os.sep,
    os.path.join(STANDARD_LIBRARY, "asyncio", ""),
    os.path.join(STANDARD_LIBRARY, "concurrent", ""),
    os.path.join(STANDARD_LIBRARY, "threading.py"),
    "<frozen ",
)
LIBRARIES: Final = re.compile(rf"{re.escape(STANDARD_LIBRARY)}|.*[/\\](site|dist)-packages[/\\]")


def describe(
    exception: BaseException, metrics: TaskMetrics, accumulators: tuple[AccumulatorUpdate, ...] = ()
) -> ExceptionFailure:
    """Return an exception as a value; never raises.

    Args:
        exception: what user code, or minispark on its behalf, raised.
        metrics: of the attempt.
        accumulators: what the attempt added, for those that count failures too.
    """
    class_name = type_name(type(exception))
    description = short = full = ""
    data = b""
    # Users' __str__, __getattr__ and __reduce__ run here, and may raise anything, SystemExit included.
    with suppress(BaseException):
        described = traceback.TracebackException.from_exception(exception, lookup_lines=False, compact=True)
        full = shown(cut("".join(described.format()).rstrip("\n"), FULL_TRACEBACK_LENGTH))
        keep_users_frames(described)
        short = shown(bounded("".join(described.format()).rstrip("\n")))
    with suppress(BaseException):
        description = shown(cut(str(exception), DESCRIPTION_LENGTH))
    with suppress(BaseException):
        data = dumps_exception(exception)
    if len(data) > PICKLE_LENGTH:
        data = b""
    short = short or f"{class_name}: {description}"
    return ExceptionFailure(class_name, description, short, full or short, data, metrics, accumulators)


class UsersFrames(traceback.StackSummary):
    """The frames of user code; those in the middle of a deep stack are only counted."""

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **options: Any) -> str:
        """Return a frame's lines, and nothing but a count for the place of those that are left out."""
        if frame_summary.filename == LEFT_OUT:
            return f"  … {frame_summary.lineno} frames are left out\n"
        return super().format_frame_summary(frame_summary, **options)


def keep_users_frames(described: traceback.TracebackException) -> None:
    """Leave out the frames that are not the user's, in the exception and in all it is linked to."""
    for part in parts(described):
        kept = users_part(part.stack)
        if len(kept) > 2 * SHOWN_FRAMES + 1:
            mark = traceback.FrameSummary(LEFT_OUT, len(kept) - 2 * SHOWN_FRAMES, "", lookup_line=False, line="")
            kept = [*kept[:SHOWN_FRAMES], mark, *kept[-SHOWN_FRAMES:]]
        part.stack = UsersFrames(kept)


def users_part(stack: Sequence[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Return the frames from the first to the last of the user's, without minispark's and of what runs tasks.

    The user's are those of no library. Where there are none, the innermost of the libraries' has to do.
    """
    frames = [frame for frame in stack if not frame.filename.startswith(ENGINE)]
    users = [place for place, frame in enumerate(frames) if not LIBRARIES.match(frame.filename)]
    return frames[users[0] : users[-1] + 1] if users else frames[-1:]


def parts(described: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield a traceback and those of the causes, contexts and members of it."""
    waiting = [described]
    seen = {id(described)}
    while waiting:
        part = waiting.pop()
        yield part
        for linked in (part.__cause__, part.__context__, *(part.exceptions or ())):
            if linked is not None and id(linked) not in seen:
                seen.add(id(linked))
                waiting.append(linked)


def bounded(text: str) -> str:
    """Bound the lines of a traceback, and their length."""
    lines = [cut(line, LINE_LENGTH) for line in text.splitlines()]
    if len(lines) > TRACEBACK_LINES:
        half = TRACEBACK_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} lines are left out", *lines[-half:]]
    return cut("\n".join(lines), TRACEBACK_LENGTH)


def cut(text: str, length: int) -> str:
    """Bound a text by leaving out its middle."""
    if len(text) <= length:
        return text
    return f"{text[: length // 2]} … {len(text) - length} characters are left out … {text[-length // 2 :]}"
