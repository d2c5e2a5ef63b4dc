"""How long ten rounds of k-means take over 500,000 points of ten numbers that are kept in memory, on two cores.

By hand: two processes, each with its half in lists; a round is one call of each, which assigns its points and adds
them up by cluster, and both sums put together. Here points are tuples and all is plain Python; in `kmeans_numpy` they
are blocks of numpy arrays. The first round, which makes the points, is measured apart, in the details.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import add
from typing import Any, NamedTuple

from benchmarks.byhand import HandPool
from benchmarks.data import span
from benchmarks.harness import Result, compare
from minispark import SparkContext
from minispark.rdd.rdd import RDD

__all__ = ["Centres", "Form", "Sums", "make_points", "run", "run_form"]

COUNT = 500_000
QUICK_COUNT = 10_000
DIMENSIONS = 10
CLUSTERS = 10
ROUNDS = 10
QUICK_ROUNDS = 3
PARTS = 8

Point = tuple[float, ...]
Centres = Sequence[Any]
Sums = tuple[Any, int]  # of points, and how many they are

kept: dict[tuple[str, int, int], list[Any]] = {}


class Form(NamedTuple):
    """One way to write k-means.

    Attributes:
        name: of the benchmark.
        make: yields the records of a part, of so many, of so many points.
        assign: returns the cluster and the sums of centres and a record; with `is_flat` several of them.
        is_flat: whether a record is many points.
        merge: puts two sums together.
        centre_of: returns the centre of sums.
    """

    name: str
    make: Callable[[int, int, int], Iterator[Any]]
    assign: Callable[[Centres, Any], Any]
    is_flat: bool
    merge: Callable[[Sums, Sums], Sums]
    centre_of: Callable[[Sums], Any]

    def made(self, count: int, part: int, records: Any) -> Iterator[Any]:
        """Yield a part's records, as `map_partitions_with_index` wants it."""
        return self.make(part, PARTS, count)

    def moved(self, centres: Centres, sums: dict[int, Sums]) -> Centres:
        """Return the centres of the next round; one that no point is near stays."""
        return [self.centre_of(sums[place]) if place in sums else centre for place, centre in enumerate(centres)]


def make_points(part: int, parts: int, count: int) -> Iterator[Point]:
    """Yield a part's points, which lie about as many places as there are clusters."""
    draw = random.Random(part).gauss
    places = some_points(7)
    return (tuple([draw(at, 1.5) for at in places[number % CLUSTERS]]) for number in span(part, parts, count))


def some_points(seed: int) -> list[Point]:
    """Return as many points as there are clusters."""
    draw = random.Random(seed).random
    return [tuple([10 * draw() for _ in range(DIMENSIONS)]) for _ in range(CLUSTERS)]


def nearest(centres: Centres, point: Point) -> tuple[int, Sums]:
    """Return the cluster of a point, and what the point adds to it."""
    distances = [math.dist(point, centre) for centre in centres]
    return distances.index(min(distances)), (point, 1)


def merged(left: Sums, right: Sums) -> Sums:
    """Put sums of points together."""
    return list(map(add, left[0], right[0])), left[1] + right[1]


def mean_point(sums: Sums) -> Point:
    """Return the centre of points."""
    return tuple([value / sums[1] for value in sums[0]])


async def one_round(form: Form, records: RDD[Any], centres: Centres) -> Centres:
    """Move the centres, as a user writes it."""
    assign = partial(form.assign, centres)
    pairs = records.flat_map(assign) if form.is_flat else records.map(assign)
    return form.moved(centres, await pairs.reduce_by_key(form.merge).collect_as_map())


def assign_by_hand(form: Form, count: int, parts: range, centres: Centres) -> dict[int, Sums]:
    """Assign what is in some parts, which are made at the first time."""
    merge = form.merge
    sums: dict[int, Sums] = {}
    for part in parts:
        if (form.name, count, part) not in kept:
            kept[form.name, count, part] = list(form.make(part, PARTS, count))
        pairs = map(partial(form.assign, centres), kept[form.name, count, part])
        for cluster, found in chain.from_iterable(pairs) if form.is_flat else pairs:
            sums[cluster] = merge(sums[cluster], found) if cluster in sums else found
    return sums


def one_round_by_hand(pool: HandPool, form: Form, count: int, centres: Centres) -> Centres:
    """Move the centres; of two calls the first always goes to the first process."""
    halves = [range(PARTS // 2), range(PARTS // 2, PARTS)]
    sums, others = pool.map(assign_by_hand, [(form, count, half, centres) for half in halves])
    for cluster, found in others.items():
        sums[cluster] = form.merge(sums[cluster], found) if cluster in sums else found
    return form.moved(centres, sums)


def expect_equal(ours: Centres, by_hand: Centres) -> None:
    """Check the centres: they are equal but for the order in which floats were added.

    Raises:
        AssertionError: they are not.
    """
    for one, other in zip(ours, by_hand, strict=True):
        if math.dist(one, other) > 1e-6:
            raise AssertionError(f"the centres differ: {ours} and {by_hand}")


async def measure(pool: HandPool, form: Form, count: int, rounds: int, quick: bool) -> Result:
    """Compare in one context and with one pool."""
    found: dict[str, Centres] = {}
    details: dict[str, Any] = {"points": count, "rounds": rounds, "partitions": PARTS}

    async with SparkContext("local[2]", app_name=f"benchmark-{form.name}") as sc:
        numbers = sc.parallelize(range(PARTS), PARTS)
        records = numbers.map_partitions_with_index(partial(form.made, count)).cache()

        async def ours(rounds: int = rounds) -> float:
            start = time.perf_counter()
            centres: Centres = some_points(1998)
            for _ in range(rounds):
                centres = await one_round(form, records, centres)
            found["ours"] = centres
            return time.perf_counter() - start

        async def by_hand(rounds: int = rounds) -> float:
            start = time.perf_counter()
            centres: Centres = some_points(1998)
            for _ in range(rounds):
                centres = one_round_by_hand(pool, form, count, centres)
            found["by_hand"] = centres
            return time.perf_counter() - start

        details |= {"first_round_s": await ours(1), "first_round_by_hand_s": await by_hand(1)}
        result = await compare(form.name, "s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)
    expect_equal(found["ours"], found["by_hand"])
    return result


def run_form(form: Form, quick: bool) -> Result:
    """Measure one form."""
    with HandPool(2) as pool:
        return asyncio.run(
            measure(pool, form, QUICK_COUNT if quick else COUNT, QUICK_ROUNDS if quick else ROUNDS, quick)
        )


def run(quick: bool = False) -> Result:
    """Measure."""
    return run_form(Form("kmeans", make_points, nearest, False, merged, mean_point), quick)
