"""Answers that are ready when their time is over: an estimate from the partitions that were computed by then.

`RDD.count_approx` comes here. What each partition has found reaches the driver by an accumulator, so nothing is lost
when the job is cancelled at the deadline. Source: Spark's partial package.
"""

import asyncio
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from minispark.errors import ConfigurationError
from minispark.rdd.accumulators import Accumulator
from minispark.rdd.face import Face
from minispark.rdd.ports import TaskContext
from minispark.rdd.transformations import count_records

__all__ = ["Estimate", "count_within"]

Counted = tuple[int, int]
"""Records, and the partitions that they were counted in."""


class Estimate(NamedTuple):
    """A number that may not be known exactly.

    Attributes:
        mean: the best guess.
        low: with the probability `confidence` the number is at least that …
        high: … and at most that; infinite if nothing can be said.
        confidence: as it was asked for; 1 if the number is exact.
        is_final: whether all partitions were computed, and so the number is exact.
    """

    mean: float
    low: float
    high: float
    confidence: float
    is_final: bool


class Counts:
    """How counts of partitions are added up."""

    def zero(self, initial: Counted) -> Counted:
        """Return: nothing was counted."""
        return 0, 0

    def add(self, value: Counted, term: Counted) -> Counted:
        """Add both numbers."""
        return value[0] + term[0], value[1] + term[1]

    merge = add


async def count_within(face: Face[Any], timeout_s: float, confidence: float) -> Estimate:
    """Count the records of an RDD for a while; see `RDD.count_approx`."""
    if not timeout_s >= 0:
        raise ConfigurationError(f"timeout_s is a number of seconds from 0 on, not {timeout_s!r}")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence is a number between 0 and 1, not {confidence!r}")
    await face.prepare()
    counted = face.context.accumulator((0, 0), Counts())
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            await face.run(partial(count_and_tell, counted), None)
    except TimeoutError:
        if not deadline.expired():
            raise  # it is the user's
    records, partitions = counted.value
    return estimate_of(records, partitions, face.get_num_partitions(), confidence)


def count_and_tell(counted: Accumulator[Counted], context: TaskContext, records: Iterator[Any]) -> None:
    """Count a partition's records."""
    counted.add((count_records(context, records), 1))


def estimate_of(records: int, partitions: int, total: int, confidence: float) -> Estimate:
    """Return what the count in some partitions says of all.

    The records of the others are taken to be as many a partition, and to vary as much as those of a Poisson process
    do: a normal distribution with the variance that counts of both parts have.
    """
    if partitions >= total:
        return Estimate(records, records, records, 1.0, True)
    if not records:
        return Estimate(0.0, 0.0, math.inf, confidence, False)
    part = partitions / total
    others = records * (1 - part) / part
    spread = deviations(confidence) * math.sqrt(records * (1 - part)) / part
    return Estimate(
        records + others, records + max(0.0, others - spread), records + others + spread, confidence, False
    )


def deviations(confidence: float) -> float:
    """Return within how many standard deviations of its mean a normal variable lies with this probability."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        if math.erf(middle / math.sqrt(2)) < confidence:
            low = middle
        else:
            high = middle
    return high
