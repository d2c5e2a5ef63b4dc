"""How fast join is: a million pairs with a million, each key once on each side."""

import asyncio
import time
from functools import partial
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.data import join_pairs, pair_sum
from benchmarks.hand_data import join_by_hand
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run"]

COUNT = 1_000_003  # a prime, so that keys are different
QUICK_COUNT = 20_011
MAPS = 4
REDUCERS = 8


def pairs_of(side: int, count: int, maps: int, part: int, records: Any) -> Any:
    """Make a part of one side."""
    return join_pairs(side, part, maps, count)


def checked(records: Any) -> Any:
    """Return the number of joined pairs of a partition and their checksum."""
    count = total = 0
    for _, (left, right) in records:
        count += 1
        total += pair_sum(left, right)
    return [(count, total)]


async def joined(sc: SparkContext, count: int) -> tuple[int, int]:
    """Join as a user writes it."""
    left, right = (
        sc.parallelize(range(MAPS), MAPS).map_partitions_with_index(partial(pairs_of, side, count, MAPS))
        for side in (0, 1)
    )
    found = await left.join(right, REDUCERS).map_partitions(checked).collect()
    return sum(number for number, _ in found), sum(total for _, total in found)


async def measure(pool: HandPool, count: int, quick: bool) -> Result:
    """Compare in one context and with one pool."""
    found: dict[str, tuple[int, int]] = {}

    async with SparkContext("local[2]", app_name="benchmark-join") as sc:

        async def ours() -> float:
            start = time.perf_counter()
            found["ours"] = await joined(sc, count)
            return time.perf_counter() - start

        async def by_hand() -> float:
            start = time.perf_counter()
            found["by_hand"] = join_by_hand(pool, count, MAPS, REDUCERS)
            return time.perf_counter() - start

        details = {"records": count, "maps": MAPS, "reducers": REDUCERS}
        result = await compare("join", "s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)
    if found["ours"] != found["by_hand"]:
        raise AssertionError(f"the joined pairs differ: {found}")
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool:
        return asyncio.run(measure(pool, QUICK_COUNT if quick else COUNT, quick))
