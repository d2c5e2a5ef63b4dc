"""The listener bus: events to listeners, in order, after the fact, so that no listener can slow the scheduler.

Source: Spark's LiveListenerBus.
"""

import asyncio
import logging
from collections import deque

from minispark.messages.listener import ListenerEvent, SparkListener

__all__ = ["ListenerBus"]

logger = logging.getLogger(__name__)

SLICE = 256
"""Events delivered in one turn of the loop."""

CAPACITY = 10_000
"""Events that may wait; further ones are dropped, and the loss is logged."""


class ListenerBus:
    """Delivers posted events to all listeners in later turns of the running loop."""

    def __init__(self) -> None:
        self.listeners: list[SparkListener] = []
        self.queue: deque[ListenerEvent] = deque()
        self.broken: set[int] = set()
        self.num_dropped = 0
        self.is_scheduled = False

    def add(self, listener: SparkListener) -> None:
        """Have a listener see the events that are posted from now on."""
        self.listeners.append(listener)

    def remove(self, listener: SparkListener) -> None:
        """Let a listener go; nothing happens if it is not there."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self.broken.discard(id(listener))

    @property
    def wants_tasks(self) -> bool:
        """Whether anybody listens."""
        return bool(self.listeners)

    def post(self, event: ListenerEvent) -> None:
        """Queue an event; it is dropped if nobody listens, or if too many wait."""
        if not self.listeners:
            return
        if len(self.queue) >= CAPACITY:
            if self.num_dropped == 0:
                logger.warning("listeners are too slow: events are dropped from now on")
            self.num_dropped += 1
            return
        self.queue.append(event)
        if not self.is_scheduled:
            self.is_scheduled = True
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        """Deliver a slice of the queue; the rest waits for the next turn."""
        for _ in range(min(SLICE, len(self.queue))):
            self.deliver_one(self.queue.popleft())
        self.is_scheduled = bool(self.queue)
        if self.is_scheduled:
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver_one(self, event: ListenerEvent) -> None:
        """Give one event to everybody; a listener that raises is reported and does no harm."""
        for listener in tuple(self.listeners):
            try:
                listener.on_event(event)
            except Exception:  # a listener is foreign code
                if id(listener) not in self.broken:
                    self.broken.add(id(listener))
                    logger.exception("listener %r failed on %s; told once", listener, type(event).__name__)

    def flush(self) -> None:
        """Deliver all that waits, now: at the stop."""
        while self.queue:
            self.deliver_one(self.queue.popleft())
