"""The codec's own errors; the wire of every message is in tests/rpc/logic/test_codec_wire.py."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import MAX_ITEMS, build, decode, encode, reply_types
from minispark.rpc.message import Ask, Message, message
from tests.rpc.peers import Note, Parcel, Question

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.sampled_from([31000, 31001, 31003, 32000, 32010]), st.lists(VALUES, max_size=12))
def test_any_values_are_a_message_or_a_protocol_error(tag: int, fields: list[Any]) -> None:
    try:
        made = decode(msgpack.packb([tag, *fields]))
    except ProtocolError:
        return
    assert isinstance(made, Message)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_protocol_error(body: bytes) -> None:
    try:
        made = decode(body)
    except ProtocolError:
        return
    assert isinstance(made, Message)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not a msgpack body of 0 bytes"),
        (b"\x93\x01", "not a msgpack body of 2 bytes"),
        (msgpack.packb([31000, "x"]) + b"\x00", "not a msgpack body"),
        (b"\x91" * 2000, "not a msgpack body"),
        (b"\xdd" + (MAX_ITEMS + 1).to_bytes(4, "big") + bytes(MAX_ITEMS + 1), f"exceeds max_array_len.{MAX_ITEMS}"),
        (b"\xdf" + (MAX_ITEMS + 1).to_bytes(4, "big") + bytes(2 * MAX_ITEMS), f"exceeds max_map_len.{MAX_ITEMS}"),
        (b"\xdd\x00\x00\xff\xff", "exceeds max_array_len.5"),
        (b"\xdf\x00\x00\xff\xff", "exceeds max_map_len.2"),
        (msgpack.packb(["Note", "x"]), "no message is known by a str in place of the tag"),
        (msgpack.packb({}), "no message is known by a NoneType in place of the tag"),
        (msgpack.packb([31999]), "no message is known by tag 31999; do both sides run the same version"),
        (msgpack.packb([True, 1]), "a bool in place of the tag"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(body: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        decode(body)


def test_the_body_may_be_any_bytes_like_object() -> None:
    body, _ = encode(Note("x"))

    assert decode(memoryview(body)) == decode(bytearray(body)) == Note("x")


def test_a_class_that_was_not_declared_cannot_be_encoded() -> None:
    class Stray(Message):
        pass

    with pytest.raises(ProtocolError, match="Stray cannot be encoded: it is not declared with @message"):
        encode(Stray())


def test_a_subclass_of_a_message_is_not_the_message() -> None:
    class Longer(Note):
        pass

    with pytest.raises(ProtocolError, match="Longer cannot be encoded"):
        encode(Longer("x"))


def test_a_field_that_cannot_travel_is_named_when_the_codec_is_built() -> None:
    @message(31200)
    class Wrong(Message):
        callback: object

    with pytest.raises(TypeError, match=r"Wrong\.callback: values of type <class 'object'> cannot travel"):
        build(Wrong)


def test_a_check_of_the_class_itself_is_a_malformed_message() -> None:
    @message(31201)
    class Positive(Message):
        number: int

        def __post_init__(self) -> None:
            if self.number < 1:
                raise ValueError("number must be positive")

    body, _ = encode(Positive(1))
    with pytest.raises(ProtocolError, match="malformed Positive: number must be positive"):
        decode(body.replace(b"\x01", b"\x00"))


def test_a_request_names_the_types_of_its_reply() -> None:
    @message(31202)
    class Either(Ask[Note | Question]):
        pass

    assert reply_types(Question) == (Note,)
    assert reply_types(Either) == (Note, Question)
    assert reply_types(Note) == ()


def test_the_body_of_a_message_with_large_attachments_is_small() -> None:
    body, attachments = encode(Parcel(b"x" * 10**6, (b"y" * 10**5, b"z")))

    assert len(body) < 20
    assert [len(attachment) for attachment in attachments] == [10**6, 10**5]
