"""How fast join is: a million pairs with a million, each key once on each side."""

from functools import partial
from typing import Any

from benchmarks.counted import Counted, compare_counted, summed
from benchmarks.data import join_pairs, pair_sum
from benchmarks.hand_data import join_by_hand
from benchmarks.harness import Result
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


async def joined(sc: SparkContext, count: int, maps: int, reducers: int) -> Counted:
    """Join as a user writes it."""
    left, right = (
        sc.parallelize(range(maps), maps).map_partitions_with_index(partial(pairs_of, side, count, maps))
        for side in (0, 1)
    )
    return summed(await left.join(right, reducers).map_partitions(checked).collect())


def run(quick: bool = False) -> Result:
    """Measure."""
    sizes = (QUICK_COUNT if quick else COUNT, MAPS, REDUCERS)
    return compare_counted("join", joined, join_by_hand, sizes, quick)
