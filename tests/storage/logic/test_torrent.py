import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import MiniSparkError
from minispark.ids import ExecutorId
from minispark.messages.distribution import BroadcastHolder
from minispark.messages.task import BlockManagerId
from minispark.storage.logic.torrent import MAX_SOURCES, Torrent

PIECES = [bytes([number]) * 10 for number in range(12)]
CHECKSUMS = b"".join(zlib.adler32(piece).to_bytes(4, "big") for piece in PIECES)


def at(name: str) -> BlockManagerId:
    return BlockManagerId(ExecutorId(name), f"host-{name}", 1000, f"/{name}")


def holder(name: str, *pieces: int) -> BroadcastHolder:
    """Return who has some pieces; all if none is said."""
    return BroadcastHolder(at(name), bytes(index in pieces for index in range(12)) if pieces else b"")


def torrent(seed: int = 0) -> Torrent:
    return Torrent("broadcast 3", CHECKSUMS, at("me"), random.Random(seed))


def deliver(one: Torrent, source: BlockManagerId, index: int) -> bool:
    return one.arrived(source, index, zlib.adler32(PIECES[index]))


@given(st.integers(0, 1000), st.lists(st.sampled_from(["good", "damaged", "lost"]), max_size=40))
def test_whatever_happens_to_others_all_pieces_come_from_the_driver(seed: int, events: list[str]) -> None:
    one = torrent(seed)
    holders = [holder("driver"), holder("1", 0, 1, 2), holder("2"), holder("3", 5), holder("me", 1)]
    while sources := one.learned(holders):
        one.check()
        for source in sources:
            while (index := one.take(source)) is not None:
                event = events.pop() if events and source != at("driver") else "good"
                if event == "lost":
                    one.lost(source, "gone")
                    break
                if not one.arrived(source, index, zlib.adler32(PIECES[index]) + (event == "damaged")):
                    break
                one.check()

    assert one.is_complete


def test_a_damaged_piece_ends_the_trust_in_its_source_and_is_fetched_from_another() -> None:
    one = torrent()
    one.learned([holder("1")])
    index = one.take(at("1"))
    assert index is not None

    assert not one.arrived(at("1"), index, 99)

    assert not one.have[index]
    assert one.take(at("1")) is None
    assert one.learned([holder("1"), holder("2", index)]) == [at("2")]
    assert one.take(at("2")) == index


def test_an_error_names_all_that_failed_when_nobody_is_left() -> None:
    one = torrent()
    one.learned([holder("1"), holder("2")])
    one.lost(at("1"), "connection refused")
    index = one.take(at("2"))
    assert index is not None
    one.arrived(at("2"), index, 99)

    with pytest.raises(MiniSparkError, match=r"broadcast 3 cannot .*1 at host-1:1000: connection refused; 2 at.*sum"):
        one.learned([holder("1"), holder("2")])


def test_pieces_and_sources_are_drawn_by_chance() -> None:
    def order(seed: int) -> list[int | None]:
        one = torrent(seed)
        one.learned([holder("driver")])
        return [one.take(at("driver")) for _ in PIECES]

    assert sorted(filter(None, order(1))) == list(range(1, 12))
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) == 10


def test_only_so_many_are_asked_at_once_and_nobody_for_what_is_on_its_way() -> None:
    one = torrent()
    sources = one.learned([holder(str(number)) for number in range(9)])
    taken = [one.take(source) for source in sources for _ in range(3)]

    assert len(sources) == MAX_SOURCES
    assert len(set(taken)) == len(taken)
    assert None not in taken


def test_a_piece_of_a_source_that_was_given_up_is_not_taken() -> None:
    one = torrent()
    one.learned([holder("1")])
    index = one.take(at("1"))
    assert index is not None
    one.lost(at("1"), "gone")

    assert not deliver(one, at("1"), index)
    assert not any(one.have)
