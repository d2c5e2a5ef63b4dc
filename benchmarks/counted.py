"""What the benchmarks of group and join share: jobs that return a count and a checksum, beside the same by hand."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from operator import itemgetter
from typing import TypeAlias

from benchmarks.byhand import HandPool
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["Counted", "compare_counted", "summed"]

Counted: TypeAlias = tuple[int, int]
"""How many there are, and their checksum."""


def summed(parts: Iterable[Counted]) -> Counted:
    """Return the count and the checksum of all parts."""
    found = list(parts)
    return sum(map(itemgetter(0), found)), sum(map(itemgetter(1), found))


def compare_counted(
    name: str,
    ours: Callable[[SparkContext, int, int, int], Awaitable[Counted]],
    by_hand: Callable[[HandPool, int, int, int], Counted],
    sizes: tuple[int, int, int],
    quick: bool,
) -> Result:
    """Compare in one context and with one pool.

    Args:
        name: of the benchmark.
        ours: takes the context, then the sizes.
        by_hand: takes the pool, then the sizes.
        sizes: how many records, map tasks and reducers.
        quick: as in `compare`.

    Raises:
        AssertionError: the two do not give the same.
    """
    found: dict[str, Counted] = {}

    async def measure(pool: HandPool) -> Result:
        async with SparkContext("local[2]", app_name=f"benchmark-{name}") as sc:

            async def time_ours() -> float:
                start = time.perf_counter()
                found["ours"] = await ours(sc, *sizes)
                return time.perf_counter() - start

            async def time_by_hand() -> float:
                start = time.perf_counter()
                found["by_hand"] = by_hand(pool, *sizes)
                return time.perf_counter() - start

            details = dict(zip(("records", "maps", "reducers"), sizes, strict=True))
            return await compare(
                name, "s", "lower", ours=time_ours, by_hand=time_by_hand, quick=quick, details=details
            )

    with HandPool(2) as pool:
        result = asyncio.run(measure(pool))
    if found["ours"] != found["by_hand"]:
        raise AssertionError(f"the results of {name} differ: {found}")
    return result
