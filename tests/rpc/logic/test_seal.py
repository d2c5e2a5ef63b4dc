"""Seals: what was changed, made up, repeated or taken out is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.seal import BlakeSeal, keyed_digest

KEY = b"k" * 32


def check(seal: BlakeSeal, mark: bytes, content: bytes) -> None:
    seal.check(memoryview(mark), memoryview(content))


@given(st.lists(st.lists(st.binary(max_size=20), max_size=3), max_size=5))
def test_frames_in_order_pass(frames: list[list[bytes]]) -> None:
    sender, receiver = BlakeSeal(KEY), BlakeSeal(KEY)

    for parts in frames:
        check(receiver, sender.make(parts), b"".join(parts))


@given(st.integers(0, 10**6))
def test_a_changed_bit_is_refused(place: int) -> None:
    mark, content = BlakeSeal(KEY).make([b"pay 5"]), b"pay 5"
    both = bytearray(mark + content)
    both[place % len(both)] ^= 1 << place % 8

    with pytest.raises(ProtocolError, match="tag is wrong"):
        check(BlakeSeal(KEY), bytes(both[: len(mark)]), bytes(both[len(mark) :]))


def test_a_frame_of_another_key_is_refused() -> None:
    with pytest.raises(ProtocolError, match="tag is wrong"):
        check(BlakeSeal(b"o" * 32), BlakeSeal(KEY).make([b"x"]), b"x")


def test_a_repeated_or_missing_frame_is_refused() -> None:
    sender, receiver = BlakeSeal(KEY), BlakeSeal(KEY)
    first, _, third = sender.make([b"1"]), sender.make([b"2"]), sender.make([b"3"])
    check(receiver, first, b"1")

    with pytest.raises(ProtocolError, match="frame 0 came in place of frame 1"):
        check(receiver, first, b"1")
    with pytest.raises(ProtocolError, match="frame 2 came in place of frame 1"):
        check(receiver, third, b"3")


def test_a_digest_depends_on_secret_purpose_and_the_borders_of_its_parts() -> None:
    digests = {
        keyed_digest(b"s", b"p", b"ab", b"c"), keyed_digest(b"s", b"p", b"a", b"bc"),
        keyed_digest(b"t", b"p", b"ab", b"c"),
        keyed_digest(b"s", b"q", b"ab", b"c"), keyed_digest(b"x" * 65, b"p", b"ab", b"c"),
    }  # fmt: skip

    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {32}
