"""MemoryStore: what an executor keeps in memory, how large it is, and what has to go so that more fits.

Two kinds of copies count: a block's file on tmpfs, which every process of the host maps, and the live objects of a
block in one runner. Called by `node_blocks`. It knows sizes and order, neither files nor runners. Source: Spark's
MemoryStore.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from minispark.ids import BlockId, RddId

__all__ = ["SHARED", "Copy", "MemoryStore"]

SHARED: Final = -1


class Copy(NamedTuple):
    """One copy of a block: of a runner's slot, or the one that is shared (`SHARED`)."""

    block_id: BlockId
    slot: int = SHARED


class Held(NamedTuple):
    """A copy's size, and the RDD that it is of."""

    size_bytes: int
    rdd_id: RddId


class MemoryStore:
    """Copies in the order of their last use, within a bound.

    Args:
        max_bytes: what all copies may take together.
        is_locked: tells whether a block is being read or written; its copies cannot go.

    Attributes:
        execution_bytes: how much of the bound tasks hold for their work; nothing of that is taken from them.
    """

    def __init__(self, max_bytes: int, is_locked: Callable[[BlockId], bool]) -> None:
        self.max_bytes = max_bytes
        self.is_locked = is_locked
        self.copies: dict[Copy, Held] = {}  # the one used last is at the end
        self.used_bytes = 0
        self.execution_bytes = 0

    @property
    def free_bytes(self) -> int:
        """What is not taken; negative while tasks hold more than copies have left them."""
        return self.max_bytes - self.execution_bytes - self.used_bytes

    def size_of(self, copy: Copy) -> int:
        """Return how much a copy takes; 0 if there is none."""
        held = self.copies.get(copy)
        return 0 if held is None else held.size_bytes

    def bytes_of(self, slot: int) -> int:
        """Return what the copies of a slot take, or (`SHARED`) the shared ones."""
        return sum(held.size_bytes for copy, held in self.copies.items() if copy.slot == slot)

    def victims(self, copy: Copy, rdd_id: RddId, size_bytes: int) -> list[Copy] | None:
        """Return what must go so that a copy can have this size, those used longest ago first; None: it cannot.

        Live copies go before shared ones: they can be made again of these. No shared copy goes for one of its own RDD
        (they would push each other out, pass after pass), nor for a live one. Nothing goes unless enough can.
        """
        missing = size_bytes - self.size_of(copy) - self.free_bytes
        chosen: list[Copy] = []
        if missing <= 0:
            return chosen
        for candidate in self.candidates(copy, rdd_id):
            chosen.append(candidate)
            missing -= self.copies[candidate].size_bytes
            if missing <= 0:
                return chosen
        return None

    def candidates(self, copy: Copy, rdd_id: RddId) -> Iterator[Copy]:
        """Yield what may go for a copy, in the order in which it goes."""
        is_shared = copy.slot == SHARED
        for other, held in self.copies.items():
            if other.slot != SHARED and (is_shared or held.rdd_id != rdd_id) and not self.is_locked(other.block_id):
                yield other
        if not is_shared:
            return
        for other, held in self.copies.items():
            if other.slot == SHARED and held.rdd_id != rdd_id and not self.is_locked(other.block_id):
                yield other

    def put(self, copy: Copy, rdd_id: RddId, size_bytes: int) -> None:
        """Take a copy in, used just now, or change its size. There is room: see `victims`."""
        self.remove(copy)
        self.copies[copy] = Held(size_bytes, rdd_id)
        self.used_bytes += size_bytes

    def touch(self, copy: Copy) -> None:
        """Note that a copy is used, if it is here."""
        held = self.copies.pop(copy, None)
        if held is not None:
            self.copies[copy] = held

    def remove(self, copy: Copy) -> bool:
        """Let a copy go; tells whether it was here."""
        held = self.copies.pop(copy, None)
        if held is not None:
            self.used_bytes -= held.size_bytes
        return held is not None

    def check(self) -> None:
        """Assert the invariants."""
        assert self.used_bytes == sum(held.size_bytes for held in self.copies.values())
        assert self.used_bytes <= self.max_bytes or not self.copies, (self.used_bytes, self.max_bytes)

    def assert_empty(self) -> None:
        """Assert that nothing is kept."""
        assert not self.copies, f"copies left: {list(self.copies)}"
