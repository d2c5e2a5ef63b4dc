"""How fast group_by_key is: 5 million (int, int) into 100,000 groups."""

from functools import partial
from typing import Any

from benchmarks.counted import Counted, compare_counted, summed
from benchmarks.data import group_pairs, pair_sum
from benchmarks.hand_data import group_by_hand
from benchmarks.harness import Result
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


async def count_groups(sc: SparkContext, count: int, maps: int, reducers: int) -> Counted:
    """Group as a user writes it."""
    pairs = sc.parallelize(range(maps), maps).map_partitions_with_index(partial(pairs_of, count, maps))
    return summed(await pairs.group_by_key(reducers).map_partitions(checked).collect())


def run(quick: bool = False) -> Result:
    """Measure."""
    sizes = (QUICK_COUNT if quick else COUNT, MAPS, REDUCERS)
    return compare_counted("group", count_groups, group_by_hand, sizes, quick)
