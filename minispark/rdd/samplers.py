"""The RDD's methods that draw records by chance, always the same ones for the same seed. A part of `rdd.RDD`.

Each partition draws with a generator of its own, seeded by the seed and its number, so what is drawn does not depend
on where and when it is computed. The sample that a sort takes is `sampling`'s. Source: Spark's samplers.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain, compress, repeat
from random import Random
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Final, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.arguments import check_size
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.face import Face
from minispark.rdd.merging import joined
from minispark.rdd.narrow import MapPartitionsNode
from minispark.rdd.transformations import count_records

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["SampleMethods", "fraction_for"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

FEW: Final = 12  # records to draw with replacement from which on the normal distribution says how many more to try


class SampleMethods(Face[T_co]):
    """sample, random_split, sample_by_key, and the action take_sample."""

    def sample(self, with_replacement: bool, fraction: float, seed: int | None = None) -> "RDD[T_co]":
        """Return some of the records, drawn by chance; the same ones each time, if they come in the same order.

        Args:
            with_replacement: whether a record may be drawn several times.
            fraction: the chance of each record; with replacement how often each is drawn on average. At least 0, and
                at most 1 without replacement.
            seed: what the draw depends on; by default the number of the new RDD.

        Raises:
            ConfigurationError: no such fraction is possible.
        """
        check_fraction("sample", fraction, with_replacement)
        origin = self.origin("sample")
        draw = partial(sample_partition, with_replacement, fraction, origin.rdd_id if seed is None else seed)
        return self.derive(
            MapPartitionsNode(origin, self.node, draw, keeps_partitioner=True, is_order_sensitive=True)
        )

    def random_split(self, weights: Sequence[float], seed: int | None = None) -> "list[RDD[T_co]]":
        """Return RDDs that have each record in exactly one of them, drawn by chance.

        Each computes all records again: `persist` this RDD first if that takes long.

        Args:
            weights: the shares, one for each RDD; they need not add up to 1.
            seed: what the draw depends on; by default the number of the first RDD.

        Raises:
            ConfigurationError: a weight is negative, or none is positive.
        """
        total = sum(weights)
        if not all(0 <= weight < math.inf for weight in weights) or not 0 < total < math.inf:
            raise ConfigurationError(
                f"random_split takes weights of at least 0, and one above, not {shortened(list(weights))}"
            )
        origins = [self.origin("random_split") for _ in weights]
        bounds = [0.0, *(reached / total for reached in accumulate(weights))]
        bounds[-1] = 1.0  # the sum may have come out a little below
        seed = origins[0].rdd_id if seed is None else seed
        return [
            self.derive(
                MapPartitionsNode(
                    origin,
                    self.node,
                    partial(range_of_partition, low, high, seed),
                    keeps_partitioner=True,
                    is_order_sensitive=True,
                )
            )
            for origin, low, high in zip(origins, bounds[:-1], bounds[1:], strict=True)
        ]

    def sample_by_key(
        self: "Face[tuple[K, V]]", with_replacement: bool, fractions: Mapping[K, float], seed: int | None = None
    ) -> "RDD[tuple[K, V]]":
        """Return some of the pairs of each key, drawn by chance.

        Args:
            with_replacement: whether a pair may be drawn several times.
            fractions: of each key that occurs; see `sample`.
            seed: what the draw depends on; by default the number of the new RDD.

        Raises:
            ConfigurationError: no such fraction is possible. Later, a KeyError: a key has none.
        """
        for fraction in fractions.values():
            check_fraction("sample_by_key", fraction, with_replacement)
        origin = self.origin("sample_by_key")
        draw = partial(sample_keys_of, with_replacement, dict(fractions), origin.rdd_id if seed is None else seed)
        return self.derive(
            MapPartitionsNode(origin, self.node, draw, keeps_partitioner=True, is_order_sensitive=True)
        )

    async def take_sample(self, with_replacement: bool, num: int, seed: int | None = None) -> list[T_co]:
        """Return records drawn by chance, in random order: `num`, or all if there are not so many.

        Counts the records first; `persist` the RDD if computing it takes long.

        Args:
            with_replacement: whether a record may be drawn several times.
            num: how many.
            seed: what the draw depends on; by default the number of the RDD.

        Raises:
            ConfigurationError: the number is not a whole one of at least 0.
        """
        num = check_size("num", num)
        seed = self.id if seed is None else seed
        total = sum(await self.run(count_records, None)) if num else 0
        if total == 0:
            return []
        rng = Random(f"take_sample/{seed}")
        drawn: list[T_co] = []
        if not with_replacement and num >= total:
            with DriverSide("take_sample", self.node):
                drawn = await joined(await self.run(partial(drawn_records, False, 1.0, seed), None))
            rng.shuffle(drawn)
            return drawn
        fraction = fraction_for(num, total, with_replacement)
        while len(drawn) < num:  # once in ten thousand times there are too few
            draw = partial(drawn_records, with_replacement, fraction, rng.getrandbits(64))
            with DriverSide("take_sample", self.node):
                drawn = await joined(await self.run(draw, None))
        return rng.sample(drawn, num)


def check_fraction(what: str, fraction: float, with_replacement: bool) -> None:
    """Raise unless a fraction is possible."""
    if not 0 <= fraction < math.inf or (fraction > 1 and not with_replacement):
        limits = "at least 0" if with_replacement else "between 0 and 1"
        raise ConfigurationError(f"{what} takes a fraction of {limits}, not {fraction!r}")


def fraction_for(num: int, total: int, with_replacement: bool) -> float:
    """Return with which fraction at least `num` of `total` records are drawn, all but once in ten thousand times.

    Source: computeFractionForSampleSize of Spark's SamplingUtils.
    """
    fraction = num / total
    if with_replacement:
        # Poisson: so many standard deviations above the mean.
        return max(fraction + (9 if num < FEW else 5) * math.sqrt(fraction / total), 1e-10)
    gamma = -math.log(1e-4) / total
    return min(1.0, max(1e-10, fraction + gamma + math.sqrt(gamma * gamma + 2 * gamma * fraction)))


# What tasks run: plain functions, so that they are pickled by name.


def sample_partition(
    with_replacement: bool, fraction: float, seed: int, index: int, records: Iterator[T]
) -> Iterator[T]:
    """Draw from a partition."""
    rng = Random(f"{seed}/{index}")
    if with_replacement:
        return chain.from_iterable(repeat(record, arrivals(fraction, rng)) for record in records)
    return compress(records, map(float(fraction).__gt__, iter(rng.random, None)))


def drawn_records(with_replacement: bool, fraction: float, seed: int, context: Any, records: Iterator[T]) -> list[T]:
    """Return what is drawn from a partition."""
    return list(sample_partition(with_replacement, fraction, seed, context.partition_id, records))


def range_of_partition(low: float, high: float, seed: int, index: int, records: Iterator[T]) -> Iterator[T]:
    """Return the records whose number, drawn between 0 and 1, lies in a range."""
    draw = Random(f"{seed}/{index}").random
    return (record for record in records if low <= draw() < high)


def sample_keys_of(
    with_replacement: bool, fractions: Mapping[K, float], seed: int, index: int, records: Iterator[tuple[K, V]]
) -> Iterator[tuple[K, V]]:
    """Draw pairs by their keys."""
    rng = Random(f"{seed}/{index}")
    if with_replacement:
        return chain.from_iterable(repeat(pair, arrivals(fractions[pair[0]], rng)) for pair in records)
    draw: Callable[[], float] = rng.random
    return (pair for pair in records if draw() < fractions[pair[0]])


def arrivals(mean: float, rng: Random) -> int:
    """Return a number that is distributed as Poisson says: how many fall into a span, one in a unit on average."""
    number, reached = 0, rng.expovariate(1.0)
    while reached < mean:
        number += 1
        reached += rng.expovariate(1.0)
    return number
