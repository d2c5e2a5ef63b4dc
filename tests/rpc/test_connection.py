"""Connections on real sockets, of asyncio and uvloop: TCP, Unix, TLS, sendfile, and a peer that dies."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from minispark.conf import SparkConf
from minispark.errors import RpcError
from minispark.rpc.bulk import CHUNK, BulkChannel
from minispark.rpc.connection import is_loopback
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import SystemWorld
from tests.rpc.peers import SECRET, Note, Parcel, Probe, Question, Silence

TLS = Path(__file__).parent / "tls"

Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@contextlib.asynccontextmanager
async def pair(host: str = "127.0.0.1", **tls: ssl.SSLContext) -> AsyncIterator[tuple[RpcEnv, RpcEnv, Probe]]:
    server = RpcEnv("server", SystemWorld(), SparkConf(), secret=SECRET, server_tls=tls.get("server"))
    client = RpcEnv("client", SystemWorld(), SparkConf(), secret=SECRET, client_tls=tls.get("client"))
    probe = Probe()
    try:
        await server.listen(host)
        server.setup_endpoint("probe", probe)
        yield server, client, probe
    finally:
        await client.close()
        await server.close()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server and a client need of TLS."""
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server_tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    client_tls.load_verify_locations(TLS / "certificate.pem")
    return server_tls, client_tls


def address_of(env: RpcEnv) -> RpcAddress:
    assert env.address is not None
    return env.address


@pytest.mark.cluster
@LOOPS
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.scenario("RPC-001", "send remotely")
@pytest.mark.scenario("RPC-002", "ask remotely")
def test_asks_sends_and_large_attachments_over_a_real_socket(run: Run, kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with pair("127.0.0.1" if kind == "tcp" else str(tmp_path / "socket")) as (server, client, probe):
            ref = await client.lookup(address_of(server), "probe")
            for number in range(1000):
                ref.send(Note(str(number)))
            answers = await asyncio.gather(*(ref.ask(Question(f"q{number}")) for number in range(200)))
            assert [answer.text for answer in answers] == [f"Q{number}" for number in range(200)]
            data = os.urandom(5_000_000)
            assert await ref.ask(Parcel(data)) == Note("5000000")
            assert bytes(probe.messages[-1].data) == data
            assert [message.text for message in probe.messages[:1000]] == [str(number) for number in range(1000)]

    run(main())


@pytest.mark.cluster
@LOOPS
def test_tls_takes_the_place_of_seals(run: Run) -> None:
    server_tls, client_tls = contexts()

    async def main() -> None:
        async with pair(server=server_tls, client=client_tls) as (server, client, _):
            ref = client.bind("probe", address_of(server))
            assert await ref.ask(Parcel(b"x" * 3_000_000)) == Note("3000000")
            (connection,) = server.network.connections
            assert connection.transport.get_extra_info("ssl_object") is not None
            assert not connection.sealed

    run(main())


@pytest.mark.cluster
@pytest.mark.parametrize("side", ["server", "client"])
def test_one_side_with_tls_and_one_without_do_not_come_together_and_say_why(side: str) -> None:
    server_tls, client_tls = contexts()
    tls: dict[str, Any] = {"server": server_tls} if side == "server" else {"client": client_tls}

    async def main() -> None:
        async with pair(**tls) as (server, client, _):
            with pytest.raises(RpcError, match=r"in the handshake: does only one side use TLS \(minispark.ssl"):
                await client.bind("probe", address_of(server)).ask(Question("?"))

    asyncio.run(main())


@pytest.mark.cluster
@LOOPS
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_file_goes_out_by_sendfile_whole_to_a_slow_reader(run: Run, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(os.urandom(20 * CHUNK + 11))

    async def send(channel: BulkChannel) -> None:
        assert channel.out_fd is not None
        with path.open("rb") as file:
            await channel.send_file(file.fileno(), 11, 20 * CHUNK)
            await channel.end(20 * CHUNK)

    async def main() -> None:
        async with pair("127.0.0.1" if kind == "tcp" else str(tmp_path / "socket")) as (server, client, _):
            server.bulk.serve("send", send)
            pieces = []
            async with await client.bulk.open(address_of(server), "send") as channel:
                async for piece in channel.receive_data():
                    pieces.append(bytes(piece))
                    await asyncio.sleep(0.001)
            assert b"".join(pieces) == path.read_bytes()[11:]

    run(main())


@pytest.mark.cluster
@LOOPS
def test_a_stream_over_tls_arrives_whole(run: Run) -> None:
    data = os.urandom(3 * CHUNK + 11)

    async def send(channel: BulkChannel) -> None:
        for end in (1, len(data)):
            await channel.send_data(data[:end])
            await channel.end(end)

    async def main() -> None:
        server_tls, client_tls = contexts()
        async with asyncio.timeout(60), pair(server=server_tls, client=client_tls) as (server, client, _):
            server.bulk.serve("send", send)
            async with await client.bulk.open(address_of(server), "send") as channel:
                for end in (1, len(data)):
                    assert b"".join([bytes(piece) async for piece in channel.receive_data()]) == data[:end]

    run(main())


@pytest.mark.cluster
@LOOPS
def test_a_sender_learns_that_its_receiver_went_away(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(bytes(64 * CHUNK))
    ended: asyncio.Queue[BaseException]

    async def send(channel: BulkChannel) -> None:
        try:
            with path.open("rb") as file:
                await channel.send_file(file.fileno(), 0, 64 * CHUNK)
        except RpcError as error:
            ended.put_nowait(error)

    async def main() -> None:
        nonlocal ended
        ended = asyncio.Queue()
        async with pair() as (server, client, _):
            server.bulk.serve("send", send)
            channel = await client.bulk.open(address_of(server), "send")
            await channel.receive()
            channel.connection.transport.abort()
            assert "ended" in str(await asyncio.wait_for(ended.get(), 60))

    run(main())


@pytest.mark.cluster
@LOOPS
@pytest.mark.scenario("RPC-009")
def test_a_port_in_use_gives_way_to_the_next_on_a_real_host(run: Run) -> None:
    async def main() -> None:
        async with pair() as (server, client, _):
            taken = address_of(server)
            assert (await client.listen("127.0.0.1", taken.port)).port > taken.port

    run(main())


@pytest.mark.cluster
@LOOPS
def test_a_peer_that_closes_fails_the_open_asks_at_once(run: Run) -> None:
    async def main() -> None:
        async with pair() as (server, client, _):
            future = client.bind("probe", address_of(server)).ask(Silence())
            await client.bind("probe", address_of(server)).ask(Question("connected"))
            await server.close()
            with pytest.raises(RpcError, match=r"connection .* ended"):
                await asyncio.wait_for(future, 60)

    run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the socket that nobody could close
def test_a_connection_that_outlives_its_loop_makes_no_noise() -> None:
    unraised: list[object] = []
    loop = asyncio.new_event_loop()

    async def main(listener: socket.socket) -> tuple[asyncio.Task[object], socket.socket]:
        env = RpcEnv("client", SystemWorld(), SparkConf(), secret=SECRET)
        connecting = loop.create_task(env.network.connect(RpcAddress(*listener.getsockname()), "control"))
        peer, _ = await loop.sock_accept(listener)
        await loop.sock_recv(peer, 1)  # the handshake has begun
        return connecting, peer

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", unraised.append)
        listener.setblocking(False)
        connecting, peer = loop.run_until_complete(main(listener))
        loop.close()
        peer.close()
        del connecting
        gc.collect()
    assert unraised == []


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False), ("::", False), ("fe80::1%lo", False), ("127.example.com", False), ("localhost", False),
    ],
)  # fmt: skip
def test_only_numeric_loopback_addresses_are_private(host: str, private: bool) -> None:
    assert is_loopback(host) is private
