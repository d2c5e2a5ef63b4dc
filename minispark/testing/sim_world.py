"""What a simulated process knows of the world: its clock, its chance, its host's network and disk.

Made by `simulation` for each process. Clocks may differ from host to host; time passes equally for all.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import Listener
from minispark.testing.sim_disk import full_disk, same_but_guarded
from minispark.testing.sim_loop import SimProcess
from minispark.testing.sim_network import SimNetwork
from minispark.testing.virtual_loop import VirtualWorld

__all__ = ["SimHost", "SimWorld"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CONNECT_AGAIN_S = 1.0
HAS_ROOM = nullcontext()


@dataclass(slots=True, eq=False)
class SimHost:
    """A host.

    Attributes:
        name: by which peers reach it.
        clock_offset_s: how much its calendar is ahead.
        uptime_s: how long it ran before: no two monotonic clocks agree.
        directory: where its files are.
        disk_s: how long its disk takes for whatever is read or written off the loop.
        is_full: whether its disk takes nothing more of what processes write off the loop and tasks write.
    """

    name: str
    directory: str = ""
    clock_offset_s: float = 0.0
    uptime_s: float = 0.0
    disk_s: float = 0.0
    is_full: bool = False


class SimWorld(VirtualWorld):
    """The World of one process.

    Args:
        seed: of its chance; its name makes it differ from others'.
        network: connects it.
        host: where it runs.
        process: whose world it is.
    """

    network: SimNetwork

    def __init__(self, seed: int, network: SimNetwork, host: SimHost, process: SimProcess) -> None:
        super().__init__(0, network, host.name)
        self.rng = random.Random(f"{seed} {process.name}")
        self.place = host
        self.process = process

    def monotonic(self) -> float:
        """Return the seconds since this host was started."""
        return self.network.loop.now + self.place.uptime_s

    def call_later(self, delay_s: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """Run a callback after a virtual delay."""
        loop = self.network.loop
        return loop.call_at(loop.now + delay_s, callback, *args)

    def wall(self) -> float:
        """Return what this host takes for the time of day."""
        return super().wall() - self.place.uptime_s + self.place.clock_offset_s

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: object = None
    ) -> None:
        """Connect; while the link is cut this waits, as TCP does."""
        network = self.network
        while network.is_cut(self.host, address.host):
            await self.sleep(CONNECT_AGAIN_S)
        await self.sleep(2 * network.delay(self.host, address.host))
        network.connect_as(protocol, address, self.host, self.process)

    async def listen(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, tls: object = None
    ) -> Listener:
        """Listen on this host."""
        return self.network.listen_as(protocol, address, self.process)

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function when the disk has had its time."""
        if self.place.disk_s > 0.0:
            await self.sleep(self.place.disk_s)
        if not self.place.is_full:
            return function(*args)
        with self.disk():
            result: T = same_but_guarded(function)(*args)
            return result

    def disk(self) -> AbstractContextManager[None]:
        """Return what to put around code that writes to this host's disk."""
        return full_disk(self.place.directory) if self.place.is_full else HAS_ROOM
