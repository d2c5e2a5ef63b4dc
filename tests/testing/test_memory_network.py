"""The network in memory."""

import asyncio

import pytest

from minispark.rpc.logic.address import RpcAddress
from minispark.testing.memory_network import MemoryNetwork, MemoryTransport
from minispark.testing.virtual_loop import run_virtual

HERE = RpcAddress("127.0.0.1", 5)


class Keeper(asyncio.BufferedProtocol):
    """Keeps what it receives, through a buffer of four bytes."""

    transport: MemoryTransport

    def __init__(self) -> None:
        self.received = b""
        self.buffer = bytearray(4)
        self.events: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, MemoryTransport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.buffer[:nbytes]

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(exc)


def pair(network: MemoryNetwork) -> tuple[Keeper, Keeper]:
    near, far = Keeper(), Keeper()
    network.listen(lambda: far, HERE)
    network.connect(lambda: near, HERE, "127.0.0.1")
    return near, far


def test_bytes_arrive_in_order_after_the_networks_delay() -> None:
    async def main() -> None:
        near, far = pair(MemoryNetwork(delay_s=2.0))
        near.transport.write(b"hello ")
        near.transport.write(b"world")
        await asyncio.sleep(1)
        assert far.received == b""
        await asyncio.sleep(2)
        assert far.received == b"hello world"

    run_virtual(main())


def test_closing_writes_what_waits_and_both_sides_see_the_end() -> None:
    async def main() -> None:
        near, far = pair(MemoryNetwork())
        near.transport.write(b"last")
        near.transport.close()
        await asyncio.sleep(1)
        assert (far.received, near.events, far.events) == (b"last", [None], [None])

    run_virtual(main())


def test_a_reader_that_pauses_stops_the_writer() -> None:
    async def main() -> None:
        near, far = pair(MemoryNetwork())
        far.transport.pause_reading()
        near.transport.write(b"x" * 100_000)
        await asyncio.sleep(1)
        assert (near.events, far.received) == (["pause"], b"")
        far.transport.resume_reading()
        await asyncio.sleep(1)
        assert (near.events, len(far.received)) == (["pause", "resume"], 100_000)

    run_virtual(main())


def test_a_cut_ends_every_connection_with_its_error() -> None:
    async def main() -> None:
        network, error = MemoryNetwork(), OSError("cut")
        near, far = pair(network)
        network.cut(error)
        await asyncio.sleep(1)
        assert (near.events, far.events) == ([error], [error])

    run_virtual(main())


def test_ports_are_in_use_free_or_refused_as_a_kernels_are() -> None:
    network = MemoryNetwork()
    listener = network.listen(Keeper, HERE)
    with pytest.raises(OSError, match="in use"):
        network.listen(Keeper, HERE)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        network.connect(Keeper, HERE, "127.0.0.1")
    assert network.listen(Keeper, RpcAddress("h", 0)).address != network.listen(Keeper, RpcAddress("h", 0)).address
