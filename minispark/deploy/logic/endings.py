"""What the end of a process means, in words for people: exit codes, signals, memory. Called by its runner.

Source: Spark's ExecutorExitCode.
"""

import signal
from collections.abc import Mapping

from minispark.messages.exit_codes import ExecutorExit

__all__ = ["ending"]

WORDS: Mapping[int, str] = {
    ExecutorExit.UNCAUGHT: "an exception that nobody caught",
    ExecutorExit.NO_DIRECTORY: "its session directory could not be made",
    ExecutorExit.HEARTBEATS: "heartbeat failure: the driver did not answer",
    ExecutorExit.REAPER: "a killed task went on for too long",
    ExecutorExit.REREGISTRATION: "the driver did not take it back",
    ExecutorExit.TERMINATED: "SIGTERM",
}
"""What exit codes say beyond that something failed."""


def ending(exit_code: int, *, oom_kills: int = 0, forced: str = "") -> str:
    """Say how a process ended.

    Args:
        exit_code: negative: the signal that ended it.
        oom_kills: how many processes of the worker's control group the kernel has ended meanwhile, for memory.
        forced: in what case the worker itself sent SIGKILL; empty if it did not.
    """
    if exit_code >= 0:
        words = WORDS.get(exit_code)
        return f"exit code {exit_code}" + (f" ({words})" if words else "")
    return f"killed by {signal_name(-exit_code)}" + killer(-exit_code, oom_kills, forced)


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def killer(number: int, oom_kills: int, forced: str) -> str:
    """Say who sent a signal that no process can catch: the worker, or the kernel for want of memory."""
    if number != signal.SIGKILL:
        return ""
    if forced:
        return f" (by its worker, {forced})"
    return " (out of memory: the kernel ended it)" if oom_kills > 0 else " (out of memory?)"
