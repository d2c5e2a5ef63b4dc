"""Refs of endpoints in other envs, over the network in memory."""

import logging

import pytest

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcError, RpcTimeout
from minispark.rpc.logic.address import RpcAddress
from tests.rpc.peers import (
    Introduction,
    Note,
    Parcel,
    Peers,
    Probe,
    Question,
    Silence,
    Trouble,
    settle,
    with_peers,
)


@pytest.mark.scenario("RPC-001", "send remotely")
def test_messages_sent_remotely_arrive_in_order() -> None:
    async def scenario(peers: Peers) -> None:
        for text in "abc":
            peers.ref.send(Note(text))
        await settle()
        assert peers.probe.messages == [Note("a"), Note("b"), Note("c")]

    with_peers(scenario)


@pytest.mark.scenario("RPC-002", "ask remotely")
@pytest.mark.scenario("RPC-007", "reply remote")
def test_a_remote_ask_gets_its_reply() -> None:
    async def scenario(peers: Peers) -> None:
        assert await peers.ref.ask(Question("hello")) == Note("HELLO")
        assert not peers.client.asks.open
        assert not peers.client.network.outboxes[peers.address].asks

    with_peers(scenario)


@pytest.mark.scenario("RPC-001", "send an endpoint ref inside a message and use it")
def test_a_ref_in_a_message_reaches_the_endpoint_of_an_env_that_does_not_listen() -> None:
    async def scenario(peers: Peers) -> None:
        mine = Probe()
        peers.ref.send(Introduction(peers.client.setup_endpoint("mine", mine)))
        await settle()
        received = peers.probe.messages[0].ref
        assert received.address is None
        assert await received.ask(Question("who")) == Note("WHO")
        received.send(Note("over your own connection"))
        await settle()
        assert mine.messages[-1] == Note("over your own connection")

    with_peers(scenario)


@pytest.mark.scenario("RPC-001", "send an endpoint ref inside a message and use it")
def test_a_ref_in_a_message_reaches_the_endpoint_of_an_env_that_listens() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        await third.listen("127.0.0.1", 7078)
        ref = third.setup_endpoint("mine", Probe())
        peers.ref.send(Introduction(ref))
        await settle()
        received = peers.probe.messages[0].ref
        assert received == ref
        assert await received.ask(Question("who")) == Note("WHO")

    with_peers(scenario)


@pytest.mark.scenario("RPC-002", "ask timeout")
@pytest.mark.scenario("RPC-012", "message names the controlling key")
def test_a_remote_ask_without_a_reply_times_out_naming_endpoint_address_message_and_key() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcTimeout) as caught:
            await peers.ref.ask(Silence())
        for part in ("probe@minispark://127.0.0.1:7077", "Silence", "7 s", "minispark.rpc.askTimeout"):
            assert part in str(caught.value)
        assert peers.client.loop.time() == pytest.approx(7)

    with_peers(scenario, rpc__askTimeout="7s")


def test_a_callers_own_timeout_is_named_as_such() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcTimeout, match=r"within 0.5 s \(the caller's timeout\)"):
            await peers.ref.ask(Silence(), 0.5)

    with_peers(scenario)


@pytest.mark.scenario("RPC-002", "ask abort (future fails with the given error, late reply dropped)")
def test_an_aborted_ask_fails_with_the_given_error_and_its_late_reply_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(peers: Peers) -> None:
        peers.probe.on = lambda probe, message, context: None
        ask = peers.client.asks
        future = peers.ref.ask(Question("?"))
        await settle()
        (opened,) = ask.open.values()
        opened.abort(RuntimeError("changed my mind"))
        with pytest.raises(RuntimeError, match="changed my mind"):
            await future
        peers.probe.contexts[0].reply(Note("too late"))
        await settle()
        assert not ask.open

    with caplog.at_level(logging.DEBUG, "minispark.rpc"):
        with_peers(scenario)
    assert "late reply" in caplog.text


def test_cancelling_the_future_forgets_the_request() -> None:
    async def scenario(peers: Peers) -> None:
        future = peers.ref.ask(Silence())
        await settle()
        future.cancel()
        assert not peers.client.asks.open
        assert not peers.client.network.outboxes[peers.address].asks

    with_peers(scenario)


@pytest.mark.scenario("RPC-007", "error reply remote")
def test_an_error_in_a_remote_handler_fails_the_ask() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcError, match="KeyError: 'no such thing'"):
            await peers.ref.ask(Trouble())
        assert isinstance(peers.probe.errors[0], KeyError)

    with_peers(scenario)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.scenario("RPC-007", "unserialisable error replaced")
def test_a_reply_or_error_that_cannot_travel_is_replaced_by_one_that_can() -> None:
    async def scenario(peers: Peers) -> None:
        peers.probe.on = lambda probe, message, context: context.reply(Note(object()))  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="Note cannot be encoded"):
            await peers.ref.ask(Question("?"))
        peers.probe.on = lambda probe, message, context: context.send_failure(Unprintable())
        with pytest.raises(RpcError, match="Unprintable: <its text cannot be shown: ValueError>"):
            await peers.ref.ask(Question("?"))

    with_peers(scenario)


def test_a_remote_error_of_the_rpc_layer_keeps_its_type() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcEndpointNotFound, match=r"no endpoint 'nobody' at minispark://127.0.0.1:7077"):
            await peers.client.bind("nobody", peers.address).ask(Question("?"))

    with_peers(scenario)


def test_a_message_that_cannot_be_encoded_or_is_too_large_is_refused_at_the_sender() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(ProtocolError, match=r"Note cannot be encoded: \$\.text"):
            peers.ref.send(Note(object()))  # type: ignore[arg-type]
        await peers.ref.ask(Question("connect first"))
        with pytest.raises(ProtocolError, match=r"over minispark.rpc.message.maxSize = 65536"):
            await peers.ref.ask(Parcel(b"x" * 70_000))
        assert await peers.ref.ask(Question("still there")) == Note("STILL THERE")

    with_peers(scenario, rpc__message__maxSize="64k")


@pytest.mark.scenario("RPN-005")
def test_an_ask_to_an_env_without_address_times_out_naming_where_it_connected_from() -> None:
    async def scenario(peers: Peers) -> None:
        peers.ref.send(Introduction(peers.client.setup_endpoint("mine", Probe())))
        await settle()
        (connection,) = peers.server.network.connections
        received = peers.probe.messages[0].ref
        with pytest.raises(RpcTimeout) as caught:
            await received.ask(Silence(), 3.0)
        assert "mine@client at 127.0.0.1:" in str(caught.value)
        assert connection.peer_socket.host_port in str(caught.value)

    with_peers(scenario)


def test_a_ref_without_address_is_an_error_when_its_connection_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peers: Peers) -> None:
        peers.ref.send(Introduction(peers.client.setup_endpoint("mine", Probe())))
        await settle()
        received = peers.probe.messages[0].ref
        peers.network.cut()
        await settle()
        with pytest.raises(RpcError, match="does not listen and its connection is gone"):
            await received.ask(Question("?"))
        received.send(Note("dropped"))

    with_peers(scenario)
    assert "Note to mine" in caplog.text


def test_an_ask_to_a_dead_peer_fails_at_once() -> None:
    async def scenario(peers: Peers) -> None:
        nobody = peers.client.bind("probe", RpcAddress("127.0.0.1", 9))
        with pytest.raises(RpcError, match=r"cannot connect to minispark://127.0.0.1:9"):
            await nobody.ask(Question("?"))
        assert peers.client.loop.time() == 0

    with_peers(scenario)


def test_an_ask_fails_as_soon_as_the_connection_ends() -> None:
    async def scenario(peers: Peers) -> None:
        future = peers.ref.ask(Silence())
        await settle()
        peers.network.cut(ConnectionResetError("reset"))
        with pytest.raises(RpcError, match=r"probe@.* to Silence: the connection .* ended: reset"):
            await future
        assert peers.client.loop.time() == 0

    with_peers(scenario)


def test_after_a_lost_connection_the_next_message_makes_a_new_one() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("one"))
        peers.network.cut()
        await settle()
        assert await peers.ref.ask(Question("two")) == Note("TWO")

    with_peers(scenario)


@pytest.mark.parametrize("size", [0, 4096, 4097, 100_000, 1 << 20, 3 << 20])
def test_attachments_of_any_size_arrive_whole(size: int) -> None:
    async def scenario(peers: Peers) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        first, second = memoryview(data)[:size], bytearray(data[: size // 2])
        assert await peers.ref.ask(Parcel(first, (second, b""))) == Note(str(size))
        received = peers.probe.messages[0]
        assert (bytes(received.data), bytes(received.parts[0])) == (bytes(first), bytes(second))

    with_peers(scenario)


def test_the_sender_is_the_address_its_env_listens_on() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("from a client"))
        third = peers.env("third")
        address = await third.listen("127.0.0.1", 7078)
        await third.bind("probe", peers.address).ask(Question("from a server"))
        third.bind("probe", peers.address).send(Note("one way"))
        await settle()
        assert [context.sender for context in peers.probe.contexts] == [None, address, address]

    with_peers(scenario)
