"""Answers that are ready when their time is over: an estimate from the partitions that were computed by then.

`RDD.count_approx`, `sum_approx` and `mean_approx` come here. What each partition has found reaches the driver by an
accumulator, so nothing is lost when the job is cancelled at the deadline. Source: Spark's partial package.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.accumulators import Accumulator, AccumulatorParam
from minispark.rdd.face import Face
from minispark.rdd.ports import TaskContext
from minispark.rdd.stat_counter import StatCounter
from minispark.rdd.transformations import count_records

__all__ = ["Estimate", "count_within", "mean_within", "sum_within"]

T = TypeVar("T")

Counted = tuple[int, int]
"""Records, and the partitions that they were counted in."""

Numbers = tuple[StatCounter, int]
"""Statistics of numbers, and of how many partitions."""

FEW: Final = 100  # numbers, below which their own variance is too uncertain for a normal distribution


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


class NumberStatistics:
    """How statistics of partitions are added up."""

    def zero(self, initial: Numbers) -> Numbers:
        """Return: there were no numbers."""
        return StatCounter(), 0

    def add(self, value: Numbers, term: Numbers) -> Numbers:
        """Merge both."""
        return value[0].merge(term[0]), value[1] + term[1]

    merge = add


async def count_within(face: Face[Any], timeout_s: float, confidence: float) -> Estimate:
    """Count the records of an RDD for a while; see `RDD.count_approx`."""
    records, partitions = await told_within(face, timeout_s, confidence, (0, 0), Counts(), count_and_tell)
    return estimate_of(records, partitions, face.get_num_partitions(), confidence)


async def sum_within(face: Face[Any], timeout_s: float, confidence: float) -> Estimate:
    """Add up the numbers of an RDD for a while; see `RDD.sum_approx`."""
    return sum_estimate(*await numbers_within(face, timeout_s, confidence), face.get_num_partitions(), confidence)


async def mean_within(face: Face[Any], timeout_s: float, confidence: float) -> Estimate:
    """Find the mean of the numbers of an RDD for a while; see `RDD.mean_approx`."""
    return mean_estimate(*await numbers_within(face, timeout_s, confidence), face.get_num_partitions(), confidence)


async def numbers_within(face: Face[Any], timeout_s: float, confidence: float) -> Numbers:
    """Return what is known of the numbers of an RDD after a while."""
    return await told_within(face, timeout_s, confidence, (StatCounter(), 0), NumberStatistics(), describe_and_tell)


async def told_within(
    face: Face[Any],
    timeout_s: float,
    confidence: float,
    nothing: T,
    param: AccumulatorParam[T],
    tell: Callable[[Accumulator[T], TaskContext, Iterator[Any]], None],
) -> T:
    """Return what the tasks of a job have told when a time is over, or all are done.

    Args:
        face: the RDD.
        timeout_s: when to cancel the tasks that still run, in seconds.
        confidence: checked only.
        nothing: what is told if no task is done.
        param: how what they tell is added up.
        tell: what a task runs.
    """
    if not timeout_s >= 0:
        raise ConfigurationError(f"timeout_s is a number of seconds from 0 on, not {timeout_s!r}")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence is a number between 0 and 1, not {confidence!r}")
    await face.prepare()
    told = face.context.accumulator(nothing, param)
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            await face.run(partial(tell, told), None)
    except TimeoutError:
        if not deadline.expired():
            raise  # it is the user's
    return told.value


def count_and_tell(counted: Accumulator[Counted], context: TaskContext, records: Iterator[Any]) -> None:
    """Count a partition's records."""
    counted.add((count_records(context, records), 1))


def describe_and_tell(described: Accumulator[Numbers], context: TaskContext, records: Iterator[Any]) -> None:
    """Find the statistics of a partition's numbers."""
    described.add((StatCounter(records), 1))


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


def sum_estimate(stats: StatCounter, partitions: int, total: int, confidence: float) -> Estimate:
    """Return what the sum in some partitions says of all; how many numbers the others have is not known either."""
    if partitions >= total:
        return Estimate(stats.sum, stats.sum, stats.sum, 1.0, True)
    if not stats.count:
        return Estimate(0.0, -math.inf, math.inf, confidence, False)
    part = partitions / total
    mean = stats.sum / part
    squares = stats.squares + stats.count * stats.mean**2  # from 0, not from the mean: a compound Poisson process
    spread = deviations(confidence, stats.count) * math.sqrt(squares * (1 - part)) / part
    return Estimate(mean, mean - spread, mean + spread, confidence, False)


def mean_estimate(stats: StatCounter, partitions: int, total: int, confidence: float) -> Estimate:
    """Return what the mean in some partitions says of all, taking their numbers for a random sample."""
    if partitions >= total:
        mean = stats.mean if stats.count else math.nan
        return Estimate(mean, mean, mean, 1.0, True)
    if stats.count < 2:
        return Estimate(stats.mean if stats.count else math.nan, -math.inf, math.inf, confidence, False)
    error = math.sqrt(stats.sample_variance / stats.count * (1 - partitions / total))
    spread = deviations(confidence, stats.count) * error
    return Estimate(stats.mean, stats.mean - spread, stats.mean + spread, confidence, False)


def deviations(confidence: float, count: int = FEW) -> float:
    """Return within how many standard deviations of its mean a normal variable lies with this probability.

    Args:
        confidence: the probability.
        count: of how many numbers the standard deviation is an estimate; that of few may be too small, so the answer
            is that of Student's distribution, by its expansion around the normal one (Abramowitz and Stegun 26.7.5).
    """
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        if math.erf(middle / math.sqrt(2)) < confidence:
            low = middle
        else:
            high = middle
    if count >= FEW:
        return high
    freedom = max(count - 1, 1)
    terms = (
        high,
        (high**3 + high) / 4,
        (5 * high**5 + 16 * high**3 + 3 * high) / 96,
        (3 * high**7 + 19 * high**5 + 17 * high**3 - 15 * high) / 384,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))
