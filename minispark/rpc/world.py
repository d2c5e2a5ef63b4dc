"""The world: everything that is not computation. Clock, chance, timers, processes, threads.

Nothing in minispark reads the clock, sleeps, draws chance, opens a socket or starts a process or thread but through
the World it was given. `SystemWorld` is the real one; the test kit has one that is simulated.
"""

import asyncio
import contextlib
import os
import random
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, TypeVarTuple

from minispark.rpc.logic.address import RpcAddress

__all__ = ["ChildProcess", "Listener", "SystemClock", "SystemWorld", "World"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TLS_HANDSHAKE_S = 10.0
"""How long a stranger may hold the memory of a TLS connection; the loops would give it a minute."""


class ChildProcess(Protocol):
    """A process that the World started."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""

    def send_signal(self, signal: int) -> None:
        """Send a signal; nothing happens if it is gone."""

    def wait(self) -> int:
        """Block until it has ended, and return the exit code; for a process that was killed a moment ago."""


class Listener(Protocol):
    """A place where peers can connect."""

    @property
    def address(self) -> RpcAddress:
        """Where it is, with the port that the system chose."""

    def close(self) -> None:
        """Accept no more; connections that exist go on."""


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

    async def run_detached(self, function: Callable[[], T]) -> T:
        """Run a function that may block for ever, in a thread that no end of a loop or process awaits."""

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        """Run a function in a thread of its own that does not keep the interpreter alive."""

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connect a protocol to an address; raises OSError."""

    async def listen(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: ssl.SSLContext | None = None
    ) -> Listener:
        """Accept connections at an address, port 0 for any; raises OSError."""

    def host_towards(self, address: RpcAddress) -> str:
        """Return the address of this host that one reaches from there; raises OSError."""

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
        output: tuple[int, int] | None = None,
    ) -> ChildProcess:
        """Start a process in a session of its own, with stdin from /dev/null.

        Args:
            argv: the program and its arguments.
            environment: all of its environment.
            pass_fds: open in it under the same numbers.
            directory: where it runs; None: where this process does.
            output: what its stdout and stderr are; None: those of this process.
        """

    async def child_ended(self, child: ChildProcess) -> None:
        """Wait until a process has ended. It is not waited for yet, so its id is still nobody else's."""


class SystemClock:
    """The real clock."""

    monotonic = staticmethod(time.monotonic)  # bare: it is read for every message

    wall = staticmethod(time.time)


class SystemListener:
    """A server of the event loop."""

    def __init__(self, server: asyncio.AbstractServer, address: RpcAddress) -> None:
        self.server = server
        self.address = address

    def close(self) -> None:
        """Accept no more; a Unix socket's path is removed."""
        self.server.close()
        if self.address.is_unix:
            Path(self.address.host).unlink(missing_ok=True)


def remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on any more; one that somebody does stays, and bind fails."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)


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

    async def run_detached(self, function: Callable[[], T]) -> T:
        """Run a function in a daemon thread of its own; the loop's default executor is joined when the loop ends."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                deliver: Callable[[], None] = partial(conclude, outcome, result=function())
            except BaseException as error:  # noqa: BLE001 - raised again by who awaits
                deliver = partial(conclude, outcome, error=error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody awaits
                loop.call_soon_threadsafe(deliver)

        self.start_thread(run, name="minispark-detached")
        return await outcome

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        """Start a daemon thread."""
        threading.Thread(target=function, args=args, name=name, daemon=True).start()

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connect a protocol to an address over TCP or a Unix socket."""
        loop = asyncio.get_running_loop()
        if address.is_unix:
            await loop.create_unix_connection(protocol, address.host)
        else:
            await loop.create_connection(protocol, address.host, address.port, ssl=tls)

    async def listen(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: ssl.SSLContext | None = None
    ) -> Listener:
        """Accept connections on a TCP port, or on a Unix socket that only this user may open."""
        loop = asyncio.get_running_loop()
        if not address.is_unix:
            server = await loop.create_server(
                protocol, address.host, address.port, ssl=tls, backlog=1024,
                ssl_handshake_timeout=TLS_HANDSHAKE_S if tls else None,
            )  # fmt: skip
            return SystemListener(server, RpcAddress(address.host, server.sockets[0].getsockname()[1]))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            remove_stale(address.host)
            sock.bind(address.host)
            os.chmod(address.host, 0o600)  # before it listens: nobody else gets in between
            server = await loop.create_unix_server(protocol, sock=sock, backlog=1024)
        except BaseException:
            sock.close()
            raise
        return SystemListener(server, address)

    def host_towards(self, address: RpcAddress) -> str:
        """Ask the routing table: a datagram socket that is connected sends nothing, but knows where it is."""
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])

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
        output: tuple[int, int] | None = None,
    ) -> ChildProcess:
        """Start a process in a session of its own, with stdin from /dev/null."""
        stdout, stderr = output or (None, None)
        child: subprocess.Popen[Any] = subprocess.Popen(
            list(argv), env=dict(environment), pass_fds=tuple(pass_fds), cwd=directory,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        return child

    async def child_ended(self, child: ChildProcess) -> None:
        """Wait until a process has ended, on the loop itself: a thread for each child would be many."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        pidfd = os.pidfd_open(child.pid)
        try:
            loop.add_reader(pidfd, settle, ended)
            await ended
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def conclude(outcome: asyncio.Future[Any], result: object = None, error: BaseException | None = None) -> None:
    """Hand over what a thread came to, if somebody still awaits it."""
    if outcome.done():
        return
    if error is None:
        outcome.set_result(result)
    elif isinstance(error, StopIteration):  # futures refuse it, and whoever awaits this one would do so for ever
        outcome.set_exception(RuntimeError("a function raised StopIteration outside of an iterator"))
    else:
        outcome.set_exception(error)


def settle(ended: asyncio.Future[None]) -> None:
    """Tell that something has happened, once."""
    if not ended.done():
        ended.set_result(None)
