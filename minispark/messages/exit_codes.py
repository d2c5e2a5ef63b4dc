"""What the exit codes of an executor process mean, to its worker, to the driver and to people. As Spark's."""

import enum

__all__ = ["ExecutorExit"]


class ExecutorExit(enum.IntEnum):
    """Why an executor process ended by itself; 128 and a signal's number: that signal asked it to.

    Attributes:
        DONE: it was stopped, or went in order.
        FAILED: it could not start, was refused, or lost its driver or its worker.
        UNCAUGHT: something in it failed that must not.
        NO_DIRECTORY: its session directory cannot be made.
        HEARTBEATS: its heartbeats were not answered.
        REAPER: a killed task cannot be ended.
        REREGISTRATION: the driver, which had given it up, does not take it back.
        TERMINATED: SIGTERM.
    """

    DONE = 0
    FAILED = 1
    UNCAUGHT = 50
    NO_DIRECTORY = 53
    HEARTBEATS = 56
    REAPER = 57
    REREGISTRATION = 58
    TERMINATED = 143
