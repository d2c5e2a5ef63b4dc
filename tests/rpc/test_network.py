"""Connections as endpoints see them, and what the env does with bytes that are wrong."""

import asyncio
import struct

import pytest

from minispark.errors import ProtocolError, RpcError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.codec import packer
from minispark.rpc.logic.frames import encode_frame
from minispark.testing.memory_network import MemoryTransport
from tests.rpc.peers import Note, Parcel, Peers, Probe, Question, Silence, settle, with_peers


@pytest.mark.scenario("RPC-008", "server ↔ client")
@pytest.mark.scenario("RPN-008", "first message from a peer announces connection")
def test_a_server_sees_a_client_connect_and_disconnect() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        (connection,) = peers.server.network.connections
        assert peers.probe.named("connected") == [("connected", connection.peer_socket)]
        await peers.client.close()
        await settle()
        assert peers.probe.named("disconnected", "error") == [("disconnected", connection.peer_socket)]

    with_peers(scenario)


@pytest.mark.scenario("RPC-008", "server ↔ server")
@pytest.mark.scenario("RPN-008", "connection end announces both client address and its server address")
def test_a_server_sees_another_server_under_both_its_addresses() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        address = await third.listen("127.0.0.1", 7078)
        await third.bind("probe", peers.address).ask(Question("hello"))
        (connection,) = peers.server.network.connections
        both = [connection.peer_socket, address]
        assert [event[1] for event in peers.probe.named("connected")] == both
        await third.close()
        await settle()
        assert [event[1] for event in peers.probe.named("disconnected")] == both

    with_peers(scenario)


def test_a_peer_that_has_connected_again_is_not_lost_when_its_old_connection_ends() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        address = await third.listen("127.0.0.1", 7078)
        await third.bind("probe", peers.address).ask(Question("hello"))
        (old,) = peers.server.network.connections
        third.network.outboxes.clear()  # as when its end of the connection was lost, and this end was not told
        await third.bind("probe", peers.address).ask(Question("again"))
        old.break_off(ConnectionResetError("at last"))
        await settle()
        assert {event[1] for event in peers.probe.named("disconnected", "error")} == {old.peer_socket}
        await third.close()
        await settle()
        assert peers.probe.named("disconnected")[-1] == ("disconnected", address)

    with_peers(scenario)


def test_an_older_connection_that_is_still_open_does_not_speak_for_a_peer() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        address = await third.listen("127.0.0.1", 7078)
        await third.bind("probe", peers.address).ask(Question("hello"))
        third.network.outboxes.clear()  # as when its end of the connection was lost, and this end was not told
        await third.bind("probe", peers.address).ask(Question("again"))
        third.setup_endpoint("probe", Probe())
        await peers.server.bind("probe", address).ask(Question("and you?"))
        _, young, dialled = peers.server.network.connections
        for connection in (dialled, young):
            peers.probe.events.clear()
            connection.break_off(ConnectionResetError("switched off"))
            await settle()
            assert ("disconnected", address) in peers.probe.events

    with_peers(scenario)


@pytest.mark.scenario("RPC-008", "client ↔ server")
def test_a_client_sees_the_server_connect_disconnect_and_fail() -> None:
    async def scenario(peers: Peers) -> None:
        mine = Probe()
        peers.client.setup_endpoint("mine", mine)
        await peers.ref.ask(Question("hello"))
        await settle()
        error = ConnectionResetError("reset")
        peers.network.cut(error)
        await settle()
        assert mine.named("connected", "error", "disconnected") == [
            ("connected", peers.address),
            ("error", peers.address, error),
            ("disconnected", peers.address),
        ]

    with_peers(scenario)


@pytest.mark.scenario("RPN-006", "connect / disconnect / error messages delivered to endpoint")
def test_every_endpoint_is_told_of_connections() -> None:
    async def scenario(peers: Peers) -> None:
        probes = [Probe(), Probe()]
        for number, probe in enumerate(probes):
            peers.server.setup_endpoint(f"extra-{number}", probe)
        await peers.ref.ask(Question("hello"))
        peers.network.cut(ConnectionResetError("reset"))
        await settle()
        kinds = ["start", "connected", "error", "disconnected"]
        assert [[event[0] for event in probe.events] for probe in probes] == [kinds, kinds]

    with_peers(scenario)


def test_a_connection_that_cannot_be_made_is_a_network_error() -> None:
    async def scenario(peers: Peers) -> None:
        mine = Probe()
        peers.client.setup_endpoint("mine", mine)
        nowhere = RpcAddress("127.0.0.1", 9)
        peers.client.bind("probe", nowhere).send(Note("x"))
        await settle()
        ((_, address, error),) = mine.named("error")
        assert address == nowhere
        assert "cannot connect" in str(error)

    with_peers(scenario)


@pytest.mark.scenario("RPC-010")
def test_shutting_an_env_down_does_not_tell_its_endpoints_of_disconnections() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        await peers.server.close()
        await settle()
        assert [event[0] for event in peers.probe.events] == ["start", "connected", "message", "stop"]

    with_peers(scenario)


def server_end(peers: Peers) -> MemoryTransport:
    """Return the server's end of the newest connection."""
    return peers.network.transports[-1]


def client_end(peers: Peers) -> MemoryTransport:
    return peers.network.transports[-2]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (packer.pack([0, "probe", [31000, 5]]), r"malformed Note: \$\.text must be a str, not int 5"),
        (packer.pack([0, "probe", [30999]]), "no message is known by tag 30999"),
        (packer.pack([0, "nobody", [31000, "x"]]), "there is no endpoint 'nobody'"),
        (packer.pack([9, "probe"]), "not an envelope"),
        (b"\xc1", "not a msgpack body"),
    ],
)
def test_a_malformed_message_is_refused_and_the_connection_survives(
    body: bytes, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        client_end(peers).write(b"".join(encode_frame(body)))
        assert await peers.ref.ask(Question("alive")) == Note("ALIVE")
        assert len(peers.server.network.connections) == 1

    with_peers(scenario)
    assert "a message of client at 127.0.0.1" in caplog.text
    assert complaint.replace("\\", "") in caplog.text.replace("\\", "")


def test_a_malformed_ask_is_answered_with_the_reason() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        ask = peers.client.asks.new(peers.ref, Question("?"), None)
        ask.line = peers.client.network.outboxes[peers.address]
        ask.line.asks.add(ask.ask_id)
        client_end(peers).write(b"".join(encode_frame(packer.pack([1, "probe", [31001, 7], ask.ask_id]))))
        with pytest.raises(ProtocolError, match=r"malformed Question: \$\.text must be a str, not int 7"):
            await ask

    with_peers(scenario)


def test_a_malformed_reply_fails_the_ask_and_the_connection_survives() -> None:
    async def scenario(peers: Peers) -> None:
        future = peers.ref.ask(Silence())
        await settle()
        (ask_id,) = peers.client.asks.open
        server_end(peers).write(b"".join(encode_frame(packer.pack([2, ask_id, [31000, 5]]))))
        with pytest.raises(ProtocolError, match=r"the reply of probe@.*malformed Note"):
            await future
        assert await peers.ref.ask(Question("alive")) == Note("ALIVE")

    with_peers(scenario)


def test_only_the_peer_that_was_asked_can_answer() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        await third.listen("127.0.0.1", 7078)
        third.setup_endpoint("probe", Probe())
        await peers.client.bind("probe", RpcAddress("127.0.0.1", 7078)).ask(Question("connect"))
        intruder = server_end(peers)
        future = peers.ref.ask(Silence(), 1.0)
        await settle()
        (ask_id,) = peers.client.asks.open
        intruder.write(b"".join(encode_frame(packer.pack([2, ask_id, [31000, "forged"]]))))
        with pytest.raises(TimeoutError):
            await future

    with_peers(scenario)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (struct.pack(">I", 1 << 31), "a frame of 2147483648 bytes is over the bound"),
        (struct.pack(">IHI", 6, 0, 5), "the length of the body does not fit"),
        (struct.pack(">IHII", 10, 1, 5, 5), "do not add up"),
        (struct.pack(">I", 1) + b"x", "shorter than its own table"),
    ],
)
def test_a_malformed_frame_ends_the_connection_with_an_error_naming_the_rule(raw: bytes, rule: str) -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        pending = peers.ref.ask(Silence())
        await settle()
        client_end(peers).write(raw)
        with pytest.raises(RpcError):
            await pending
        ((_, _, error),) = peers.probe.named("error")
        assert isinstance(error, ProtocolError)
        assert rule in str(error)

    with_peers(scenario)


def test_bytes_of_another_protocol_are_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peers: Peers) -> None:
        class Browser(asyncio.BufferedProtocol):
            lost = False

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport.write(b"GET / HTTP/1.1\r\n\r\n")  # type: ignore[attr-defined]

            def connection_lost(self, exc: Exception | None) -> None:
                self.lost = True

        browser = Browser()
        peers.network.connect(lambda: browser, peers.address, "127.0.0.1")
        await settle()
        assert browser.lost

    with_peers(scenario)
    assert "over the bound of 16384" in caplog.text


def test_a_peer_that_does_not_finish_its_handshake_is_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peers: Peers) -> None:
        peers.network.connect(asyncio.BufferedProtocol, peers.address, "127.0.0.1")
        await asyncio.sleep(11)
        assert not peers.server.network.connections
        assert not peers.server.network.strangers

    with_peers(scenario)
    assert "no handshake within 10 s" in caplog.text


def test_connecting_to_a_peer_that_says_nothing_ends_at_its_timeout() -> None:
    async def scenario(peers: Peers) -> None:
        silent = RpcAddress("127.0.0.1", 99)
        peers.network.listen(asyncio.BufferedProtocol, silent)
        with pytest.raises(
            RpcError, match=r"within 10 s; this timeout is controlled by minispark.rpc.connectTimeout"
        ):
            await peers.client.bind("probe", silent).ask(Question("?"))
        assert not peers.client.network.connections

    with_peers(scenario)


@pytest.mark.parametrize("size", [1000, 200_000])
def test_a_peer_that_does_not_read_is_given_up_at_the_bound_of_its_outbox(size: int) -> None:
    async def scenario(peers: Peers) -> None:
        mine = Probe()
        peers.client.setup_endpoint("mine", mine)
        await peers.ref.ask(Question("hello"))
        pending = peers.ref.ask(Silence())
        client_end(peers).stalled = True
        for _ in range(1_400_000 // size):
            peers.ref.send(Parcel(b"x" * size))
            await asyncio.sleep(0)
        with pytest.raises(
            RpcError, match=r"does not read: .* over minispark.rpc.outbox.maxSize = 1048576"
        ) as caught:
            await pending
        assert type(caught.value).__name__ == "OutboxOverflow"

    with_peers(scenario, rpc__outbox__maxSize="1m")


def test_an_outbox_that_fills_before_it_is_connected_gives_the_peer_up() -> None:
    async def scenario(peers: Peers) -> None:
        peers.network.delay_s = 1.0
        asks = [peers.ref.ask(Parcel(b"x" * 300_000)) for _ in range(5)]
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(result).__name__ for result in results} == {"OutboxOverflow"}
        assert await peers.ref.ask(Question("again")) == Note("AGAIN")

    with_peers(scenario, rpc__outbox__maxSize="1m")


def test_one_message_over_the_bound_of_the_outbox_still_goes_out() -> None:
    async def scenario(peers: Peers) -> None:
        assert await peers.ref.ask(Parcel(b"x" * 2_000_000)) == Note("2000000")

    with_peers(scenario, rpc__outbox__maxSize="1m")


def test_a_message_that_is_too_large_is_refused_before_the_connection_is_up_too() -> None:
    async def scenario(peers: Peers) -> None:
        peers.ref.send(Note("first"))
        with pytest.raises(ProtocolError, match=r"over minispark\.rpc\.message\.maxSize = 65536"):
            peers.ref.send(Parcel(b"x" * 70_000))
        assert await peers.ref.ask(Question("after it")) == Note("AFTER IT")

    with_peers(scenario, rpc__message__maxSize="64k")


def test_the_largest_message_with_the_most_attachments_fits_a_frame() -> None:
    async def scenario(peers: Peers) -> None:
        parts = (b"x" * 4097,) * 4096
        assert await peers.ref.ask(Parcel(b"", parts)) == Note("0")

    size = 4096 * 4097 + 20_000
    with_peers(scenario, host="10.0.0.1", rpc__message__maxSize=str(size))


def test_of_more_than_so_many_connections_without_a_handshake_the_oldest_is_turned_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minispark.rpc.network.MAX_HANDSHAKES", 3)

    async def scenario(peers: Peers) -> None:
        for _ in range(5):
            peers.network.connect(asyncio.BufferedProtocol, peers.address, "127.0.0.1")
        await settle()
        assert len(peers.server.network.connections) == len(peers.server.network.strangers) == 3
        assert await peers.ref.ask(Question("room still")) == Note("ROOM STILL")  # they do not lock others out

    with_peers(scenario)
    assert "more than 3 connections wait for their handshake" in caplog.text


def test_a_host_that_is_no_host_is_a_clear_error() -> None:
    async def scenario(peers: Peers) -> None:
        def fail(*_: object) -> None:
            raise UnicodeError("label empty or too long")

        peers.network.connect = fail  # type: ignore[method-assign, assignment]
        with pytest.raises(RpcError, match=r"cannot connect to minispark://\.bad\.:7: label empty"):
            await peers.client.bind("probe", RpcAddress(".bad.", 7)).ask(Question("?"))

    with_peers(scenario)


def test_messages_sent_while_connecting_arrive_in_order_after_it() -> None:
    async def scenario(peers: Peers) -> None:
        peers.network.delay_s = 0.1
        for number in range(5):
            peers.ref.send(Note(str(number)))
        await peers.ref.ask(Question("last"))
        assert [message.text for message in peers.probe.messages] == ["0", "1", "2", "3", "4", "last"]

    with_peers(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
def test_off_loopback_every_frame_is_sealed_and_on_loopback_none(host: str) -> None:
    async def scenario(peers: Peers) -> None:
        assert await peers.ref.ask(Parcel(b"x" * 500_000)) == Note("500000")
        sealed = {connection.sealed for env in peers.envs for connection in env.network.connections}
        assert sealed == {host != "127.0.0.1"}

    with_peers(scenario, host=host)


def test_a_bit_changed_on_the_way_ends_a_sealed_connection() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        client_end(peers).tamper = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        with pytest.raises(RpcError, match=r"connection .* ended"):
            await peers.ref.ask(Question("changed"))
        ((_, _, error),) = peers.probe.named("error")
        assert "a frame's tag is wrong" in str(error)
        assert Question("changed") not in peers.probe.messages

    with_peers(scenario, host="10.0.0.1")


def test_a_frame_said_twice_ends_a_sealed_connection() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("hello"))
        client_end(peers).tamper = lambda data: data + data
        peers.ref.send(Note("pay me"))
        await settle()
        ((_, _, error),) = peers.probe.named("error")
        assert "repeated or taken out" in str(error)
        assert peers.probe.messages.count(Note("pay me")) == 1

    with_peers(scenario, host="10.0.0.1")


def test_all_envs_of_a_loop_receive_into_the_same_memory_and_those_of_another_do_not() -> None:
    buffers = []

    async def scenario(peers: Peers) -> None:
        assert peers.client.network.buffer is peers.server.network.buffer
        buffers.append(peers.client.network.buffer)

    with_peers(scenario)
    with_peers(scenario)
    assert buffers[0] is not buffers[1]
