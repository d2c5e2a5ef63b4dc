"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer.

Tests run coroutines on it with `run_virtual`; hours of heartbeats take milliseconds, and a wait that nothing can end
is reported as a deadlock at once. Nothing real may be waited for on it: no sockets, no threads, no processes.
"""

import asyncio
import random
import selectors
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import ChildProcess, Listener
from minispark.testing.memory_network import MemoryNetwork

__all__ = ["Deadlock", "VirtualLoop", "VirtualWorld", "run_virtual", "settle"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WALL_START_S = 1_700_000_000.0


class Deadlock(AssertionError):
    """Every task waits for something that nothing can bring about; the text lists the tasks."""


class JumpingSelector(selectors.DefaultSelector):
    """Never waits: moves the loop's clock instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, let the time pass that the loop would have waited."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock(self.loop.describe_tasks())
        self.loop.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is `now`, seconds from 0."""

    def __init__(self) -> None:
        selector = JumpingSelector()
        self.now = 0.0
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual time."""
        return self.now

    def describe_tasks(self) -> str:
        """Say what every task waits for."""
        lines = [f"  {task.get_name()}: {task.get_coro()} waits at {where(task)}" for task in asyncio.all_tasks(self)]
        return "\n".join(["nothing is ready and no timer is set; waiting:", *sorted(lines)])


def where(task: asyncio.Task[Any]) -> str:
    """Return file and line at which a task waits."""
    frames = task.get_stack(limit=1)
    return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "its end"


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh virtual loop and return its result.

    Raises:
        Deadlock: it waits for something that never comes.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def settle(turns: int = 20) -> None:
    """Let everything run that is ready, without moving the clock."""
    for _ in range(turns):
        await asyncio.sleep(0)


class VirtualWorld:
    """A World in virtual time, for components under test; chance and secrets come from the seed.

    `run_blocking` runs at once, on the loop; processes cannot be started.

    Args:
        seed: of chance; worlds with equal seeds draw equal nonces, so give peers different ones.
        network: where it connects and listens.
        host: what its connections come from; off 127.0.0.1 frames are sealed.
    """

    def __init__(self, seed: int = 0, network: MemoryNetwork | None = None, host: str = "127.0.0.1") -> None:
        self.rng = random.Random(seed)
        self.network = network or MemoryNetwork()
        self.host = host

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: object = None
    ) -> None:
        """Connect over the memory network."""
        await asyncio.sleep(self.network.delay_s)
        self.network.connect(protocol, address, self.host)

    async def listen(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: object = None
    ) -> Listener:
        """Listen on the memory network."""
        return self.network.listen(protocol, address)

    def monotonic(self) -> float:
        """Return the loop's virtual time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Return the virtual time as seconds since the epoch."""
        return WALL_START_S + self.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """Run a callback after a virtual delay."""
        return asyncio.get_running_loop().call_later(delay_s, callback, *args)

    async def sleep(self, delay_s: float) -> None:
        """Wait, virtually."""
        await asyncio.sleep(delay_s)

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function, here and now."""
        return function(*args)

    async def run_detached(self, function: Callable[[], T]) -> T:
        """Run a function, here and now."""
        return function()

    def host_towards(self, address: RpcAddress) -> str:
        """Return its host."""
        return self.host

    def secret_bytes(self, count: int) -> bytes:
        """Return bytes from the seed."""
        return self.rng.randbytes(count)

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        """Refuse: a thread would race the clock."""
        raise NotImplementedError("a VirtualWorld starts no threads")

    def socket_pair(self, kind: int) -> tuple[socket.socket, socket.socket]:
        """Refuse: real sockets would race the clock."""
        raise NotImplementedError("a VirtualWorld has no sockets")

    def spawn_process(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        directory: Path | None = None,
        output: tuple[int, int] | None = None,
    ) -> ChildProcess:
        """Refuse: there are no processes in virtual time."""
        raise NotImplementedError("a VirtualWorld starts no processes")

    async def child_ended(self, child: ChildProcess) -> None:
        """Refuse: there are no processes in virtual time."""
        raise NotImplementedError("a VirtualWorld has no processes")
