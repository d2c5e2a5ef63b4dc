"""How long page rank takes: a million links among 100,000 pages, ten rounds, on two cores; from links to ranks.

By hand: the same dataflow in two processes, and a tuned form of it; see `hand_pagerank`. Whether a round costs more
the more there were before is in the details: the medians of the first and of the last rounds of a long run, with an
action in each, and what the driver holds then.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import add
from statistics import median
from typing import Any

import psutil

from benchmarks.byhand import HandPool
from benchmarks.data import damped, links_of, shares
from benchmarks.hand_pagerank import Checksum, Send, checksum, rank_by_hand, same_dataflow, tuned
from benchmarks.harness import Result, compare
from minispark import SparkContext
from minispark.rdd.rdd import RDD

__all__ = ["run"]

PAGES = 100_000
LINKS = 1_000_000
QUICK_PAGES = 1_000
QUICK_LINKS = 10_000
PARTS = 4
ROUNDS = 10
LONG = 100
QUICK_LONG = 10


def links_in(pages: int, count: int, part: int, records: Any) -> Iterator[tuple[int, int]]:
    """Make a part's links."""
    return links_of(part, PARTS, pages, count)


def first_rank(targets: list[int]) -> float:
    """Return what a page begins with."""
    return 1.0


def checksums(ranks: Iterator[tuple[int, float]]) -> list[Checksum]:
    """Return the checksum of a partition."""
    return [checksum(ranks)]


def linked(sc: SparkContext, pages: int, count: int) -> RDD[tuple[int, list[int]]]:
    """Return the pages with those that they link to."""
    links = sc.parallelize(range(PARTS), PARTS).map_partitions_with_index(partial(links_in, pages, count))
    return links.group_by_key(PARTS).cache()


def ranked_again(links: RDD[tuple[int, list[int]]], ranks: RDD[tuple[int, float]]) -> RDD[tuple[int, float]]:
    """Return the ranks after one more round."""
    return links.join(ranks, PARTS).flat_map(shares).reduce_by_key(add, PARTS).map_values(damped)


async def rank(sc: SparkContext, pages: int, count: int, rounds: int) -> list[Checksum]:
    """Rank as a user writes it."""
    links = linked(sc, pages, count)
    ranks = links.map_values(first_rank)
    for _ in range(rounds):
        ranks = ranked_again(links, ranks)
    return await ranks.map_partitions(checksums).collect()


async def growth(sc: SparkContext, pages: int, count: int, rounds: int) -> dict[str, Any]:
    """Rank for many rounds with an action in each; return what the last ones cost beside the first."""
    links = linked(sc, pages, count)
    ranks = links.map_values(first_rank)
    driver = psutil.Process()
    took: list[float] = []
    memory_mb: list[float] = []
    handles: list[int] = []
    for _ in range(rounds):
        start = time.perf_counter()
        before, ranks = ranks, ranked_again(links, ranks).cache()
        await ranks.count()
        before.unpersist()
        took.append(time.perf_counter() - start)
        memory_mb.append(driver.memory_info().rss / 1e6)
        handles.append(driver.num_fds())
    some = max(1, rounds // 5)
    return {
        "rounds": rounds,
        "first_ms": 1e3 * median(took[1 : 1 + some]),
        "last_ms": 1e3 * median(took[-some:]),
        "driver_mb": [memory_mb[some], memory_mb[-1]],
        "driver_handles": [handles[some], handles[-1]],
        "blocks_kept": sum(kept.num_cached for kept in sc.storage_status()),
    }


async def measure(pool: HandPool, pages: int, count: int, quick: bool) -> Result:
    """Compare in one context and with one pool."""
    found: dict[str, list[Checksum]] = {}

    async with SparkContext("local[2]", app_name="benchmark-pagerank") as sc:

        async def ours() -> float:
            start = time.perf_counter()
            found["ours"] = await rank(sc, pages, count, ROUNDS)
            return time.perf_counter() - start

        async def by_hand(name: str = "by_hand", send: Send = same_dataflow) -> float:
            start = time.perf_counter()
            found[name] = rank_by_hand(pool, pages, count, PARTS, ROUNDS, send)
            return time.perf_counter() - start

        details: dict[str, Any] = {"pages": pages, "links": count, "rounds": ROUNDS, "partitions": PARTS}
        result = await compare(
            "pagerank", "s", "lower",
            ours=ours, by_hand=by_hand, tuned=partial(by_hand, "tuned", tuned), quick=quick, details=details,
        )  # fmt: skip
        long_run = await growth(sc, pages // 100, count // 100, QUICK_LONG if quick else LONG)
    for name in ("by_hand", "tuned"):
        expect_equal(found["ours"], found[name])
    return replace(result, details=result.details | {"growth": long_run})


def expect_equal(ours: list[Checksum], others: list[Checksum]) -> None:
    """Check the ranks: they are equal but for the order in which floats were added.

    Raises:
        AssertionError: they are not.
    """
    for one, other in zip(chain.from_iterable(ours), chain.from_iterable(others), strict=True):
        if not math.isclose(one, other, rel_tol=1e-9):
            raise AssertionError(f"the ranks differ: {ours} and {others}")


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool:
        return asyncio.run(measure(pool, *((QUICK_PAGES, QUICK_LINKS) if quick else (PAGES, LINKS)), quick))
