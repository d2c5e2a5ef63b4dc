"""The world: everything that is not computation. Clock, chance, timers, processes, threads.

Nothing in minispark reads the clock, sleeps, draws chance, opens a socket or starts a process or thread but through
the World it was given. `SystemWorld` is the real one; the test kit has one that is simulated.
"""

import asyncio
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, TypeVarTuple

__all__ = ["ChildProcess", "SystemClock", "SystemWorld", "World"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ChildProcess(Protocol):
    """A process that the World started."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""

    def send_signal(self, signal: int) -> None:
        """Send a signal; nothing happens if it is gone."""


class World(Protocol):
    """What a component may do to and learn from its surroundings.

    Attributes:
        rng: chance that nobody's security depends on.
    """

    rng: random.Random

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def wall(self) -> float:
        """Return seconds since the epoch."""

    def call_later(self, delay_s: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """Run a callback on the loop after a delay."""

    async def sleep(self, delay_s: float) -> None:
        """Wait."""

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a blocking function off the loop and return its result."""

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        """Run a function in a thread of its own that does not keep the interpreter alive."""

    def secret_bytes(self, count: int) -> bytes:
        """Return bytes nobody can guess."""

    def socket_pair(self, kind: int) -> tuple[socket.socket, socket.socket]:
        """Return two connected Unix sockets of that kind (SOCK_STREAM, SOCK_SEQPACKET), to share with a process."""

    def spawn_process(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        directory: Path | None = None,
    ) -> ChildProcess:
        """Start a process in a session of its own, with stdin from /dev/null."""


class SystemClock:
    """The real clock."""

    monotonic = staticmethod(time.monotonic)  # bare: it is read for every message

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class SystemWorld(SystemClock):
    """The real world, on the running event loop.

    Args:
        seed: for `rng`; None draws one from the system.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.rng = random.Random(seed)

    def call_later(self, delay_s: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """Run a callback on the loop after a delay."""
        return asyncio.get_running_loop().call_later(delay_s, callback, *args)

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s)

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a blocking function in the loop's default executor."""
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        """Start a daemon thread."""
        threading.Thread(target=function, args=args, name=name, daemon=True).start()

    def secret_bytes(self, count: int) -> bytes:
        """Return bytes from the system's secure source."""
        return os.urandom(count)

    def socket_pair(self, kind: int) -> tuple[socket.socket, socket.socket]:
        """Return two connected Unix sockets of that kind."""
        return socket.socketpair(socket.AF_UNIX, kind)

    def spawn_process(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        directory: Path | None = None,
    ) -> ChildProcess:
        """Start a process in a session of its own, with stdin from /dev/null."""
        child: subprocess.Popen[Any] = subprocess.Popen(
            list(argv), env=dict(environment), pass_fds=tuple(pass_fds), cwd=directory,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return child
