"""The log files of executors and drivers: what they print, in files that are rolled when they grow.

A child writes to its file itself, opened to append. A pipe through the worker would lose what was under way when the
worker dies, and a worker that stands still would stop every child that prints; this way the last lines are there
whatever happens to the worker, and they cost it nothing. The price: a file is rolled by copying and emptying it, so
lines that a child writes in the microseconds between the two are lost, and between two looks a file may outgrow its
bound. Nothing is rolled once the child has ended, so the end of a log is always whole. Used by `processes`.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from minispark.rpc.world import World

__all__ = ["LOOK_S", "LogRoller", "RolledLog"]

LOOK_S = 5.0
PIECE_SIZE = 1 << 20
TAIL_SIZE = 4096
TAIL_LINES = 12
AT_MOST = 2
"""A predecessor is at most that many times as large as the bound: a file grows between two looks."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RolledLog:
    """One log file, and its predecessors `name.1` (the youngest), `name.2`, ….

    Args:
        path: the file that is written now.
        max_size_bytes: at which it is rolled; 0: never.
        retained: how many predecessors are kept.
    """

    path: Path
    max_size_bytes: int = 0
    retained: int = 0

    def open(self) -> int:
        """Return a descriptor that appends to the file, which only this user can read; raises OSError."""
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tail(self) -> str:
        """Return the last lines, for people; nothing if there are none. Blocking."""
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_SIZE))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def predecessor(self, number: int) -> Path:
        """Return the path of a rolled file, 1 for the youngest."""
        return self.path.with_name(f"{self.path.name}.{number}")

    def roll_if_large(self) -> bool:
        """Roll the file if it has outgrown its bound; return whether it was. Blocking."""
        try:
            size = os.stat(self.path).st_size
        except FileNotFoundError:
            return False
        if not self.max_size_bytes or size < self.max_size_bytes:
            return False
        for number in range(self.retained, 1, -1):
            if self.predecessor(number - 1).exists():
                os.replace(self.predecessor(number - 1), self.predecessor(number))
        self.empty()
        return True

    def empty(self) -> None:
        """Empty the file, after its text went to the youngest predecessor, if any are kept."""
        source = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if self.retained:
                self.copy(source)
            os.ftruncate(source, 0)
        finally:
            os.close(source)

    def copy(self, source: int) -> None:
        """Copy the file, or the end of a very large one, until nothing more has come."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with open(os.open(self.predecessor(1), flags, 0o600), "wb") as target:
            place = max(0, os.fstat(source).st_size - AT_MOST * self.max_size_bytes)
            while piece := os.pread(source, PIECE_SIZE, place):
                target.write(piece)
                place += len(piece)


class LogRoller:
    """Looks at the logs of running children every few seconds, off the loop.

    Args:
        world: timers and the thread that copies.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: dict[RolledLog, None] = {}

    def add(self, *logs: RolledLog) -> None:
        """Look after the logs of a child that starts."""
        self.logs.update(dict.fromkeys(logs))

    def remove(self, *logs: RolledLog) -> None:
        """Leave the logs of a child that has ended alone."""
        for log in logs:
            self.logs.pop(log, None)

    async def run(self) -> None:
        """Roll what has grown, for ever."""
        while True:
            await self.world.sleep(LOOK_S)
            for log in list(self.logs):
                if log in self.logs:
                    await self.roll(log)

    async def roll(self, log: RolledLog) -> None:
        """Roll one log if it is due; what goes wrong does not keep the others."""
        try:
            await self.world.run_blocking(log.roll_if_large)
        except asyncio.CancelledError:
            raise
        except OSError as error:
            logger.warning("%s cannot be rolled: %s", log.path, error)
