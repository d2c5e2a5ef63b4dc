"""What partitions gave, put together in the driver without holding up its loop, which may be a web service's.

The actions call these with lists that are theirs alone, one per partition. Copying, hashing, comparing and freeing a
million records takes tens of milliseconds each, so all are done in slices with a turn of the loop between them, and
the lists are empty afterwards. A user's function that merges two values gets a turn of the loop after each call.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from heapq import merge
from itertools import islice
from typing import Any, Final, TypeVar

__all__ = ["LoopTurn", "Pace", "added_up", "as_dict", "in_order", "joined", "merged_by_key", "reduced"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

# How many records make a slice: about a millisecond, with keys and comparisons of the user's own some more.
COPIED: Final = 50_000  # appended, or let go
HASHED: Final = 2_000  # put into a dict
MERGED: Final = 1_000  # compared, and their sort keys found

WIDE: Final = 64  # lists merged at once: finding the first of each is no slice of its own


class LoopTurn(Awaitable[None]):
    """Gives the event loop a turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Pace:
    """Gives the event loop a turn after each slice of work.

    Args:
        size: records that make a slice.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = 0

    async def spend(self, records: int) -> None:
        """Note the work on so many records as done."""
        self.done += records
        if self.done >= self.size:
            self.done = 0
            await LoopTurn()


async def slices(parts: list[list[T]], size: int) -> AsyncIterator[list[T]]:
    """Take the parts apart: yield their records in lists of at most `size`, then let go of them as slowly."""
    pace = Pace(size)
    parts.reverse()
    while parts:
        part = parts.pop()
        for start in range(0, len(part), size):
            yield part[start : start + size] if len(part) > size else part
            await pace.spend(min(size, len(part) - start))
        await let_go(part, size)


async def let_go(records: list[Any], size: int) -> None:
    """Free a list's records, but for the last slice, with turns between."""
    while len(records) > size:
        del records[-size:]
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


async def merged_by_key(function: Callable[[V, V], V], parts: list[list[tuple[K, V]]]) -> dict[K, V]:
    """Return a dict of the pairs of all parts; values of equal keys are merged."""
    merged: dict[K, V] = {}
    async for some in slices(parts, HASHED):
        for key, value in some:
            merged[key] = function(merged[key], value) if key in merged else value
    return merged


async def in_order(
    parts: list[list[T]], num: int, key: Callable[[T], Any] | None = None, reverse: bool = False
) -> list[T]:
    """Return the first records of sorted parts, merged; equal records stay in the order of the parts.

    Args:
        parts: each sorted by `key`, and as `reverse` says.
        num: how many records at most.
        key: what of a record is compared; None: the record itself.
        reverse: the greatest first.
    """
    compared, freed = Pace(MERGED), Pace(COPIED)
    while len(parts) > 1:
        parts.reverse()
        longer: list[list[T]] = []
        while parts:
            group = [parts.pop() for _ in range(min(WIDE, len(parts)))]
            longer.append(await in_order_at_once(group, num, key, reverse, compared))
            for part in group:
                await let_go(part, COPIED)
                await freed.spend(len(part))
        parts.extend(longer)
    return parts.pop() if parts else []


async def in_order_at_once(group: list[list[T]], num: int, key: Any, reverse: bool, pace: Pace) -> list[T]:
    """Return the first records of a few sorted parts."""
    pairs = merge(*group, key=key, reverse=reverse)
    first: list[T] = []
    while some := list(islice(pairs, min(MERGED, num - len(first)))):
        first += some
        await pace.spend(len(some) + len(group))
    return first


async def reduced(function: Callable[[T, T], T], values: Iterable[T]) -> T:
    """Return values merged from left to right; there is at least one."""
    values = iter(values)
    merged = next(values)
    for value in values:
        merged = function(merged, value)
        await LoopTurn()
    return merged
