import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.arrivals import FileArrival, MemoryArrival


def sums(blocks: list[bytes]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(map(len, blocks)), tuple(map(zlib.crc32, blocks))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.integers(1, 30))
def test_blocks_cut_into_any_pieces_are_intact(blocks: list[bytes], cut: int) -> None:
    content = b"".join(blocks)
    arrival = MemoryArrival(*sums(blocks))

    arrival.take([content[start : start + cut] for start in range(0, len(content), cut)])

    assert bytes(arrival.data) == content
    assert arrival.damaged is None


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.data())
def test_any_flipped_bit_names_its_block(blocks: list[bytes], data: st.DataObject) -> None:
    content = bytearray(b"".join(blocks))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    arrival = MemoryArrival(*sums(blocks))

    arrival.take([content])

    ends = [sum(map(len, blocks[: count + 1])) for count in range(len(blocks))]
    assert arrival.damaged is not None
    assert arrival.damaged.position == next(number for number, end in enumerate(ends) if place < end)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_blocks_without_a_checksum_are_taken_as_they_are() -> None:
    arrival = MemoryArrival((3,), (-1,))

    arrival.take([b"abc"])

    assert arrival.damaged is None


def test_a_file_has_the_blocks_until_it_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "fetched"
    arrival = FileArrival(*sums([b"one", b"two"]), str(path))

    arrival.take([b"on", b"et"])
    arrival.take([b"wo"])
    arrival.close()

    assert path.read_bytes() == b"onetwo"
    assert arrival.damaged is None
    arrival.discard()
    assert not path.exists()


def test_what_is_abandoned_while_it_is_written_is_closed_by_the_writer(tmp_path: Path) -> None:
    arrival = FileArrival((4,), (-1,), str(tmp_path / "fetched"))
    with arrival.lock:  # as a thread that writes
        arrival.abandon()
        assert arrival.fd >= 0, "the loop does not wait for the thread"
        assert not list(tmp_path.iterdir())

    writer = threading.Thread(target=arrival.take, args=([b"late"],))
    writer.start()
    writer.join()

    assert arrival.fd < 0


def test_what_is_abandoned_at_rest_is_closed_at_once(tmp_path: Path) -> None:
    arrival = FileArrival((4,), (-1,), str(tmp_path / "fetched"))

    arrival.abandon()

    assert arrival.fd < 0
    arrival.take([b"late"])
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "fetched").write_text("mine")

    with pytest.raises(FileExistsError):
        FileArrival((4,), (-1,), str(tmp_path / "fetched"))
