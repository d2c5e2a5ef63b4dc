"""Finds the clusters of points: an iterative job over an RDD that is kept. `python examples/k_means.py [POINTS]`.

The points are made once, in the tasks, and stay where they were made. Each round sends the centres to them, and back
come a sum and a number for each.
"""

import asyncio
import math
import random
import sys
from functools import partial
from operator import add

from minispark import SparkContext

ROUNDS = 10
PARTITIONS = 4
PLACES = [(2.0, 2.0), (8.0, 3.0), (5.0, 8.0)]

Point = tuple[float, ...]
Sum = tuple[Point, int]


def scattered(number: int) -> Point:
    """Make a point near one of the places."""
    chance = random.Random(number)
    return tuple(chance.gauss(at, 1.0) for at in PLACES[number % len(PLACES)])


def assigned(centres: list[Point], point: Point) -> tuple[int, Sum]:
    """Return which centre is nearest to a point, and the point as a sum of its own."""
    return min(range(len(centres)), key=lambda place: math.dist(point, centres[place])), (point, 1)


def added(left: Sum, right: Sum) -> Sum:
    """Add the sums of some points."""
    return tuple(map(add, left[0], right[0])), left[1] + right[1]


def middle(total: Sum) -> Point:
    """Return the middle of some points."""
    return tuple(value / total[1] for value in total[0])


async def k_means(sc: SparkContext, count: int, rounds: int = ROUNDS) -> list[tuple[Point, int]]:
    """Return the centres in order, each with the number of its points."""
    points = sc.range(count, num_slices=PARTITIONS).map(scattered).cache()
    centres = await points.take(len(PLACES))
    sums: dict[int, Sum] = {}
    for _ in range(rounds):
        sums = await points.map(partial(assigned, centres)).reduce_by_key(added).collect_as_map()
        centres = [middle(sums[place]) if place in sums else centre for place, centre in enumerate(centres)]
    return sorted((centres[place], total[1]) for place, total in sums.items())


async def main(count: int) -> None:
    """Find and print."""
    async with SparkContext("local[*]", app_name="k-means") as sc:
        for (x, y), number in await k_means(sc, count):
            print(f"{number:>7,} points around ({x:.2f}, {y:.2f})")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
