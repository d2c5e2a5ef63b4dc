"""What partitions gave, put together in the driver without holding up its loop, which may be a web service's.

The actions call these with lists that are theirs alone, one per partition. Copying, hashing and freeing a million
records takes tens of milliseconds each, so all three are done in slices with a turn of the loop between them, and the
lists are empty afterwards.
"""

from collections.abc import AsyncIterator, Awaitable, Generator
from typing import Final, TypeVar

__all__ = ["LoopTurn", "added_up", "as_dict", "joined"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

COPIED: Final = 50_000  # records appended, or let go, before the loop gets its turn: less than a millisecond
HASHED: Final = 5_000  # records put into a dict before it does


class LoopTurn(Awaitable[None]):
    """Gives the event loop a turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def slices(parts: list[list[T]], size: int) -> AsyncIterator[list[T]]:
    """Take the parts apart: yield their records in lists of at most `size`, then let go of them as slowly."""
    parts.reverse()
    done = 0
    while parts:
        part = parts.pop()
        for start in range(0, len(part), size):
            yield part[start : start + size] if len(part) > size else part
            done += min(size, len(part) - start)
            if done >= size:
                done = 0
                await LoopTurn()
        while len(part) > size:
            del part[-size:]
            await LoopTurn()


async def joined(parts: list[list[T]]) -> list[T]:
    """Return the records of all parts in one list."""
    records = parts.pop(0) if parts else []
    async for some in slices(parts, COPIED):
        records += some
    return records


async def as_dict(parts: list[list[tuple[K, V]]]) -> dict[K, V]:
    """Return the pairs of all parts in a dict; of equal keys the last one stays."""
    pairs: dict[K, V] = {}
    async for some in slices(parts, HASHED):
        pairs.update(some)
    return pairs


async def added_up(parts: list[list[tuple[T, int]]]) -> dict[T, int]:
    """Return the sums of counts."""
    counts: dict[T, int] = {}
    async for some in slices(parts, HASHED):
        for value, number in some:
            counts[value] = counts.get(value, 0) + number
    return counts
