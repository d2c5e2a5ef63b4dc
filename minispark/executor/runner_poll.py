"""The sockets of all runners behind one descriptor: what came meanwhile is taken in the same turn of the loop.

Used by `process_pool`. A turn of an event loop costs a good part of what a task costs the driver; where results come
faster than turns go, this poll of its own finds the next ones without going back to the loop. Must not hold the loop
for longer than a millisecond, and must not know what is read.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final

__all__ = ["RunnerPoll"]

TURN_S: Final = 0.001


class RunnerPoll:
    """Readers like those of an event loop, in a poll of their own that the loop watches.

    Args:
        loop: the running loop.
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.loop = loop
        self.now = now
        self.poll = select.epoll()
        self.callbacks: dict[int, Callable[[], object]] = {}
        loop.add_reader(self.poll.fileno(), self.on_ready)

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Have a callback called whenever a descriptor can be read."""
        self.callbacks[fd] = callback
        self.poll.register(fd, select.EPOLLIN)

    def remove_reader(self, fd: int) -> None:
        """Watch a descriptor no more; it must still be open."""
        if self.callbacks.pop(fd, None) is not None:
            self.poll.unregister(fd)

    def on_ready(self) -> None:
        """Call who can read, and look again, until there is nothing or the time of a turn is over."""
        deadline = self.now() + TURN_S
        while ready := self.poll.poll(0):
            for fd, _ in ready:
                callback = self.callbacks.get(fd)
                if callback is not None:  # not removed by one before it
                    callback()
            if self.now() > deadline:
                return  # what is left makes the descriptor ready again

    def close(self) -> None:
        """Watch nothing any more."""
        self.callbacks.clear()
        if not self.poll.closed:
            if not self.loop.is_closed():
                self.loop.remove_reader(self.poll.fileno())
            self.poll.close()
