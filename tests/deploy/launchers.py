"""Processes that end when a test says so."""

import asyncio
import itertools
import signal
from collections.abc import Callable

from minispark.deploy.processes import ProcessCommand

__all__ = ["FakeLauncher", "FakeProcess"]


class FakeProcess:
    """A process that takes SIGTERM, unless it is stubborn.

    Attributes:
        command: what was started.
    """

    def __init__(self, pid: int, command: ProcessCommand, *, stubborn: bool) -> None:
        self.pid = pid
        self.command = command
        self.stubborn = stubborn
        self.end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ended(self) -> int:
        return await asyncio.shield(self.end)

    def exit(self, code: int) -> None:
        if not self.end.done():
            self.end.set_result(code)

    def terminate(self) -> None:
        if not self.stubborn:
            self.exit(-signal.SIGTERM)

    def kill(self) -> None:
        self.exit(-signal.SIGKILL)


class FakeLauncher:
    """Starts fake processes.

    Attributes:
        started: all of them, in order.
        error: raised in place of starting one.
        stubborn: whether those that start from now on ignore SIGTERM.
        hopeless: whether those that start from now on are never ready.
    """

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.error: OSError | None = None
        self.stubborn = False
        self.hopeless = False
        self.pids = itertools.count(1000)

    def launch(self, command: ProcessCommand, ready: Callable[[], object] = int) -> FakeProcess:
        if self.error is not None:
            raise self.error
        process = FakeProcess(next(self.pids), command, stubborn=self.stubborn)
        self.started.append(process)
        if not self.hopeless:
            asyncio.get_running_loop().call_soon(ready)
        return process

    @property
    def last(self) -> FakeProcess:
        return self.started[-1]
