"""Ranks the pages of a small generated web: an iterative job of joins. `python examples/page_rank.py [PAGES]`.

Links are placed by key once, so each round joins without moving them again.
"""

import asyncio
import random
import sys
from collections.abc import Iterable
from operator import add

from minispark import SparkContext

ROUNDS = 6
DAMPING = 0.85
PARTITIONS = 4


def small_web(pages: int) -> list[tuple[int, list[int]]]:
    """Make pages that link to a few others, mostly to those of low number."""
    chance = random.Random(1998)
    return [
        (page, sorted({int(pages * chance.random() ** 3) for _ in range(chance.randint(1, 8))} - {page}) or [0])
        for page in range(pages)
    ]


def shares(page: tuple[int, tuple[list[int], float]]) -> Iterable[tuple[int, float]]:
    """Split a page's rank among the pages it links to."""
    _, (targets, rank) = page
    return [(target, rank / len(targets)) for target in targets]


def damped(received: float) -> float:
    """Turn what a page received into its rank."""
    return 1 - DAMPING + DAMPING * received


async def rank(sc: SparkContext, web: list[tuple[int, list[int]]], rounds: int = ROUNDS) -> list[tuple[int, float]]:
    """Return the five pages of the highest rank."""
    links = sc.parallelize(web, PARTITIONS).partition_by(PARTITIONS)
    ranks = links.map_values(lambda _: 1.0)
    for _ in range(rounds):
        received = links.join(ranks, PARTITIONS).flat_map(shares).reduce_by_key(add, PARTITIONS)
        ranks = received.map_values(damped)
    return await ranks.top(5, key=lambda ranked: (ranked[1], -ranked[0]))


async def main(pages: int) -> None:
    """Rank and print."""
    async with SparkContext("local[*]", app_name="page rank") as sc:
        for page, value in await rank(sc, small_web(pages)):
            print(f"page {page:>5}: {value:8.3f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000))
