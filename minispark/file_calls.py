"""Calls to the file systems of files that a user named: they may stand for ever, and nobody stands with them.

SparkContext runs every one through here, in a thread that no loop and no interpreter waits for at its end: a file
server that has died, or a dead mount, answers nothing, and a thread in such a call cannot be stopped.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from minispark.errors import JobCancelled
from minispark.rpc.world import World
from minispark.urls import shown

if TYPE_CHECKING:
    from minispark.rdd.files import JobOutput

__all__ = ["FileCalls"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class FileCalls:
    """The calls of one application.

    Args:
        world: threads.
        deadline_s: how long to wait for the removal of what a job has left half done.

    Attributes:
        open: what is under way, with the monotonic time of its start; also when nobody awaits it any more.
        awaited: the patience of those who await one.
    """

    def __init__(self, world: World, deadline_s: float) -> None:
        self.world = world
        self.deadline_s = deadline_s
        self.open: dict[object, tuple[str, float]] = {}
        self.awaited: dict[object, asyncio.Timeout] = {}

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function that blocks and return its result; whoever cancels this goes on at once.

        Raises:
            JobCancelled: the application has ended meanwhile.
        """
        call, name = object(), named(function, args)
        patience = self.awaited[call] = asyncio.timeout(None)
        try:
            async with patience:
                return await self.detached(call, name, function, *args)
        except TimeoutError:
            if not patience.expired():
                raise  # the file system's own
            raise JobCancelled(f"the SparkContext was stopped before {name} had come back") from None
        finally:
            self.awaited.pop(call, None)

    async def detached(self, call: object, name: str, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function in a thread, and note that it runs."""
        self.open[call] = (name, self.world.monotonic())

        def run() -> T:
            try:
                return function(*args)
            finally:
                self.open.pop(call, None)

        return await self.world.run_detached(run)

    async def give_up(self, output: "JobOutput") -> None:
        """Remove what a failed job has written, unless its server needs too long: that is logged, and left to it."""
        try:
            async with asyncio.timeout(self.deadline_s):
                await self.detached(object(), named(output.abandon, ()), output.abandon)
        except TimeoutError:
            logger.warning(
                "what a job that failed has left at %s could not be removed within %g s: its file system does not"
                " answer",
                shown(output.path),
                self.deadline_s,
            )

    def stop(self) -> None:
        """Leave calls to themselves that have not come back when the application has ended, and say so."""
        now = self.world.monotonic()
        awaited, self.awaited = self.awaited, {}  # one that is out of patience cannot be told so again
        for patience in awaited.values():
            patience.reschedule(0.0)
        calls, self.open = self.open, {}
        for name, start in list(calls.values()):  # a thread that is about to leave may still have hold of them
            logger.warning("a file system has not answered for %.1f s: %s is left to itself", now - start, name)


def named(function: Callable[..., object], args: tuple[object, ...]) -> str:
    """Return what is called, for people: "create of s3://bucket/x", "find_partitions of text_file at app.py:3"."""
    owner = getattr(function, "__self__", None)
    subject = getattr(owner, "path", owner) if owner is not None else args[0] if args else ""
    name = getattr(function, "__name__", type(function).__name__)
    return shown(f"{name} of {subject}" if subject else name)
