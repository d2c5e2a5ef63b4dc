"""The listener bus: events to listeners, in order, after the fact, so that no listener can slow the scheduler.

Endpoints post, `listener_queue` delivers. Source: Spark's LiveListenerBus.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from minispark.messages.listener import ListenerEvent, SparkListener
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.listener_queue import ListenerQueue, queue_for

__all__ = ["CAPACITY", "ListenerBus"]

logger = logging.getLogger(__name__)

CAPACITY: Final = 10_000
"""Events that may wait for one listener, unless the settings say otherwise."""


class ListenerBus:
    """Delivers posted events to all listeners in later turns of the running loop.

    Args:
        world: the clock; starts threads for listeners that block.
        capacity: events that may wait for one listener; it misses further ones.

    Attributes:
        wants_tasks: whether anybody listens.
    """

    def __init__(self, world: World, capacity: int = CAPACITY) -> None:
        self.world = world
        self.capacity = capacity
        self.queues: list[ListenerQueue] = []
        self.wants_tasks = False
        self.scope = TaskScope("listeners")
        self.is_stopped = False
        self.observer: Callable[[ListenerEvent], object] | None = None

    def observe(self, observer: Callable[[ListenerEvent], object]) -> None:
        """Have one part of the driver see every event in the turn in which it is posted; it must be quick."""
        self.observer = observer
        self.wants_tasks = True

    def add(self, listener: SparkListener, *, in_thread: bool = False) -> None:
        """Have a listener see the events that are posted from now on; one that was added twice sees them twice.

        Raises:
            ConfigurationError: it is asynchronous and to be called in a thread.
        """
        self.queues.append(queue_for(listener, self.capacity, self.world, self.scope, in_thread=in_thread))
        self.wants_tasks = True

    def remove(self, listener: SparkListener) -> None:
        """Let a listener go, with what waits for it; nothing happens if it is not there."""
        for queue in self.queues:
            if queue.listener is listener:
                self.queues.remove(queue)
                self.wants_tasks = bool(self.queues) or self.observer is not None
                queue.discard()
                return

    @property
    def num_dropped(self) -> int:
        """How many events the listeners of now have missed, because they are too slow."""
        return sum(queue.num_dropped for queue in self.queues)

    def post(self, event: ListenerEvent) -> None:
        """Queue an event for each listener; nothing is kept after the stop."""
        if not self.is_stopped:
            if self.observer is not None:
                self.observer(event)
            for queue in self.queues:
                queue.post(event)

    async def stop(self, deadline_s: float) -> None:
        """Deliver all that waits, as far as the listeners take it before the deadline; nothing is posted any more."""
        self.is_stopped = True
        waiting = deque(self.queues)  # a copy: a listener that has seen the end may remove itself
        try:
            async with asyncio.timeout(deadline_s):
                while waiting:
                    await waiting[0].drain()
                    waiting.popleft()
        except TimeoutError:
            late = [waiting[0], *(queue for queue in list(waiting)[1:] if queue.events)]
            texts = [f"{queue.listener!r}, for which {len(queue.events)} more events wait" for queue in late]
            logger.warning("listeners did not end in %g s: %s", deadline_s, "; ".join(texts))
        for queue in self.queues:
            queue.discard()
        await self.scope.close(deadline_s)
