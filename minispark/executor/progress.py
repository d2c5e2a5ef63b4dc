"""The counters of a running attempt, kept where its executor sees them while it runs.

Runners make one of these per attempt; what is counted goes to the driver with heartbeats, for people and for
speculation. What an attempt has used in the end travels with its outcome.
"""

from typing import Any, cast

from minispark.executor.shared_page import COUNTERS, HELD, SHARE, SharedPage
from minispark.messages.task import TaskMetrics
from minispark.rdd.ports import MutableTaskMetrics

__all__ = ["PageMetrics", "counters_of"]


def in_page(name: str) -> Any:
    """Make an attribute of `PageMetrics` that is a counter of its page."""
    place = SharedPage.place_of(name)

    def read(metrics: "PageMetrics") -> int:
        return metrics.page.words[place]

    def write(metrics: "PageMetrics", value: int) -> None:
        metrics.page.words[place] = value

    return cast(Any, property(read, write))


class PageMetrics(MutableTaskMetrics):
    """Metrics whose counters are those of the runner's page: nothing is copied, nothing can be forgotten.

    They are counted up by batches of records, so that a slower attribute costs nothing.

    Args:
        page: of the runner; it was begun for this attempt.
    """

    __slots__ = ("page",)

    records_read = in_page("records_read")
    shuffle_read_bytes = in_page("shuffle_read_bytes")
    shuffle_read_records = in_page("shuffle_read_records")
    shuffle_write_bytes = in_page("shuffle_write_bytes")
    shuffle_write_records = in_page("shuffle_write_records")
    spilled_bytes = in_page("spilled_bytes")

    def __init__(self, page: SharedPage) -> None:
        # Not by the base's constructor: counter by counter would cost 2 µs a task, and `begin` has cleared the page.
        self.page = page
        self.run_time_ns = 0
        self.cpu_time_ns = 0
        self.deserialize_time_ns = 0
        self.result_size_bytes = 0
        self.peak_memory_bytes = 0

    def memory_share(self) -> int:
        """Return what the executor lets the attempt's containers hold now; see `MutableTaskMetrics`."""
        return self.page.words[SHARE]

    def holds(self, size_bytes: int) -> None:
        """Say what they hold now; see `MutableTaskMetrics`."""
        self.page.words[HELD] = size_bytes

    def snapshot(self) -> TaskMetrics:
        """Return the values of now as a message."""
        return TaskMetrics(
            self.run_time_ns,
            self.cpu_time_ns,
            self.deserialize_time_ns,
            self.result_size_bytes,
            *(*self.page.values(), self.peak_memory_bytes),
        )


def counters_of(metrics: MutableTaskMetrics) -> dict[str, int]:
    """Return the counters of an attempt that runs in the executor's own process."""
    return {name: getattr(metrics, name) for name in COUNTERS}
