"""What a simulated runner has read of broadcasts: as if it were a process of its own, apart from the driver's.

Each slot of a `sim_pool` has one and puts it in place while a task of it computes. Exactly one thread runs at any
time, and never the driver while a task computes, so nobody else sees the difference.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minispark.ids import BroadcastId
from minispark.rdd import broadcast
from minispark.rdd.broadcast import Broadcast, Values

__all__ = ["RunnerValues"]

NOT_THE_DRIVER: dict[BroadcastId, Broadcast[Any]] = {}


class RunnerValues(Values):
    """The values of one runner."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let what computes now read these values, and none that the driver has."""
        module = vars(broadcast)
        before = {name: module[name] for name in ("values", "of_driver")}
        module.update(values=self, of_driver=NOT_THE_DRIVER)
        try:
            yield
        finally:
            module.update(before)
