import io
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.pairs import Compression, dump_columns, dump_pairs, load_pairs, read_frames
from minispark.storage.batches import BATCH_BYTES, BATCH_RECORDS

KEYS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.tuples(st.integers(), st.binary(max_size=3))
)
REPETITIVE = b"abcdefgh" * 1000
NOISE = random.Random(1).randbytes(5000)


def framed(payloads: list[bytes], compression: Compression) -> bytes:
    return b"".join(part for payload in payloads for part in compression.frame(payload))


def unframed(data: bytes) -> list[bytes]:
    return list(read_frames(io.BytesIO(data), len(data)))


@given(st.lists(st.tuples(KEYS, KEYS), max_size=30))
def test_pairs_come_back_in_their_order(pairs: list[tuple[Any, Any]]) -> None:
    batches = list(dump_pairs([key for key, _ in pairs], [value for _, value in pairs]))

    assert [pair for _, data in batches for pair in zip(*load_pairs(data), strict=True)] == pairs
    assert sum(count for count, _ in batches) == len(pairs)


def test_small_pairs_go_a_thousand_to_a_batch() -> None:
    numbers = list(range(BATCH_RECORDS + 1))

    assert [count for count, _ in dump_pairs(numbers, numbers)] == [BATCH_RECORDS, 1]


def test_large_values_get_batches_of_their_own_and_small_ones_after_them_do_not() -> None:
    values = [b"x" * BATCH_BYTES, *[b"y"] * 1000, b"z" * BATCH_BYTES]

    batches = list(dump_pairs([0] * len(values), values))

    assert [value for _, data in batches for value in load_pairs(data)[1]] == values
    assert all(len(data) <= BATCH_BYTES for count, data in batches if count > 1)
    assert len(batches) < 100


@given(st.lists(st.binary(max_size=2000)), st.booleans())
def test_frames_come_back_as_they_were(payloads: list[bytes], compress: bool) -> None:
    assert unframed(framed(payloads, Compression(compress))) == payloads


def test_what_repeats_itself_is_compressed() -> None:
    data = framed([REPETITIVE, NOISE, b"short"], Compression(True))

    assert len(data) < len(REPETITIVE) / 2 + len(NOISE) + 50
    assert unframed(data) == [REPETITIVE, NOISE, b"short"]


def test_a_first_block_that_gains_nothing_switches_compression_off() -> None:
    compression = Compression(True)
    framed([b"tiny", NOISE], compression)

    assert not compression.pays
    assert len(framed([REPETITIVE], compression)) > len(REPETITIVE)


def test_compression_can_be_off() -> None:
    assert len(framed([REPETITIVE], Compression(False))) > len(REPETITIVE)


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 20])
def test_data_that_ends_too_early_is_an_error(cut: int) -> None:
    data = framed([b"0123456789" * 2], Compression(False))

    with pytest.raises(EOFError):
        list(read_frames(io.BytesIO(data[:cut]), len(data)))
    with pytest.raises(EOFError):
        list(read_frames(io.BytesIO(data), cut))


def test_a_damaged_compressed_frame_is_an_error() -> None:
    data = bytearray(framed([REPETITIVE], Compression(True)))
    data[8:12] = b"\xff\xff\xff\x7f"

    with pytest.raises(EOFError, match="compressed frame is damaged"):
        unframed(bytes(data))


@pytest.mark.parametrize(("count", "size"), [(1, 10), (1, BATCH_BYTES), (5, 10), (5, BATCH_BYTES), (2500, 1)])
def test_columns_of_any_length_are_batches_that_are_small_enough(count: int, size: int) -> None:
    keys, values = list(range(count)), [bytes([number % 256]) * size for number in range(count)]

    batches = list(dump_columns(keys, values))

    loaded = [load_pairs(batch) for batch in batches]
    assert [key for columns in loaded for key in columns[0]] == keys
    assert [value for columns in loaded for value in columns[1]] == values
    assert all(
        len(batch) <= BATCH_BYTES or len(columns[0]) == 1 for batch, columns in zip(batches, loaded, strict=True)
    )
