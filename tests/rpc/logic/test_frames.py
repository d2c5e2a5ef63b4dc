"""Framing: any frames through any cuts of the stream, and every broken one refused."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.frames import BUFFER_SIZE, FrameReader, encode_frame, frame_head
from minispark.rpc.logic.seal import BlakeSeal

KEY = b"k" * 32
FRAMES = st.lists(st.tuples(st.binary(max_size=50), st.lists(st.binary(max_size=90), max_size=4)), max_size=8)

Content = tuple[bytes, list[bytes]]


def joined(frames: list[Content], seal: BlakeSeal | None = None) -> bytes:
    return b"".join(bytes(part) for body, attachments in frames for part in encode_frame(body, attachments, seal))


def read_all(reader: FrameReader, pieces: list[bytes]) -> list[Content]:
    return [
        (bytes(frame.body), [bytes(attachment) for attachment in frame.attachments])
        for piece in pieces
        for frame in reader.feed(piece)
    ]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    return [
        stream[a:b] for a, b in pairwise([0, *sorted(place % (len(stream) + 1) for place in places), len(stream)])
    ]


@given(FRAMES, st.lists(st.integers(0, 5000), max_size=10), st.booleans())
def test_frames_survive_any_cutting_of_the_stream(frames: list[Content], places: list[int], sealed: bool) -> None:
    reader = FrameReader(10_000, bytearray(BUFFER_SIZE))
    if sealed:
        reader.seal = BlakeSeal(KEY)
    stream = joined(frames, BlakeSeal(KEY) if sealed else None)

    assert read_all(reader, cut(stream, places)) == frames
    assert reader.pending == 0


@settings(max_examples=30)
@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=5))
def test_large_frames_survive_any_cutting_of_the_stream(sizes: list[int], places: list[int]) -> None:
    frames = [(b"body %d" % size, [b"x" * size, b"y" * 10]) for size in sizes]

    assert read_all(FrameReader(10**6), cut(joined(frames), places)) == frames


def test_readers_may_share_their_buffer() -> None:
    buffer = bytearray(BUFFER_SIZE)
    first, second = FrameReader(1000, buffer), FrameReader(1000, buffer)
    one, two = joined([(b"one", [])]), joined([(b"two", [])])

    assert read_all(first, [one[:5]]) == read_all(second, [two[:6]]) == []
    assert read_all(first, [one[5:]]) == [(b"one", [])]
    assert read_all(second, [two[6:]]) == [(b"two", [])]


def framed(body: bytes, attachments: tuple[bytes, ...] = (), seal: BlakeSeal | None = None) -> bytes:
    return b"".join(encode_frame(body, attachments, seal))


def received(reader: FrameReader, data: bytes) -> memoryview | None:
    reader.get_buffer()[: len(data)] = data
    return reader.only(len(data))


def test_the_only_frame_is_given_without_more_ado() -> None:
    body = received(FrameReader(100), framed(b"body"))
    assert body is not None
    assert bytes(body) == b"body"


@pytest.mark.parametrize(
    "data",
    [framed(b"body") * 2, framed(b"body")[:-1], b"\0", framed(b"body", (b"a",)), framed(b"x" * 200),
     framed(b"body", (), BlakeSeal(b"k" * 32))],
)  # fmt: skip
def test_what_is_not_just_one_frame_is_left_to_the_other_way(data: bytes) -> None:
    assert received(FrameReader(100), data) is None


def test_the_rest_of_a_frame_or_a_sealed_one_is_not_taken_for_the_only_frame() -> None:
    frame = framed(b"body")
    waiting = FrameReader(100)
    assert list(waiting.feed(b"\0")) == []
    sealed = FrameReader(100)
    sealed.seal = BlakeSeal(b"k" * 32)
    assert waiting.only(len(frame)) is None
    assert received(sealed, frame) is None


def test_attachments_are_the_receivers_to_keep() -> None:
    reader = FrameReader(10**6)
    (small,) = reader.feed(joined([(b"", [b"a" * 100])]))
    (large,) = reader.feed(joined([(b"", [b"b" * 300_000])]))
    _ = list(reader.feed(joined([(b"", [b"c" * 100]), (b"", [b"d" * 300_000])])))

    assert bytes(small.attachments[0]) == b"a" * 100
    assert bytes(large.attachments[0]) == b"b" * 300_000
    assert memoryview(large.attachments[0]).readonly


def test_frames_not_taken_at_once_are_taken_later() -> None:
    reader = FrameReader(1000)
    stream = joined([(b"one", []), (b"two", [])])

    assert bytes(next(reader.feed(stream)).body) == b"one"
    assert read_all(reader, [joined([(b"three", [])])]) == [(b"two", []), (b"three", [])]


def test_large_attachments_are_not_copied_into_the_frame() -> None:
    data = bytearray(50_000)

    assert encode_frame(b"body", [data])[1] is data


def test_a_head_announces_attachments_that_the_caller_writes() -> None:
    stream = frame_head(b"body", [3, 2]) + b"abcde"

    assert read_all(FrameReader(100), [stream]) == [(b"body", [b"abc", b"de"])]


@pytest.mark.parametrize(
    ("stream", "rule"),
    [
        (struct.pack(">I", 101), "a frame of 101 bytes is over the bound of 100"),
        (struct.pack(">I", 0), "a frame of 0 bytes is shorter than its own table"),
        (struct.pack(">IHI", 7, 0, 2) + b"x", "the length of the body does not fit"),
        (struct.pack(">IHI", 6, 9, 0), "too short for its table of 9 attachments"),
        (struct.pack(">IHII", 10, 1, 0, 1), "do not add up to the frame's length"),
    ],
)
def test_a_broken_frame_is_refused_naming_the_rule(stream: bytes, rule: str) -> None:
    with pytest.raises(ProtocolError, match=rule):
        list(FrameReader(100).feed(stream))


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_protocol_error(stream: bytes) -> None:
    reader = FrameReader(100)
    try:
        frames = read_all(reader, [stream])
    except ProtocolError:
        return
    assert stream.startswith(joined(frames))
    assert reader.pending == len(stream) - len(joined(frames))


def test_a_sealed_frame_too_short_for_its_seal_is_refused() -> None:
    reader = FrameReader(100)
    reader.seal = BlakeSeal(KEY)
    with pytest.raises(ProtocolError, match="too short for its seal"):
        list(reader.feed(joined([(b"x", [])])))
