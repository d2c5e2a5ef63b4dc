"""A network in memory: connections between envs of one virtual loop, which a test can cut or hold up.

`VirtualWorld(network=…)` connects and listens here. Bytes arrive in order, in a later turn of the loop or after the
network's delay; nothing is lost but by `cut`.
"""

import asyncio
import errno
import itertools
from collections.abc import Callable
from typing import Any

from minispark.rpc.logic.address import RpcAddress

__all__ = ["MemoryListener", "MemoryNetwork", "MemoryTransport"]

HIGH_WATER = 64 * 1024


class MemoryNetwork:
    """Hosts, ports and connections.

    Attributes:
        delay_s: how long bytes travel.
        transports: both ends of every connection, in the order in which they were made.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.listeners: dict[RpcAddress, MemoryListener] = {}
        self.transports: list[MemoryTransport] = []
        self.ports = itertools.count(40_000)

    def listen(self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress) -> "MemoryListener":
        """Accept connections at an address; a port in use is an OSError, as it is of a kernel."""
        if not address.is_unix and address.port == 0:
            address = RpcAddress(address.host, next(self.ports))
        if address in self.listeners:
            raise OSError(errno.EADDRINUSE, "address already in use")
        listener = self.listeners[address] = MemoryListener(self, protocol, address)
        return listener

    def connect(self, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress, host: str) -> None:
        """Connect a protocol of a host to an address."""
        listener = self.listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on {address}")
        here = (host, next(self.ports))
        client, server = protocol(), listener.protocol()
        near = MemoryTransport(self, client, here, (address.host, address.port))
        far = MemoryTransport(self, server, (address.host, address.port), here)
        near.peer, far.peer = far, near
        self.transports += [near, far]
        server.connection_made(far)
        client.connection_made(near)

    def cut(self, error: Exception | None = None) -> None:
        """End all connections; both ends see the error."""
        for transport in self.transports:
            transport.lose(error)
        self.transports.clear()


class MemoryListener:
    """A place where peers connect."""

    def __init__(
        self, network: MemoryNetwork, protocol: Callable[[], asyncio.BaseProtocol], address: RpcAddress
    ) -> None:
        self.network = network
        self.protocol = protocol
        self.address = address

    def close(self) -> None:
        """Accept no more."""
        self.network.listeners.pop(self.address, None)


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory, of a BufferedProtocol.

    Attributes:
        stalled: when True, what is written to it waits, as for a peer that does not read.
        tamper: if set, changes the bytes on their way.
    """

    def __init__(self, network: MemoryNetwork, protocol: Any, own: tuple[str, int], other: tuple[str, int]) -> None:
        super().__init__({"sockname": own, "peername": other})
        self.network = network
        self.protocol = protocol
        self.loop = asyncio.get_running_loop()
        self.peer: MemoryTransport
        self.closing = False
        self.lost = False
        self.high_water = HIGH_WATER
        self.outgoing = bytearray()
        self.full = False
        self.reading = True
        self.stalled = False
        self.tamper: Callable[[bytes], bytes] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if self.closing:
            return
        self.outgoing += data
        if len(self.outgoing) > self.high_water and not self.full:
            self.full = True
            self.protocol.pause_writing()
        self.loop.call_later(self.network.delay_s, self.move)

    def move(self) -> None:
        """Hand what was written to the peer, if it reads."""
        if self.lost or self.stalled or not self.peer.reading or self.peer.lost:
            return
        data, self.outgoing = bytes(self.outgoing), bytearray()
        if self.tamper is not None:
            data = self.tamper(data)
        self.peer.arrive(data)
        if self.full:
            self.full = False
            self.protocol.resume_writing()
        if self.closing and not self.outgoing:
            self.lose(None)

    def arrive(self, data: bytes) -> None:
        """Give the protocol its bytes."""
        start, size = 0, len(data)
        while start < size and not self.lost:
            buffer = self.protocol.get_buffer(size - start)
            count = min(len(buffer), size - start)
            buffer[:count] = data[start : start + count]
            start += count
            self.protocol.buffer_updated(count)

    def lose(self, error: Exception | None) -> None:
        """End this side now and the other as soon as it notices."""
        if self.lost:
            return
        self.lost = self.closing = True
        self.loop.call_soon(self.protocol.connection_lost, error)
        self.loop.call_later(self.network.delay_s, self.peer.lose, error)

    def is_closing(self) -> bool:
        """Tell whether it is closed or being closed."""
        return self.closing

    def close(self) -> None:
        """Write what waits, then end the connection."""
        if not self.closing:
            self.closing = True
            if not self.outgoing:
                self.lose(None)

    def abort(self) -> None:
        """End the connection now."""
        self.lose(None)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the peer has not read."""
        return len(self.outgoing)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many bytes may wait before the protocol is told."""
        self.high_water = HIGH_WATER if high is None else high

    def pause_reading(self) -> None:
        """Take no more bytes from the peer."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take bytes again."""
        self.reading = True
        self.loop.call_soon(self.peer.move)
