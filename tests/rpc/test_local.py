"""Delivery within an env: sending, asking, replying, and what goes wrong."""

import pytest

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcError, RpcTimeout
from minispark.rpc.endpoint import CallContext
from minispark.rpc.env import RpcEnv
from minispark.rpc.message import Message
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
    with_env,
    with_peers,
)  # fmt: skip


@pytest.mark.scenario("RPC-001", "send locally")
@pytest.mark.scenario("RPN-006", "post one-way")
def test_messages_sent_locally_arrive_in_order() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        for text in "abc":
            ref.send(Note(text))
        await settle()
        assert probe.messages == [Note("a"), Note("b"), Note("c")]
        assert not probe.contexts[0].is_ask

    with_env(scenario)


@pytest.mark.scenario("RPC-002", "ask locally")
@pytest.mark.scenario("RPC-007", "reply local")
@pytest.mark.scenario("RPN-006", "post with reply")
def test_a_local_ask_gets_its_reply() -> None:
    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe())
        assert await ref.ask(Question("hello")) == Note("HELLO")
        assert not env.asks.open

    with_env(scenario)


@pytest.mark.scenario("RPC-007", "error reply local")
@pytest.mark.parametrize("loopback", [True, False])
def test_an_error_in_a_handler_fails_the_local_ask_and_goes_to_on_error(loopback: bool) -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        with pytest.raises(RpcError, match="KeyError: 'no such thing'"):
            await ref.ask(Trouble())
        assert isinstance(probe.errors[0], KeyError)

    with_env(scenario, rpc__loopbackEncode=loopback)


def test_an_endpoint_may_answer_later_and_with_a_failure() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe(lambda probe, message, context: None)
        ref = env.setup_endpoint("probe", probe)
        first, second = ref.ask(Question("a")), ref.ask(Question("b"))
        await settle()
        probe.contexts[1].reply(Note("second"))
        probe.contexts[0].send_failure(RpcEndpointNotFound("lost it"))
        assert await second == Note("second")
        with pytest.raises(RpcEndpointNotFound, match="lost it"):
            await first

    with_env(scenario)


@pytest.mark.scenario("RPC-002", "ask timeout")
def test_a_local_ask_that_nobody_answers_times_out() -> None:
    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe())
        with pytest.raises(
            RpcTimeout, match=r"probe.* to Silence within 120 s.*controlled by minispark.rpc.askTimeout"
        ):
            await ref.ask(Silence())
        assert env.loop.time() == 120

    with_env(scenario)


def test_a_reply_of_the_wrong_type_fails_the_ask() -> None:
    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe(lambda probe, message, context: context.reply(Silence())))
        with pytest.raises(ProtocolError, match="replied to Question with a Silence, not a Note"):
            await ref.ask(Question("?"))

    with_env(scenario)


@pytest.mark.scenario("RPC-007", "unserialisable error replaced")
def test_a_reply_that_cannot_be_encoded_fails_the_ask_with_the_reason() -> None:
    async def scenario(env: RpcEnv) -> None:
        bad = Note(object())  # type: ignore[arg-type]
        ref = env.setup_endpoint("probe", Probe(lambda probe, message, context: context.reply(bad)))
        with pytest.raises(ProtocolError, match=r"Note cannot be encoded: \$\.text must be a str"):
            await ref.ask(Question("?"))

    with_env(scenario)


def test_with_loopback_encoding_a_malformed_message_is_refused_where_it_is_sent() -> None:
    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe())
        with pytest.raises(ProtocolError, match=r"malformed Note: \$\.text must be a str, not int 5"):
            ref.send(Note(5))  # type: ignore[arg-type]
        with pytest.raises(ProtocolError):
            await ref.ask(Question(5))  # type: ignore[arg-type]

    with_env(scenario)


def test_without_loopback_encoding_the_message_itself_is_delivered() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        note = Note("x")
        env.setup_endpoint("probe", probe).send(note)
        await settle()
        assert probe.messages[0] is note

    with_env(scenario, rpc__loopbackEncode=False)


def test_large_attachments_arrive_locally_as_a_copy() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        data = bytearray(b"x" * 100_000)
        assert await env.setup_endpoint("probe", probe).ask(Parcel(data)) == Note("100000")
        data[:] = b"y" * 100_000
        assert bytes(probe.messages[0].data) == b"x" * 100_000

    with_env(scenario)


def test_a_message_to_a_stopped_endpoint_is_dropped_and_an_ask_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        env.stop(ref)
        ref.send(Note("late"))
        with pytest.raises(RpcEndpointNotFound, match="'probe'"):
            await ref.ask(Question("late"))
        assert probe.messages == []

    with_env(scenario)
    assert "Note dropped: there is no endpoint 'probe'" in caplog.text


def test_a_ref_reaches_the_endpoint_that_took_the_name_over() -> None:
    async def scenario(env: RpcEnv) -> None:
        old = env.setup_endpoint("probe", Probe())
        env.stop(old)
        env.setup_endpoint("probe", Probe())
        assert await old.ask(Question("again")) == Note("AGAIN")

    with_env(scenario)


def test_refs_are_equal_by_name_and_address() -> None:
    async def scenario(peers: Peers) -> None:
        own = peers.server.endpoint_ref("probe")
        assert own == peers.ref
        assert hash(own) == hash(peers.ref)
        assert own != peers.client.bind("probe", None)
        assert own != peers.client.bind("other", peers.address)
        assert repr(own) == "probe@minispark://127.0.0.1:7077"

    with_peers(scenario)


def test_a_local_ref_in_a_message_comes_back_as_itself() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        ref.send(Introduction(ref))
        await settle()
        assert await probe.messages[0].ref.ask(Question("me")) == Note("ME")

    with_env(scenario)


def test_replying_to_a_one_way_message_does_nothing() -> None:
    def answer(probe: Probe, message: Message, context: CallContext) -> None:
        context.reply(Note("unasked"))
        context.send_failure(ValueError("unasked"))

    async def scenario(env: RpcEnv) -> None:
        probe = Probe(answer)
        env.setup_endpoint("probe", probe).send(Note("x"))
        await settle()
        assert probe.contexts[0].sender is None
        assert not probe.errors

    with_env(scenario)
