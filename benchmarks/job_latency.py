"""How long a small job takes in a warm context: two partitions, one stage; one job after another.

By hand: a call sent to each of two worker processes over a pipe, and both answers awaited.
"""

import asyncio
import time
from collections import defaultdict
from operator import neg
from statistics import median

from benchmarks.byhand import AsyncHandPool, HandPool
from benchmarks.harness import Result, compare, percentile
from minispark import SparkContext

__all__ = ["measure", "run"]

JOBS = 400
QUICK_JOBS = 20


async def measure(name: str, context: SparkContext, pool: HandPool, quick: bool) -> Result:
    """Compare in one context; each run is a series of jobs, its figure their median."""
    jobs = QUICK_JOBS if quick else JOBS
    taken: defaultdict[str, list[float]] = defaultdict(list)
    hand = AsyncHandPool(pool)

    def series_median(way: str, times: list[float]) -> float:
        taken[way] += times
        return median(times)

    async with context as sc:
        numbers = sc.parallelize(range(2), 2).map(neg)

        async def ours() -> float:
            times = []
            for _ in range(jobs):
                start = time.perf_counter()
                await numbers.collect()
                times.append((time.perf_counter() - start) * 1e3)
            return series_median("ours", times)

        async def by_hand() -> float:
            times = []
            for _ in range(jobs):
                start = time.perf_counter()
                await asyncio.gather(hand.submit(neg, 0), hand.submit(neg, 1))
                times.append((time.perf_counter() - start) * 1e3)
            return series_median("by_hand", times)

        async def tuned() -> float:
            times = []
            for _ in range(jobs):
                start = time.perf_counter()
                pool.map(neg, [(0,), (1,)])
                times.append((time.perf_counter() - start) * 1e3)
            return series_median("tuned", times)

        result = await compare(name, "ms", "lower", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick)
    hand.close()
    for way, times in taken.items():
        result.details[f"{way}_p99_ms"] = percentile(times, 99)
        result.details[f"{way}_max_ms"] = max(times)
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool:
        context = SparkContext("local[2]", app_name="benchmark-job-latency")
        return asyncio.run(measure("job_latency", context, pool, quick))
