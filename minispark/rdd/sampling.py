"""What a sort must know before it starts: where to cut the keys into ranges of equal weight.

One job takes a uniform sample of each partition and its size; the driver weighs and cuts. Source: Spark's
RangePartitioner, but in one pass: a reservoir that skips (Li's algorithm L) reads the records at C speed.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from random import Random
from typing import Any, Final, TypeVar

from minispark.rdd.merging import LoopTurn, Pace, in_order
from minispark.rdd.ports import TaskContext

__all__ = ["KeySample", "cut", "sample_keys", "sample_size"]

T = TypeVar("T")

PER_PARTITION: Final = 20  # sampled keys for each partition of the result, as in Spark
OVERSAMPLING: Final = 3  # partitions of the parent differ in size; the small ones must not decide
LEAST: Final = 1000  # in all; so few cost nothing, and ranges of few partitions come out within some percent
MOST: Final = 1_000_000
CHUNK: Final = 1000
WEIGHED: Final = 10_000  # keys in the driver between two turns of its loop

KeySample = tuple[int, list[Any]]  # how many records a partition has, and the keys of some of them, sorted


def sample_size(num_parents: int, num_partitions: int) -> int:
    """Return how many keys to sample in each partition of the parent."""
    wanted = min(max(PER_PARTITION * num_partitions, LEAST), MOST)
    return math.ceil(OVERSAMPLING * wanted / max(num_parents, 1))


def sample_keys(key_of: Callable[[T], Any], size: int, context: TaskContext, records: Iterator[T]) -> KeySample:
    """Return the size of a partition and a sample of what its records are sorted by, sorted; what a task runs."""
    total, kept = reservoir(records, size, Random(context.partition_id))
    return total, sorted(map(key_of, kept))


def reservoir(records: Iterator[T], size: int, rng: Random) -> tuple[int, list[T]]:
    """Return how many records there are, and a uniform sample of at most `size`."""
    kept = list(islice(records, size))
    total, weight, due = len(kept), 1.0, len(kept) - 1

    def next_due() -> tuple[float, int]:
        lighter = min(weight * (rng.random() or 0.5) ** (1 / size), 1 - 1e-9)
        return lighter, due + 1 + int(math.log(rng.random() or 0.5) / math.log1p(-lighter))

    weight, due = next_due()
    for chunk in iter(lambda: tuple(islice(records, CHUNK)), ()):
        while due < total + len(chunk):
            kept[rng.randrange(size)] = chunk[due - total]
            weight, due = next_due()
        total += len(chunk)
    return total, kept


async def cut(samples: Sequence[KeySample], num_partitions: int) -> list[Any]:
    """Return the bounds, sorted: each the largest key of a range, all ranges about as heavy.

    Fewer than `num_partitions` − 1 if there are not so many different keys. Gives the loop turns: there may be
    millions of keys.
    """
    pace = Pace(WEIGHED)
    weighted: list[list[tuple[Any, float]]] = []
    for total, keys in samples:
        weighted.append([(key, total / len(keys)) for key in keys])
        await pace.spend(len(keys))
    step = sum(total for total, keys in samples if keys) / num_partitions
    ordered = await in_order(weighted, sys.maxsize, key=itemgetter(0))
    bounds: list[Any] = []
    reached, target = 0.0, step
    for start in range(0, len(ordered), WEIGHED):
        for key, weight in ordered[start : start + WEIGHED]:
            reached += weight
            if reached >= target and len(bounds) < num_partitions - 1 and (not bounds or bounds[-1] < key):
                bounds.append(key)
                target += step
        await LoopTurn()
    return bounds
