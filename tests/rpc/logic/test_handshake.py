"""The handshake: agreement, and every disagreement and lie."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.logic.handshake import Answerer, Dialler, Hello, Identity, Proof, Refused, Welcome

SECRET = b"a secret of the application"


def hello(name: str, **changes: Any) -> Hello:
    identity = Identity("0.1.0", "3.11", "siphash13/64", ("msgpack", "lz4"), name)
    made = identity.hello("control", "", None, sealed=False, nonce=name[0].encode() * 32)
    return dataclasses.replace(made, **changes)


def run(dialler: Dialler, answerer: Answerer) -> tuple[Any, Any]:
    welcome, _ = answerer.received(dialler.first)
    proof, client = dialler.received(welcome)
    _, server = answerer.received(proof)
    return client, server


def test_two_that_know_the_secret_agree_and_know_each_other() -> None:
    client, server = run(Dialler(hello("driver"), SECRET), Answerer(hello("executor"), {"": SECRET}))

    assert (client.peer.name, server.peer.name) == ("executor", "driver")
    assert client.sending is client.receiving is server.sending is server.receiving is None


@pytest.mark.parametrize(("near", "far"), [(True, False), (False, True), (True, True)])
def test_frames_are_sealed_if_either_side_wants_it_with_a_key_for_each_direction(near: bool, far: bool) -> None:
    client, server = run(
        Dialler(hello("driver", sealed=near), SECRET), Answerer(hello("executor", sealed=far), {"": SECRET})
    )

    up = client.sending.make([b"x"])
    server.receiving.check(memoryview(up), memoryview(b"x"))
    down = server.sending.make([b"x"])
    client.receiving.check(memoryview(down), memoryview(b"x"))
    assert up != down


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"protocol": 2}, "protocol 1 in 'executor' but 2 in 'driver'"),
        ({"minispark": "0.2.0"}, "minispark 0.1.0 in 'executor' but 0.2.0 in 'driver'"),
        ({"python": "3.12"}, "Python 3.11 in 'executor' but 3.12 in 'driver'"),
        ({"hash_info": "fnv/32"}, "sys.hash_info siphash13/64 in 'executor' but fnv/32 in 'driver'"),
        ({"codecs": ("msgpack",)}, "codecs msgpack, lz4 in 'executor' but msgpack in 'driver'"),
        ({"nonce": b"short"}, "a nonce of 32 bytes is needed"),
        ({"nonce": b"e" * 32}, "the nonce is my own"),
        ({"realm": "elsewhere"}, "it knows no realm 'elsewhere'"),
    ],
)
def test_a_mismatch_is_refused_naming_both_sides(change: dict[str, Any], complaint: str) -> None:
    dialler = Dialler(hello("driver", **change), SECRET)
    with pytest.raises(ProtocolError, match=complaint):
        Answerer(hello("executor"), {"": SECRET}).received(dialler.first)


def test_the_dialler_checks_versions_too() -> None:
    dialler = Dialler(hello("driver"), SECRET)
    welcome = encode(Welcome(encode(hello("executor", python="3.13"))[0], b"x" * 32))[0]
    with pytest.raises(ProtocolError, match=r"Python 3\.11 in 'driver' but 3\.13 in 'executor'"):
        dialler.received(welcome)


def test_the_dialler_refuses_a_listener_that_does_not_know_the_secret() -> None:
    dialler = Dialler(hello("driver"), SECRET)
    welcome, _ = Answerer(hello("executor"), {"": b"another secret"}).received(dialler.first)
    with pytest.raises(ProtocolError, match="'executor' does not know the secret"):
        dialler.received(welcome)


def test_the_listener_refuses_a_dialler_that_does_not_know_the_secret() -> None:
    answerer = Answerer(hello("executor"), {"": SECRET})
    answerer.received(Dialler(hello("driver"), b"").first)
    with pytest.raises(ProtocolError, match="'driver' does not know the secret"):
        answerer.received(encode(Proof(b"x" * 32))[0])


def test_a_dialler_whose_realm_goes_during_the_handshake_is_refused() -> None:
    secrets = {"": SECRET}
    dialler, answerer = Dialler(hello("near"), SECRET), Answerer(hello("far"), secrets)
    welcome, _ = answerer.received(dialler.first)
    proof, _ = dialler.received(welcome)
    secrets.clear()

    with pytest.raises(ProtocolError, match="'far' refuses 'near': it knows no realm ''"):
        answerer.received(proof)


def test_a_proof_cannot_be_sent_back_as_ones_own() -> None:
    answerer = Answerer(hello("executor"), {"": SECRET})
    welcome, _ = answerer.received(Dialler(hello("driver"), b"").first)
    with pytest.raises(ProtocolError, match="does not know the secret"):
        answerer.received(encode(Proof(decode(welcome).proof))[0])


def test_a_wish_for_seals_cannot_be_taken_out_on_the_way() -> None:
    dialler = Dialler(hello("driver", sealed=True), SECRET)
    answerer = Answerer(hello("executor"), {"": SECRET})
    changed = encode(dataclasses.replace(decode(dialler.first), sealed=False))[0]
    welcome, _ = answerer.received(changed)
    with pytest.raises(ProtocolError, match="does not know the secret"):
        dialler.received(welcome)


def test_a_refusal_tells_its_reason() -> None:
    with pytest.raises(ProtocolError, match="refused by the peer: not today"):
        Dialler(hello("driver"), SECRET).received(encode(Refused("not today"))[0])


@pytest.mark.parametrize("field", ["python", "minispark", "hash_info", "name", "realm"])
def test_what_a_stranger_says_of_itself_can_be_no_line_of_a_log_and_not_much_of_one(field: str) -> None:
    text = "3.11\n2026-11-22 05:00:00.000 INFO the master is at evil:7077" + "x" * 8000
    changes: dict[str, Any] = {field: text}
    dialler = Dialler(dataclasses.replace(hello("driver"), **changes), b"another secret")
    answerer = Answerer(hello("executor"), {"": SECRET})

    with pytest.raises(ProtocolError) as caught:
        answerer.received(dialler.first)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_nor_can_the_reason_of_a_refusal() -> None:
    with pytest.raises(ProtocolError) as caught:
        Dialler(hello("driver"), SECRET).received(encode(Refused("no\n" + "x" * 8000))[0])

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_message_out_of_turn_is_refused() -> None:
    with pytest.raises(ProtocolError, match="Proof came in the handshake where Hello was due"):
        Answerer(hello("executor"), {"": SECRET}).received(encode(Proof(b""))[0])


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_a_protocol_error(body: bytes) -> None:
    for side in (Answerer(hello("executor"), {"": SECRET}), Dialler(hello("driver"), SECRET)):
        with pytest.raises(ProtocolError):
            side.received(body)
