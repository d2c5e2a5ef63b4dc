"""The network of simulated hosts: a delay for each pair of hosts, links that are cut and healed, hosts that die.

Made by `simulation`; `sim_world.SimWorld` connects and listens here. Bytes of one connection arrive in order; those
of different connections may overtake each other. What is written over a cut link waits until it is healed, as TCP
waits, and the connection fails if that takes too long.
"""

import asyncio
import errno
import random
from collections.abc import Callable
from typing import Any

from minispark.rpc.logic.address import RpcAddress
from minispark.testing.memory_network import MemoryListener, MemoryNetwork, MemoryTransport
from minispark.testing.sim_loop import SimLoop, SimProcess

__all__ = ["GIVE_UP_S", "SimNetwork", "SimTransport"]

GIVE_UP_S = 924.0
"""For how long TCP sends again what nobody acknowledges (`net.ipv4.tcp_retries2` = 15)."""

TICK_S = 1e-7


class SimNetwork(MemoryNetwork):
    """Hosts and what is between them.

    Args:
        loop: whose processes talk.
        rng: of the delays.
        delay_s: of bytes between two hosts, at least.
        jitter_s: how much more that may be, each time anew.

    Attributes:
        cuts: pairs of hosts, sorted, between which nothing passes.
        dead: hosts that are switched off: nobody hears of it.
        slow: what comes on top of the delay of a pair of hosts, seconds.
        ends: both ends of every connection, in the order in which they were made.
    """

    def __init__(self, loop: SimLoop, rng: random.Random, delay_s: float = 0.0005, jitter_s: float = 0.0) -> None:
        super().__init__(delay_s)
        self.loop = loop
        self.rng = rng
        self.jitter_s = jitter_s
        self.cuts: dict[tuple[str, str], None] = {}
        self.dead: dict[str, None] = {}
        self.slow: dict[tuple[str, str], float] = {}
        self.ends: dict[SimTransport, None] = {}

    def is_cut(self, one: str, other: str) -> bool:
        """Tell whether nothing passes between two hosts."""
        return pair(one, other) in self.cuts or one in self.dead or other in self.dead

    def delay(self, one: str, other: str) -> float:
        """Draw how long bytes travel now."""
        if one == other:
            return TICK_S
        base = self.delay_s + self.slow.get(pair(one, other), 0.0) if self.slow else self.delay_s
        return base + self.rng.random() * self.jitter_s if self.jitter_s else base

    def cut_link(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts."""
        self.cuts[pair(one, other)] = None

    def heal_link(self, one: str, other: str) -> None:
        """Let bytes pass again; those that wait travel now."""
        self.cuts.pop(pair(one, other), None)
        self.flush()

    def isolate(self, group: list[str], others: list[str]) -> None:
        """Cut all links between two groups of hosts."""
        for one in group:
            for other in others:
                self.cut_link(one, other)

    def heal(self) -> None:
        """Heal all links."""
        self.cuts.clear()
        self.flush()

    def flush(self) -> None:
        """Send what waited for links that are whole now."""
        for transport in list(self.ends):
            transport.flush()

    def connect_as(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, host: str, process: SimProcess
    ) -> None:
        """Connect a protocol of a process; the other side notices a moment later.

        Raises:
            ConnectionRefusedError: nobody listens there.
        """
        listener = self.listeners.get(address)
        if listener is None or not isinstance(listener, SimListener):
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on {address}")
        here = (host, next(self.ports))
        client = protocol()
        near = SimTransport(self, client, here, (address.host, address.port), process)
        far = SimTransport(self, None, (address.host, address.port), here, listener.process)
        near.peer, far.peer = far, near
        self.ends[near] = self.ends[far] = None
        near.deliver(far.accepted, listener.protocol)
        client.connection_made(near)

    def listen_as(
        self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, process: SimProcess
    ) -> "SimListener":
        """Accept connections for a process."""
        if address.port == 0:
            address = RpcAddress(address.host, next(self.ports))
        if address in self.listeners:
            raise OSError(errno.EADDRINUSE, "address already in use")
        listener = self.listeners[address] = SimListener(self, protocol, address)
        listener.process = process
        process.on_end.append(lambda code: listener.close())
        return listener

    def process_ended(self, process: SimProcess) -> None:
        """Have the peers of a process that has ended notice, as the kernel tells them; not if its host is dead."""
        for transport in [end for end in self.ends if end.process is process]:
            transport.vanish()


class SimListener(MemoryListener):
    """A place where peers connect to a process."""

    process: SimProcess


class SimTransport(MemoryTransport):
    """One end of a connection between processes.

    Attributes:
        process: whose end it is.
        waiting: what a cut link holds up: functions of the other end with what they are called with.
    """

    network: SimNetwork
    peer: "SimTransport"

    def __init__(
        self,
        network: SimNetwork,
        protocol: Any,
        own: tuple[str, int],
        other: tuple[str, int],
        process: SimProcess,
    ) -> None:
        super().__init__(network, protocol, own, other)
        self.sim = network.loop
        self.process = process
        self.own_host, self.other_host = own[0], other[0]
        self.waiting: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.last_s = 0.0
        self.patience: asyncio.TimerHandle | None = None

    def deliver(self, action: Callable[..., object], *args: Any) -> None:
        """Have the other end do something when it has travelled, after all that was sent before."""
        network = self.network
        may_be_cut = self.waiting or network.cuts or network.dead
        if may_be_cut and (self.waiting or network.is_cut(self.own_host, self.other_host)):
            self.waiting.append((action, args))
            if self.patience is None:
                self.patience = self.sim.call_at_as(None, self.sim.now + GIVE_UP_S, self.give_up)
            return
        when = max(self.last_s + TICK_S, self.sim.now + network.delay(self.own_host, self.other_host))
        self.last_s = when
        if self.peer.process.is_alive:
            self.sim.call_at_as(self.peer.process, when, action, *args)
        else:  # its host, which is there again, knows of no such connection
            reset = ConnectionResetError(errno.ECONNRESET, "connection reset by peer")
            self.sim.call_at_as(self.process, when, self.gone, reset)

    def flush(self) -> None:
        """Send what waited, if the link is whole."""
        if self.waiting and not self.network.is_cut(self.own_host, self.other_host):
            if self.patience is not None:
                self.patience.cancel()
                self.patience = None
            waiting, self.waiting = self.waiting, []
            for action, args in waiting:
                self.deliver(action, *args)
            self.forget()

    def give_up(self) -> None:
        """Fail, because nothing is acknowledged."""
        self.patience = None
        self.waiting.clear()
        self.sim.call_as(self.process, self.gone, TimeoutError(errno.ETIMEDOUT, "the peer acknowledges nothing"))

    def accepted(self, protocol: Callable[[], Any]) -> None:
        """Begin to serve a connection that a peer has made."""
        if self.process.is_alive:
            self.protocol = protocol()
            self.protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if not self.closing:
            self.deliver(self.peer.arrived, bytes(data))

    def arrived(self, data: bytes) -> None:
        """Take bytes; one who has closed says so."""
        if self.lost:
            self.deliver(self.peer.gone, ConnectionResetError(errno.ECONNRESET, "connection reset by peer"))
        else:
            self.arrive(data)

    def gone(self, error: Exception | None) -> None:
        """Notice the end of the connection, as the process whose end it is."""
        if self.lost:
            return
        self.lost = self.closing = True
        self.forget()
        if self.protocol is not None:
            self.protocol.connection_lost(error)

    def lose(self, error: Exception | None) -> None:
        """End the connection from this side."""
        if self.lost:
            return
        self.lost = self.closing = True
        if self.protocol is not None:
            self.sim.call_as(self.process, self.protocol.connection_lost, error)
        self.deliver(self.peer.gone, error)
        self.forget()

    def close(self) -> None:
        """Write what waits, then end the connection."""
        self.lose(None)

    def vanish(self) -> None:
        """End with the process; the other end hears of it, if this host can still say so."""
        if not self.lost:
            self.lost = self.closing = True
            if self.own_host not in self.network.dead:
                self.deliver(self.peer.gone, ConnectionResetError(errno.ECONNRESET, "connection reset by peer"))
        if self.own_host in self.network.dead:
            self.waiting.clear()  # its kernel does not send it any more, either
        self.forget()

    def forget(self) -> None:
        """Let the network forget both ends once both have ended and nothing waits."""
        if self.lost and not self.waiting:
            self.network.ends.pop(self, None)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the link."""
        return sum(len(args[0]) for _, args in self.waiting if args and isinstance(args[0], bytes))

    def pause_reading(self) -> None:
        """Take no note: what is on its way arrives."""

    def resume_reading(self) -> None:
        """Nothing was held up."""


def pair(one: str, other: str) -> tuple[str, str]:
    """Return two hosts in order."""
    return (one, other) if one < other else (other, one)
