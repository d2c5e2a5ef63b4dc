"""The RDD's actions that describe numbers: stats, mean, variance, histogram, and how many differ.

A part of `rdd.RDD`. Each is a function for the tasks, which sends back little, and a merge in the driver.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.aggregator import Aggregator
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.estimates import Estimate, mean_within, sum_within
from minispark.rdd.face import Face, default_partitioner
from minispark.rdd.hyperloglog import HyperLogLog, precision_for
from minispark.rdd.merging import reduced
from minispark.rdd.narrow import MapValuesNode
from minispark.rdd.pair import combine
from minispark.rdd.partitioner import portable_hash
from minispark.rdd.ports import TaskContext
from minispark.rdd.stat_counter import StatCounter

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["StatisticsMethods"]

T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")

Buckets = tuple[list[Any], list[int]]


class StatisticsMethods(Face[T_co]):
    """stats, mean, variance, stdev, histogram, sum_approx, mean_approx, count_approx_distinct, and that by key."""

    async def stats(self: "Face[float] | Face[int]") -> StatCounter:
        """Return count, mean, variance, least and greatest of the numbers."""
        return await stats_of(self, "stats")

    async def mean(self: "Face[float] | Face[int]") -> float:
        """Return the mean of the numbers.

        Raises:
            ValueError: there is none.
        """
        return (await some_stats_of(self, "mean")).mean

    async def variance(self: "Face[float] | Face[int]") -> float:
        """Return the variance of the numbers themselves.

        Raises:
            ValueError: there is none.
        """
        return (await some_stats_of(self, "variance")).variance

    async def stdev(self: "Face[float] | Face[int]") -> float:
        """Return the standard deviation of the numbers themselves.

        Raises:
            ValueError: there is none.
        """
        return (await some_stats_of(self, "stdev")).stdev

    async def sample_variance(self: "Face[float] | Face[int]") -> float:
        """Return the variance of what the numbers are a sample of; NaN if there is one only.

        Raises:
            ValueError: there is none.
        """
        return (await some_stats_of(self, "sample_variance")).sample_variance

    async def sample_stdev(self: "Face[float] | Face[int]") -> float:
        """Return the standard deviation of what the numbers are a sample of; NaN if there is one only.

        Raises:
            ValueError: there is none.
        """
        return (await some_stats_of(self, "sample_stdev")).sample_stdev

    async def histogram(self, buckets: int | Sequence[Any]) -> Buckets:
        """Return the bounds of buckets, and how many records each holds.

        A bucket holds what is at least its lower bound and below its upper one; the last one holds that as well. None
        and NaN, and what is outside of all buckets, is not counted.

        Args:
            buckets: how many of the same width, from the least number to the greatest; or the bounds themselves, in
                ascending order: [1, 10, 20] means 1 ≤ x < 10 and 10 ≤ x ≤ 20. They may be anything that compares.

        Raises:
            ConfigurationError: the number is below 1, or the bounds are fewer than two, not ascending, or not numbers
                or texts of one kind.
            ValueError: buckets of the same width cannot be found: there is no record, or one is infinite.
            TypeError: a record does not compare with the bounds.
        """
        if isinstance(buckets, int) and not isinstance(buckets, bool):
            return await even_histogram(self, buckets)
        bounds = checked_bounds(buckets)
        with DriverSide("histogram", self.node):
            counts = await self.run(partial(count_in_buckets, bounds), None)
        return bounds, added(counts, len(bounds) - 1)

    async def sum_approx(self: "Face[float] | Face[int]", timeout_s: float, confidence: float = 0.95) -> Estimate:
        """Return the sum of the numbers, estimated from the partitions that are computed when the time is over.

        Args:
            timeout_s: seconds; what still runs then is cancelled. The sum is exact if it is done before.
            confidence: with which probability the sum is within the bounds of the estimate.

        Raises:
            ConfigurationError: an argument is out of its range.
        """
        return await sum_within(self, timeout_s, confidence)

    async def mean_approx(self: "Face[float] | Face[int]", timeout_s: float, confidence: float = 0.95) -> Estimate:
        """Return the mean of the numbers, estimated as `sum_approx` does; NaN if there is none."""
        return await mean_within(self, timeout_s, confidence)

    async def count_approx_distinct(self, relative_sd: float = 0.05) -> int:
        """Return about how many different records there are, in little memory (HyperLogLog++).

        Args:
            relative_sd: the standard deviation of the result's relative error; above 0.000017. Half of it takes four
                times the memory: 2 KiB a partition for 0.025.

        Raises:
            ConfigurationError: it is out of its range.
            KeyHashError: records have no hash on which all processes agree.
        """
        precision = precision_for(relative_sd)
        with DriverSide("count_approx_distinct", self.node):
            sketches = await self.run(partial(sketch_of, precision), None)
            merged = await reduced(HyperLogLog.merge, [HyperLogLog(precision), *sketches])
        return round(merged.estimate())

    def count_approx_distinct_by_key(
        self: "Face[tuple[K, V]]",
        relative_sd: float = 0.05,
        num_partitions: int | None = None,
        partition_function: Callable[[Any], int] = portable_hash,
    ) -> "RDD[tuple[K, int]]":
        """Return (key, about how many different values it has) for each key; lazy, otherwise `count_approx_distinct`.

        Args:
            relative_sd: the standard deviation of the relative error of each number; above 0.000017.
            num_partitions: of the result.
            partition_function: from a key to an int of any size.

        Raises:
            ConfigurationError: it is out of its range. Later, a KeyHashError: values have no hash on which all
                processes agree.
        """
        create = partial(sketch_of_value, precision_for(relative_sd))
        aggregator = Aggregator(create, add_value, HyperLogLog.merge)
        partitioner = default_partitioner(self.context, [self.node], num_partitions, partition_function)
        name = "count_approx_distinct_by_key"
        sketches = combine(self, self.node, aggregator, partitioner, name)
        return self.derive(MapValuesNode(self.origin(name), sketches, estimate_of_sketch))


async def stats_of(face: Face[Any], action: str) -> StatCounter:
    """Return the statistics of an RDD of numbers."""
    with DriverSide(action, face.node):
        return await reduced(StatCounter.merge, [StatCounter(), *await face.run(count_numbers, None)])


async def some_stats_of(face: Face[Any], action: str) -> StatCounter:
    """Return the statistics of an RDD that has a number."""
    stats = await stats_of(face, action)
    if not stats.count:
        raise ValueError(f"RDD {face.node!r} is empty: {action} needs at least one number")
    return stats


async def even_histogram(face: Face[Any], count: int) -> Buckets:
    """Count records in buckets of the same width."""
    if count < 1:
        raise ConfigurationError(f"histogram needs at least one bucket, not {count}")
    with DriverSide("histogram", face.node):
        ranges = [found for found in await face.run(range_of, None) if found is not None]
    if not ranges:
        raise ValueError(f"RDD {face.node!r} is empty: histogram({count}) needs numbers to find its buckets")
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        if low == high or count == 1:
            return [low, high], [sum(added(await face.run(partial(count_in_buckets, [low, high]), None), 1))]
        raise TypeError(
            f"histogram({count}) needs numbers to find its buckets, not {shortened(low)}: give the bounds"
        )
    if math.isinf(low) or math.isinf(high):
        raise ValueError(f"histogram({count}) cannot cut an infinite range into buckets: give the bounds")
    bounds = even_bounds(low, high, count)
    with DriverSide("histogram", face.node):
        counts = await face.run(partial(count_in_buckets, bounds), None)
    return bounds, added(counts, len(bounds) - 1)


def even_bounds(low: Any, high: Any, count: int) -> list[Any]:
    """Return the bounds of buckets of the same width; of one bucket if there is but one number."""
    if low == high or count == 1:
        return [low, high]
    step = (high - low) / count
    if isinstance(low, int) and isinstance(high, int) and (high - low) % count == 0:
        step = (high - low) // count
    return [*(low + step * place for place in range(count)), high]


def checked_bounds(buckets: object) -> list[Any]:
    """Return the bounds of buckets, with those that are there twice once.

    Raises:
        ConfigurationError: they are no bounds.
    """
    if not isinstance(buckets, list | tuple):
        raise ConfigurationError(f"histogram takes a number of buckets, or their bounds, not {shortened(buckets)}")
    if len(buckets) < 2:
        raise ConfigurationError(f"histogram needs at least two bounds, not {buckets!r}")
    if any(bound is None or bound != bound for bound in buckets):
        raise ConfigurationError("histogram takes no None or NaN as a bound")
    try:
        ascends = sorted(buckets) == list(buckets)
    except TypeError:
        raise ConfigurationError(f"histogram needs bounds of one kind, not {shortened(list(buckets))}") from None
    if not ascends:
        raise ConfigurationError(f"histogram needs bounds in ascending order, not {shortened(list(buckets))}")
    if len(set(buckets)) != len(buckets):
        raise ConfigurationError(f"histogram needs bounds that differ, not {shortened(list(buckets))}")
    return list(buckets)


def added(parts: Sequence[Sequence[int]], size: int) -> list[int]:
    """Return the sums of counts."""
    return [sum(column) for column in zip(*parts, strict=True)] if parts else [0] * size


# What tasks run: plain functions, so that they are pickled by name.


def count_numbers(context: TaskContext, records: Iterator[float]) -> StatCounter:
    """Return the statistics of a partition."""
    return StatCounter(records)


def is_counted(record: Any) -> bool:
    """Tell whether a record is one that a histogram counts."""
    return record is not None and record == record


def range_of(context: TaskContext, records: Iterator[Any]) -> tuple[Any, Any] | None:
    """Return the least and the greatest record of a partition; None if there is none."""
    low = high = None
    for record in filter(is_counted, records):
        if low is None:
            low = high = record
        elif record < low:
            low = record
        elif record > high:
            high = record
    return None if low is None else (low, high)


def count_in_buckets(bounds: Sequence[Any], context: TaskContext, records: Iterator[Any]) -> list[int]:
    """Count a partition's records by bucket."""
    top, last = bounds[-1], len(bounds) - 2
    places = (last if record == top else bisect_right(bounds, record) - 1 for record in filter(is_counted, records))
    found = Counter(places)
    return [found[place] for place in range(last + 1)]


def sketch_of(precision: int, context: TaskContext, records: Iterator[Any]) -> HyperLogLog:
    """Return the sketch of a partition's records."""
    return HyperLogLog(precision).add_all(records)


def sketch_of_value(precision: int, value: Any) -> HyperLogLog:
    """Return the sketch of one value."""
    return add_value(HyperLogLog(precision), value)


def add_value(sketch: HyperLogLog, value: Any) -> HyperLogLog:
    """Put one more value into a sketch."""
    sketch.add_hashes((portable_hash(value),))
    return sketch


def estimate_of_sketch(sketch: HyperLogLog) -> int:
    """Return about how many different values a sketch holds."""
    return round(sketch.estimate())
