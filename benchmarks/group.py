"""How fast group_by_key is: 5 million (int, int) into 100,000 groups."""

import asyncio
import time
from functools import partial
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.data import group_pairs, pair_sum
from benchmarks.hand_data import group_by_hand
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["count_groups", "run"]

COUNT = 5_000_000
QUICK_COUNT = 50_000
MAPS = 8
REDUCERS = 8


def pairs_of(count: int, maps: int, part: int, records: Any) -> Any:
    """Make a part's pairs."""
    return group_pairs(part, maps, count)


def checked(records: Any) -> Any:
    """Return the number of groups of a partition and their checksum."""
    count = total = 0
    for key, values in records:
        count += 1
        total += pair_sum(key, len(values))
    return [(count, total)]


async def count_groups(sc: SparkContext, count: int, maps: int, reducers: int) -> tuple[int, int]:
    """Group as a user writes it."""
    pairs = sc.parallelize(range(maps), maps).map_partitions_with_index(partial(pairs_of, count, maps))
    found = await pairs.group_by_key(reducers).map_partitions(checked).collect()
    return sum(number for number, _ in found), sum(total for _, total in found)


async def measure(pool: HandPool, count: int, quick: bool) -> Result:
    """Compare in one context and with one pool."""
    found: dict[str, tuple[int, int]] = {}

    async with SparkContext("local[2]", app_name="benchmark-group") as sc:

        async def ours() -> float:
            start = time.perf_counter()
            found["ours"] = await count_groups(sc, count, MAPS, REDUCERS)
            return time.perf_counter() - start

        async def by_hand() -> float:
            start = time.perf_counter()
            found["by_hand"] = group_by_hand(pool, count, MAPS, REDUCERS)
            return time.perf_counter() - start

        details = {"records": count, "maps": MAPS, "reducers": REDUCERS}
        result = await compare("group", "s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)
    if found["ours"] != found["by_hand"]:
        raise AssertionError(f"the groups differ: {found}")
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool:
        return asyncio.run(measure(pool, QUICK_COUNT if quick else COUNT, quick))
