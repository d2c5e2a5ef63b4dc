"""Tells that nobody takes an application's tasks, every so often until the first one is launched.

The TaskScheduler has one; a backend that knows why no executor comes puts its own explanation in. Source: the timer
of Spark's TaskSchedulerImpl.submitTasks.
"""

import asyncio
from collections.abc import Callable

from minispark.rpc.world import World

__all__ = ["StarvationWarning"]


class StarvationWarning:
    """A look at what waits, again and again.

    Args:
        world: timers.
        interval_s: between two looks, and before the first.
        is_waiting: tells whether there are tasks that nobody has taken.
        explain: says why; replaced by who knows better.

    Attributes:
        is_over: a task was launched: nothing is said any more.
    """

    def __init__(
        self, world: World, interval_s: float, is_waiting: Callable[[], bool], explain: Callable[[], object]
    ) -> None:
        self.world = world
        self.interval_s = interval_s
        self.is_waiting = is_waiting
        self.explain = explain
        self.is_over = False
        self.timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look after a while, unless that is settled or over."""
        if not self.is_over and self.timer is None:
            self.timer = self.world.call_later(self.interval_s, self.look)

    def look(self) -> None:
        """Have it explained if tasks wait; look again later."""
        self.timer = None
        self.begin()
        if not self.is_over and self.is_waiting():
            self.explain()

    def stop(self) -> None:
        """Let the timer go."""
        if self.timer is not None:
            self.timer.cancel()
