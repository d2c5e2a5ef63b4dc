"""The driver's accumulators: made here, fed with what the DAGScheduler lets count, merged off its handlers.

Known weakly: an accumulator that the program has forgotten takes nothing more. Must not unpickle inside of `count`,
which the DAGScheduler calls. Source: Spark's AccumulatorContext.
"""

import asyncio
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from minispark.clock import Clock
from minispark.ids import AccumulatorId
from minispark.messages.task import AccumulatorUpdate
from minispark.rdd.accumulators import Accumulator, AccumulatorParam, check_param, param_for

__all__ = ["AccumulatorTable"]

T = TypeVar("T")

SLICE_S: Final = 0.001
"""How long merging holds the loop; reading a value merges what is left of it at once."""


class AccumulatorTable:
    """The accumulators of one context.

    Args:
        clock: measures slices.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.known: WeakValueDictionary[AccumulatorId, Accumulator[Any]] = WeakValueDictionary()
        self.unmerged: dict[AccumulatorId, Accumulator[Any]] = {}
        self.is_scheduled = False

    def create(
        self, initial: T, param: AccumulatorParam[T] | None, name: str, count_failed_values: bool
    ) -> Accumulator[T]:
        """Make an accumulator; see `SparkContext.accumulator`."""
        if param is None:
            param = param_for(initial)
        else:
            check_param(param)
        accumulator = Accumulator(initial, param, name, count_failed_values)
        self.known[accumulator.accumulator_id] = accumulator
        return accumulator

    def count(self, updates: tuple[AccumulatorUpdate, ...]) -> None:
        """Take what one attempt added; it is in the values from now on, and merged in later turns of the loop."""
        for update in updates:
            accumulator = self.known.get(update.accumulator_id)
            if accumulator is not None:
                accumulator.pending.append(update.value)
                self.unmerged[update.accumulator_id] = accumulator
        if self.unmerged and not self.is_scheduled:
            self.is_scheduled = True
            asyncio.get_running_loop().call_soon(self.merge_slice)

    def close(self) -> None:
        """Refuse that tasks of another context use these: what they add would be lost without a word."""
        for accumulator in self.known.values():
            accumulator.is_closed = True

    def merge_slice(self) -> None:
        """Merge for a while; the rest waits for the next turn."""
        until = self.clock.monotonic() + SLICE_S
        while self.unmerged and self.clock.monotonic() < until:
            accumulator_id, accumulator = next(iter(self.unmerged.items()))
            if not accumulator.merge_next():
                del self.unmerged[accumulator_id]
        self.is_scheduled = bool(self.unmerged)
        if self.is_scheduled:
            asyncio.get_running_loop().call_soon(self.merge_slice)
