"""Threads that run in turns with the loop: a task can wait for its executor's answer while virtual time passes.

Exactly one thread runs at any time, so nothing depends on how the system schedules them. Used by `sim_pool`.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Abandoned", "Fiber"]


class Abandoned(BaseException):
    """The process of this fiber has ended: its function is to unwind."""


class Fiber:
    """A thread that stands still but while it is resumed; used again and again."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.back = threading.Lock()
        self.turn.acquire()
        self.back.acquire()
        self.function: Callable[[], Any] = no_function
        self.value: Any = None
        self.said: Any = None
        self.is_done = True
        self.stands = False
        self.is_abandoned = False
        self.thread = threading.Thread(target=self.serve, name="fiber", daemon=True)
        self.thread.start()

    @classmethod
    def take(cls) -> "Fiber":
        """Return one that has nothing to do."""
        return idle.pop() if idle else cls()

    def start(self, function: Callable[[], Any]) -> Any:
        """Run a function until it suspends itself, or ends; return what it said then, or its result."""
        self.function, self.is_done, self.is_abandoned = function, False, False
        return self.resume(None)

    def resume(self, value: Any) -> Any:
        """Have `suspend` return a value; return what the function says next, or its result."""
        self.value = value
        self.turn.release()
        self.back.acquire()
        said, self.said = self.said, None
        if self.is_done:
            idle.append(self)
        return said

    def suspend(self, said: Any) -> Any:
        """Say something to whoever resumed this fiber, from inside; return what it is resumed with.

        Raises:
            Abandoned: nobody will answer.
        """
        if self.is_abandoned:
            raise Abandoned
        self.said = said
        self.stands = True
        self.back.release()
        self.turn.acquire()
        self.stands = False
        if self.is_abandoned:
            raise Abandoned
        return self.value

    def runs_here(self) -> bool:
        """Tell whether the caller is what this fiber runs."""
        return self.thread is threading.current_thread()

    def call_outside(self, loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
        """Call a function of the loop from inside this fiber: its thread waits for this one anyway.

        Raises:
            Abandoned: it has abandoned this fiber.
        """
        asyncio._set_running_loop(loop)
        try:
            function()
        finally:
            asyncio._set_running_loop(None)
        if self.is_abandoned:
            raise Abandoned

    def abandon(self) -> None:
        """Have the function unwind, at once if it is suspended; nothing happens if it has ended."""
        if not self.is_done:
            self.is_abandoned = True
            if self.stands:
                self.resume(None)

    def serve(self) -> None:
        """Run one function after the other, in the fiber's own thread."""
        while True:
            self.turn.acquire()
            try:
                self.said = self.function()
            except BaseException as error:  # noqa: BLE001 — the thread is used again
                self.said = error
            self.function = no_function
            self.is_done = True
            self.back.release()


def no_function() -> None:
    """Do nothing."""


idle: list[Fiber] = []
