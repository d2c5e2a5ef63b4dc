"""Results that stayed with the executor because they were large: removed in time, if nobody does it before.

Used by `Executor`. Whoever reads a result removes it; this is for results that nobody wants any more, whose job was
cancelled when they were on their way. A result that is wanted is fetched at once, so the time is generous.
"""

import asyncio
import contextlib
import os
from typing import Final

from minispark.messages.task import IndirectResult
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["RESULT_TTL_S", "KeptResults"]

RESULT_TTL_S: Final = 3600.0


class KeptResults:
    """The results that one executor has reported and keeps in files.

    Args:
        world: timers, and files off the loop.
        scope: owns the removals.
    """

    def __init__(self, world: World, scope: TaskScope) -> None:
        self.world = world
        self.scope = scope
        self.timers: dict[str, asyncio.TimerHandle] = {}

    def keep(self, result: IndirectResult) -> None:
        """Keep a result that is reported now; one that was too large to be kept has no file."""
        if result.path:
            self.timers[result.path] = self.world.call_later(RESULT_TTL_S, self.drop, result.path)

    def drop(self, path: str) -> None:
        """Remove a result."""
        del self.timers[path]
        self.scope.spawn(self.world.run_blocking(remove, path), name=f"remove {path}")

    def close(self) -> None:
        """Leave what is left to the janitor, which removes the whole directory."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()


def remove(path: str) -> None:
    """Remove a file, if it is there; blocking."""
    with contextlib.suppress(OSError):
        os.unlink(path)
