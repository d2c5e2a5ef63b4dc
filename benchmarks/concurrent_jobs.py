"""How many small jobs a second a service gets done that runs 16 at a time: two partitions, one stage each.

By hand: 16 coroutines that share two worker processes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from operator import neg

from benchmarks.byhand import AsyncHandPool, HandPool
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run"]

AT_A_TIME = 16
JOBS = 1600
QUICK_JOBS = 32


async def jobs_per_s(job: Callable[[], Awaitable[object]], jobs: int) -> float:
    """Run that many jobs, 16 at a time."""

    async def one_after_another() -> None:
        for _ in range(jobs // AT_A_TIME):
            await job()

    start = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(AT_A_TIME)))
    return jobs / (time.perf_counter() - start)


async def measure(pool: HandPool, quick: bool) -> Result:
    """Compare in one context."""
    jobs = QUICK_JOBS if quick else JOBS
    hand = AsyncHandPool(pool)

    async with SparkContext("local[2]", app_name="benchmark-concurrent-jobs") as sc:
        numbers = sc.parallelize(range(2), 2).map(neg)

        async def ours() -> float:
            return await jobs_per_s(numbers.collect, jobs)

        async def by_hand() -> float:
            return await jobs_per_s(lambda: asyncio.gather(hand.submit(neg, 0), hand.submit(neg, 1)), jobs)

        result = await compare(
            "concurrent_jobs", "jobs/s", "higher", ours=ours, by_hand=by_hand, quick=quick,
            details={"at_a_time": AT_A_TIME, "jobs": jobs},
        )  # fmt: skip
    hand.close()
    # The loop and pipes by hand are already all that a tuned form could be.
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool:
        return asyncio.run(measure(pool, quick))
