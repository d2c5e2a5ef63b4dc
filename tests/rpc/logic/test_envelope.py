"""Envelopes there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.codec import from_wire, packer
from minispark.rpc.logic.envelope import (
    ASK,
    FAILURE,
    ONE_WAY,
    REPLY,
    Envelope,
    Packed,
    open_envelope,
    pack_ask,
    pack_failure,
    pack_one_way,
    pack_reply,
)
from minispark.rpc.logic.handshake import Hello
from tests.rpc.peers import Note, Parcel, Peers, Question, with_peers


@pytest.mark.parametrize(
    ("packed", "kind", "endpoint", "ask_id"),
    [
        (pack_one_way("Executor", Note("x")), ONE_WAY, "Executor", 0),
        (pack_ask("Executor", Note("x"), 7), ASK, "Executor", 7),
        (pack_reply(7, Note("x")), REPLY, "", 7),
    ],
)
def test_an_envelope_comes_back_with_its_message(packed: Packed, kind: int, endpoint: str, ask_id: int) -> None:
    envelope = open_envelope(packed[0])

    assert (envelope.kind, envelope.endpoint, envelope.ask_id) == (kind, endpoint, ask_id)
    assert from_wire(envelope.wire, packed[1]) == Note("x")


def test_a_failure_comes_back_with_its_type_and_text() -> None:
    assert open_envelope(pack_failure(7, "ValueError", "bad")[0])[2:] == (7, None, ("ValueError", "bad"))
    assert open_envelope(pack_failure(7, "E", "\ud800")[0]).failure == ("E", "\ud800")
    assert open_envelope(pack_failure(7, "E", "")[0]).kind == FAILURE


def test_large_attachments_stay_beside_the_envelope() -> None:
    data = b"x" * 100_000
    body, attachments = pack_one_way("e", Parcel(data))

    assert len(body) < 100
    assert attachments == [data]


@pytest.mark.parametrize("address", [None, RpcAddress("node", 7077)])
def test_the_senders_address_travels_in_the_hello_of_its_connection(address: RpcAddress | None) -> None:
    made = Hello(1, "", "", "", (), "control", "driver", "", address, False, b"")

    assert from_wire([Hello.TAG, *made_fields(made)], []) == made


def made_fields(hello: Hello) -> list[object]:
    address = None if hello.address is None else [hello.address.host, hello.address.port]
    return [1, "", "", "", [], "control", "driver", "", address, False, b""]


@pytest.mark.scenario("RPN-003", "with null sender")
def test_a_request_of_an_env_without_address_arrives_without_one() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("x"))
        assert peers.probe.messages == [Question("x")]
        assert peers.probe.contexts[0].sender is None

    with_peers(scenario)


@pytest.mark.scenario("RPN-003", "with non-null sender")
def test_a_request_of_an_env_that_listens_arrives_with_its_address() -> None:
    async def scenario(peers: Peers) -> None:
        address = await peers.client.listen("127.0.0.1", 7078)
        await peers.ref.ask(Question("x"))
        assert peers.probe.messages == [Question("x")]
        assert peers.probe.contexts[0].sender == address

    with_peers(scenario)


@pytest.mark.parametrize(
    "wire",
    [[], 5, None, {}, [0], [0, "e"], [0, 5, []], [1, "e", []], [1, "e", [], "7"], [True, "e", []], [2, "7", []],
     [3, 7, "E"], [3, 7, "E", 5], [4, "e", []], [0, "e", [], 1, 2]],
)  # fmt: skip
def test_anything_else_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError, match="not an envelope"):
        open_envelope(packer.pack(wire))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_envelope_or_a_protocol_error(body: bytes) -> None:
    try:
        opened = open_envelope(body)
    except ProtocolError:
        return
    assert isinstance(opened, Envelope)
