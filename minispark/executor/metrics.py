"""The clocks of a running attempt: the one place that reads them in a runner.

`task_runner` brackets each attempt with a `TaskClock`. A simulation gives `STOPPED`, so that what it reports is the
same in every run. Must not be used to decide anything: durations are for people.
"""

import resource
import time
from collections.abc import Callable

from minispark.rdd.ports import MutableTaskMetrics
from minispark.record import Record, record

__all__ = ["STOPPED", "SYSTEM", "Clocks", "TaskClock"]


@record
class Clocks(Record):
    """What an attempt is measured by.

    Attributes:
        wall_ns: gives nanoseconds that pass.
        cpu_ns: gives nanoseconds that this thread computed.
        peak_bytes: gives the most memory that this process has held.
    """

    wall_ns: Callable[[], int]
    cpu_ns: Callable[[], int]
    peak_bytes: Callable[[], int]


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


SYSTEM = Clocks(time.perf_counter_ns, time.thread_time_ns, peak_memory)
STOPPED = Clocks(lambda: 0, lambda: 0, lambda: 0)


class TaskClock:
    """Measures one attempt: how long it took to decode, and to run (both together are its whole span).

    Args:
        clocks: where the time comes from.
        metrics: where the durations go.
    """

    __slots__ = ("clocks", "cpu_start", "metrics", "run_start", "start")

    def __init__(self, clocks: Clocks, metrics: MutableTaskMetrics) -> None:
        self.clocks = clocks
        self.metrics = metrics
        self.cpu_start = clocks.cpu_ns()
        self.start = self.run_start = clocks.wall_ns()

    def decoded(self) -> None:
        """Note that the task is decoded and begins to run."""
        self.run_start = self.clocks.wall_ns()
        self.metrics.deserialize_time_ns = self.run_start - self.start

    def stop(self) -> None:
        """Note the end; an attempt that could not be decoded has no run time."""
        now = self.clocks.wall_ns()
        if self.run_start == self.start:
            self.metrics.deserialize_time_ns = now - self.start
        else:
            self.metrics.run_time_ns = now - self.run_start
        self.metrics.cpu_time_ns = self.clocks.cpu_ns() - self.cpu_start
        self.metrics.peak_memory_bytes = self.clocks.peak_bytes()
