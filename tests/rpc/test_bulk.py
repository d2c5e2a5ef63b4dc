"""Bulk channels, in memory; over real sockets with sendfile see test_connection.py."""

import asyncio
import os
from pathlib import Path

import pytest

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcError
from minispark.rpc.bulk import CHUNK, BulkChannel, BulkData, BulkEnd
from tests.rpc.peers import Note, Peers, Question, settle, with_peers


async def echo(channel: BulkChannel) -> None:
    """Send back whatever comes, in upper case."""
    while True:
        message = await channel.receive()
        await channel.send(Note(message.text.upper()))


async def stream(channel: BulkChannel) -> None:
    """Send as many bytes as are asked for."""
    size = int((await channel.receive()).text)
    data = bytes(range(256)) * (size // 256 + 1)
    await channel.send_data(memoryview(data)[:size])
    await channel.end(size)


def test_a_channel_carries_messages_both_ways() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("echo", echo)
        async with await peers.client.bulk.open(peers.address, "echo") as channel:
            for text in "abc":
                await channel.send(Note(text))
                assert await channel.receive() == Note(text.upper())
        await settle()
        assert not peers.server.network.connections
        assert not peers.server.scope.children

    with_peers(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("size", [0, 1, 5000, CHUNK, 3 * CHUNK + 7])
def test_a_stream_of_any_size_arrives_whole(host: str, size: int) -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("stream", stream)
        async with await peers.client.bulk.open(peers.address, "stream") as channel:
            await channel.send(Note(str(size)))
            received = b"".join([bytes(piece) async for piece in channel.receive_data()])
        assert len(received) == size
        assert received == (bytes(range(256)) * (size // 256 + 1))[:size]

    with_peers(scenario, host=host)


def test_a_slow_receiver_stops_the_sender_and_nothing_piles_up() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("stream", stream)
        async with await peers.client.bulk.open(peers.address, "stream") as channel:
            await channel.send(Note(str(40 * CHUNK)))
            await asyncio.sleep(10)
            assert channel.queued <= 6 * CHUNK
            waiting = sum(transport.get_write_buffer_size() for transport in peers.network.transports)
            assert waiting <= 2 * CHUNK
            total = sum([len(piece) async for piece in channel.receive_data()])
        assert total == 40 * CHUNK

    with_peers(scenario)


def test_heartbeats_do_not_wait_behind_a_stream() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("stream", stream)
        async with await peers.client.bulk.open(peers.address, "stream") as channel:
            await channel.send(Note(str(40 * CHUNK)))
            await settle()
            assert await peers.ref.ask(Question("heartbeat"), 1.0) == Note("HEARTBEAT")

    with_peers(scenario)


def test_bulk_connections_are_not_announced_to_endpoints() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("echo", echo)
        async with await peers.client.bulk.open(peers.address, "echo"):
            await settle()
        await settle()
        assert peers.probe.named("connected", "disconnected") == []

    with_peers(scenario)


def test_an_error_of_the_handler_is_told_to_the_peer() -> None:
    async def broken(channel: BulkChannel) -> None:
        await channel.send(BulkData(b"a beginning"))
        raise ValueError("disk on fire")

    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("broken", broken)
        async with await peers.client.bulk.open(peers.address, "broken") as channel:
            with pytest.raises(RpcError, match="ValueError: disk on fire"):
                _ = [piece async for piece in channel.receive_data()]

    with_peers(scenario)


def test_a_stream_that_ends_early_is_an_error() -> None:
    async def short(channel: BulkChannel) -> None:
        await channel.send(BulkData(b"abc"))
        await channel.send(BulkEnd(4))

    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("short", short)
        async with await peers.client.bulk.open(peers.address, "short") as channel:
            with pytest.raises(ProtocolError, match="not complete: 3 bytes"):
                _ = [piece async for piece in channel.receive_data()]

    with_peers(scenario)


def test_an_unknown_service_is_an_error() -> None:
    async def scenario(peers: Peers) -> None:
        async with await peers.client.bulk.open(peers.address, "nothing") as channel:
            with pytest.raises(RpcEndpointNotFound, match=r"no bulk service for .*nothing"):
                await channel.receive()

    with_peers(scenario)


def test_a_service_has_one_handler() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("echo", echo)
        with pytest.raises(ValueError, match="already a bulk service 'echo'"):
            peers.server.bulk.serve("echo", echo)

    with_peers(scenario)


def test_whoever_waits_on_a_channel_learns_that_it_is_cut() -> None:
    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("stream", stream)
        channel = await peers.client.bulk.open(peers.address, "stream")
        receiving = asyncio.get_running_loop().create_task(channel.receive())
        await settle()
        peers.network.cut(ConnectionResetError("reset"))
        with pytest.raises(RpcError, match=r"bulk connection .* ended: reset"):
            await receiving
        with pytest.raises(RpcError, match="ended"):
            await channel.send(Note("x"))

    with_peers(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
def test_a_range_of_a_file_is_sent(host: str, tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(os.urandom(2 * CHUNK + 100))

    async def send(channel: BulkChannel) -> None:
        with path.open("rb") as file:
            await channel.send_file(file.fileno(), 10, 2 * CHUNK)
            await channel.end(2 * CHUNK)

    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("send", send)
        async with await peers.client.bulk.open(peers.address, "send") as channel:
            received = b"".join([bytes(piece) async for piece in channel.receive_data()])
        assert received == path.read_bytes()[10 : 10 + 2 * CHUNK]

    with_peers(scenario, host=host)


def test_a_file_that_is_too_short_breaks_the_stream_off(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(b"short")

    async def send(channel: BulkChannel) -> None:
        with path.open("rb") as file:
            await channel.send_file(file.fileno(), 0, 100)

    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve("send", send)
        async with await peers.client.bulk.open(peers.address, "send") as channel:
            with pytest.raises(RpcError, match="ended"):
                _ = [piece async for piece in channel.receive_data()]

    with_peers(scenario)
