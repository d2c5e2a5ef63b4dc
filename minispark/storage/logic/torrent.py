"""Torrent: the fetching of one broadcast by one executor: which piece from whom, and what to do when it is damaged.

Any holder serves, the driver or another executor that has some pieces already; which piece comes from which of them
is chance, so that executors that start together soon have different pieces to give to each other. A holder that
fails, or sends something else than was checksummed, is not asked again. Called by `broadcast_fetcher`, which moves
the bytes. Source: Spark's TorrentBroadcast.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from minispark.errors import MiniSparkError
from minispark.messages.distribution import BroadcastHolder
from minispark.messages.task import BlockManagerId

if TYPE_CHECKING:
    import random

__all__ = ["MAX_SOURCES", "MAX_TAKEN", "Torrent"]

MAX_SOURCES = 4  # at once
MAX_TAKEN = 8  # pieces that one source is asked for before the holders are looked up again


class Torrent:
    """The pieces of one broadcast, as one executor has them.

    Args:
        what: the broadcast, for errors.
        checksums: four bytes for each piece.
        me: where this executor is; it is no source to itself.
        rng: chance.

    Attributes:
        have: one byte a piece, 1 for those that are here.
        in_flight: the pieces on their way.
        failed: the holders that are not asked any more, and why.
    """

    def __init__(self, what: str, checksums: bytes, me: BlockManagerId, rng: "random.Random") -> None:
        self.what = what
        self.checksums = checksums
        self.me = me
        self.rng = rng
        self.have = bytearray(len(checksums) // 4)
        self.in_flight: dict[int, BlockManagerId] = {}
        self.sources: dict[BlockManagerId, bytes] = {}
        self.failed: dict[BlockManagerId, str] = {}

    @property
    def is_complete(self) -> bool:
        """Whether all pieces are here."""
        return all(self.have)

    def learned(self, holders: Iterable[BroadcastHolder]) -> list[BlockManagerId]:
        """Take note of who has what now; return whom to ask, in this order.

        Raises:
            MiniSparkError: nobody is left who has what is missing; the text says what became of the others.
        """
        everything = bytes([1]) * len(self.have)
        self.sources = {
            holder.location: holder.pieces or everything
            for holder in holders
            if holder.location != self.me and holder.location not in self.failed
        }
        useful = [source for source in self.sources if self.wanted_of(source)]
        if not useful and not self.is_complete:
            reasons = "; ".join(f"{place(source)}: {reason}" for source, reason in self.failed.items())
            raise MiniSparkError(f"{self.what} cannot be fetched from anybody{f' ({reasons})' if reasons else ''}")
        return self.rng.sample(useful, min(len(useful), MAX_SOURCES))

    def wanted_of(self, source: BlockManagerId) -> list[int]:
        """Return the pieces that a source has, that are missing here, and that nobody was asked for."""
        held = self.sources.get(source, b"")
        return [
            index
            for index, (mine, theirs) in enumerate(zip(self.have, held, strict=False))
            if theirs and not mine and index not in self.in_flight
        ]

    def take(self, source: BlockManagerId) -> int | None:
        """Return a piece to ask a source for; None if it has nothing that is wanted."""
        wanted = self.wanted_of(source)
        if not wanted:
            return None
        index = self.rng.choice(wanted)
        self.in_flight[index] = source
        return index

    def arrived(self, source: BlockManagerId, index: int, checksum: int) -> bool:
        """Take a piece that has come; False if it is damaged, which was the last that this source was asked for."""
        if self.in_flight.pop(index, None) != source:
            return False
        expected = int.from_bytes(self.checksums[4 * index : 4 * index + 4], "big")
        if checksum != expected:
            self.lost(source, f"its piece {index} has the checksum {checksum:08x} instead of {expected:08x}")
            return False
        self.have[index] = 1
        return True

    def lost(self, source: BlockManagerId, reason: str) -> None:
        """Ask a source no more; what was on its way from there is wanted again."""
        self.failed[source] = reason
        self.sources.pop(source, None)
        self.in_flight = {index: other for index, other in self.in_flight.items() if other != source}

    def check(self) -> None:
        """Assert the invariants."""
        assert not any(self.have[index] for index in self.in_flight), "a piece that is here is fetched again"
        assert not self.failed.keys() & self.sources.keys(), "a source that failed is asked again"
        assert not self.failed.keys() & set(self.in_flight.values()), "a source that failed still has to deliver"
        assert self.me not in self.sources, "an executor fetches from itself"


def place(location: BlockManagerId) -> str:
    """Return a holder as people know it."""
    return f"{location.executor_id} at {location.host}:{location.port}"
