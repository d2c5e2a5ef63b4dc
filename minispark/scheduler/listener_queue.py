"""The events that wait for one listener, and the three ways of handing them over: on the loop, by await, in a thread.

`listener_bus` has one queue a listener, so that none waits for another. What a listener raises, and how slow it is,
stays here. Source: Spark's AsyncEventQueue.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from typing import Final

from minispark.errors import ConfigurationError
from minispark.messages.listener import ListenerEvent, SparkListener
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["ListenerQueue", "queue_for"]

logger = logging.getLogger(__name__)

SLICE_S: Final = 0.001
"""How long events are delivered in one turn of the loop."""

SLOW_S: Final = 0.1
"""A listener that holds the loop for so long with one event is told of."""

TOLD_EVERY_S: Final = 60.0
"""How often the loss of events is logged at most."""


class ListenerQueue(ABC):
    """One listener's events, in order, up to a number.

    Args:
        listener: gets them.
        capacity: how many may wait; further ones are dropped and counted.
        world: the clock; starts threads.

    Attributes:
        num_dropped: events that the listener has missed.
    """

    def __init__(self, listener: SparkListener, capacity: int, world: World) -> None:
        self.listener = listener
        self.capacity = capacity
        self.world = world
        self.events: deque[ListenerEvent] = deque()
        self.num_dropped = 0
        self.told_at: float | None = None
        self.is_broken = False

    def post(self, event: ListenerEvent) -> None:
        """Keep an event for the listener, or drop it if too many wait."""
        if len(self.events) >= self.capacity:
            self.drop()
        else:
            self.events.append(event)
            self.wake()

    def drop(self) -> None:
        """Count an event that the listener misses."""
        self.num_dropped += 1
        now = self.world.monotonic()
        if self.told_at is None or now - self.told_at >= TOLD_EVERY_S:
            self.told_at = now
            logger.warning("listener %r is too slow: it has missed %d events so far", self.listener, self.num_dropped)

    def report(self, event: ListenerEvent) -> None:
        """Log what the listener has just raised, the first time."""
        if not self.is_broken:
            self.is_broken = True
            logger.exception("listener %r failed on %s; told once", self.listener, type(event).__name__)

    @abstractmethod
    def wake(self) -> None:
        """See to it that what waits is delivered."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until everything is delivered; nothing is posted any more."""

    def discard(self) -> None:
        """Let what waits go undelivered; nothing is posted any more."""
        self.events.clear()


class LoopQueue(ListenerQueue):
    """Calls a plain listener on the loop, in later turns than that of the post."""

    def __init__(self, listener: SparkListener, capacity: int, world: World) -> None:
        super().__init__(listener, capacity, world)
        self.is_scheduled = False
        self.is_slow = False

    def wake(self) -> None:
        """Deliver in the next turn."""
        if not self.is_scheduled:
            self.is_scheduled = True
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        """Deliver for a while; the rest waits for the next turn."""
        monotonic = self.world.monotonic
        begun = now = monotonic()
        try:
            while self.events and now - begun < SLICE_S:
                before = now
                self.deliver_one(self.events.popleft())
                now = monotonic()
                if now - before >= SLOW_S and not self.is_slow:
                    self.is_slow = True
                    logger.warning(
                        "listener %r held the event loop for %.1f s: make its on_event a coroutine function, or add "
                        "it with in_thread=True; told once",
                        self.listener,
                        now - before,
                    )
        finally:
            self.is_scheduled = False
            if self.events:
                self.wake()

    def deliver_one(self, event: ListenerEvent) -> None:
        """Give the listener one event."""
        try:
            self.listener.on_event(event)
        except Exception:  # noqa: BLE001 — a listener is foreign code; `report` logs it
            self.report(event)

    async def drain(self) -> None:
        """Deliver all that waits."""
        while self.events:
            self.deliver()
            await self.world.sleep(0)


class CoroutineQueue(ListenerQueue):
    """Awaits a listener whose `on_event` is a coroutine function, one event after the other.

    Args:
        listener: gets the events.
        capacity: how many may wait.
        world: the clock.
        scope: owns the task that awaits; there is one only while events wait.
    """

    def __init__(self, listener: SparkListener, capacity: int, world: World, scope: TaskScope) -> None:
        super().__init__(listener, capacity, world)
        self.scope = scope
        self.pump: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Start to await, unless that is under way."""
        if self.pump is None:
            self.pump = self.scope.spawn(self.deliver(), name=f"events for {self.listener!r}")

    async def deliver(self) -> None:
        """Await the listener until no event waits."""
        try:
            while self.events:
                event = self.events.popleft()
                try:
                    answer = self.listener.on_event(event)
                    assert isinstance(answer, Coroutine)
                    await answer
                except asyncio.CancelledError:
                    if is_cancelled():
                        raise
                    self.report(event)  # what the listener itself waited for was cancelled
                except Exception:  # noqa: BLE001 — a listener is foreign code; `report` logs it
                    self.report(event)
        finally:
            self.pump = None

    async def drain(self) -> None:
        """Wait until all that waits was awaited."""
        if self.pump is not None:
            await asyncio.wait([self.pump])


class ThreadQueue(ListenerQueue):
    """Calls a listener that blocks in a thread of its own."""

    def __init__(self, listener: SparkListener, capacity: int, world: World) -> None:
        super().__init__(listener, capacity, world)
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.signal = threading.Semaphore(0)  # one for each event, and a last one without
        world.start_thread(self.deliver, name=f"minispark-listener-{type(listener).__name__}")

    def wake(self) -> None:
        """Let the thread take an event."""
        self.signal.release()

    def deliver(self) -> None:
        """Call the listener until there is a signal without an event; runs in the thread."""
        while self.signal.acquire():
            try:
                event = self.events.popleft()
            except IndexError:  # not looked at before: the loop may discard in between
                break
            try:
                self.listener.on_event(event)
            except BaseException:  # noqa: BLE001 — a listener is foreign code; `report` logs it, also a SystemExit
                self.report(event)
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
            self.loop.call_soon_threadsafe(self.ended.set)

    async def drain(self) -> None:
        """Wait until the thread has delivered all that waits."""
        self.signal.release()
        await self.ended.wait()

    def discard(self) -> None:
        """Let what waits go, and end the thread after what it does."""
        super().discard()
        self.signal.release()


def is_cancelled() -> bool:
    """Tell whether somebody has cancelled the task that runs."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def queue_for(
    listener: SparkListener, capacity: int, world: World, scope: TaskScope, *, in_thread: bool
) -> ListenerQueue:
    """Make the queue of a listener: in a thread if asked for, by await if it is asynchronous, else on the loop.

    Raises:
        ConfigurationError: an asynchronous one is to be called in a thread, where nothing would await it.
    """
    is_asynchronous = inspect.iscoroutinefunction(listener.on_event)
    if in_thread and is_asynchronous:
        raise ConfigurationError(
            f"{listener!r} cannot be called in a thread: its on_event is a coroutine function, awaited on the "
            "loop; add it without in_thread=True"
        )
    if in_thread:
        return ThreadQueue(listener, capacity, world)
    if is_asynchronous:
        return CoroutineQueue(listener, capacity, world, scope)
    return LoopQueue(listener, capacity, world)
