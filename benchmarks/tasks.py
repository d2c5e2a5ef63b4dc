"""How many tasks a second the scheduler drives: one job of 20,000 empty tasks; and what a task costs the driver.

By hand: `multiprocessing.Pool` with one task a message. Tuned: two sockets and an epoll.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.pool import Pool
from statistics import median

from benchmarks.byhand import HandPool, nothing
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["measure", "run"]

TASKS = 20_000
QUICK_TASKS = 200


def drop(_: Iterator[object]) -> None:
    """Be an empty task on a partition."""


async def measure(name: str, context: SparkContext, pool: Pool, hand: HandPool, quick: bool) -> Result:
    """Compare; each run is one job."""
    tasks = QUICK_TASKS if quick else TASKS
    driver_cpu_us: dict[str, list[float]] = {"ours": [], "by_hand": []}

    async with context as sc:
        partitions = sc.parallelize(range(0), tasks)

        async def ours() -> float:
            cpu, start = time.process_time(), time.perf_counter()
            await partitions.foreach_partition(drop)
            took = time.perf_counter() - start
            driver_cpu_us["ours"].append((time.process_time() - cpu) / tasks * 1e6)
            return tasks / took

        async def by_hand() -> float:
            cpu, start = time.process_time(), time.perf_counter()
            for _ in pool.imap_unordered(nothing, range(tasks), chunksize=1):
                pass
            took = time.perf_counter() - start
            driver_cpu_us["by_hand"].append((time.process_time() - cpu) / tasks * 1e6)
            return tasks / took

        async def tuned() -> float:
            start = time.perf_counter()
            hand.map(nothing, ((index,) for index in range(tasks)))
            return tasks / (time.perf_counter() - start)

        result = await compare(name, "tasks/s", "higher", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick)
    result.details["driver_cpu_us_per_task"] = median(driver_cpu_us["ours"])
    result.details["by_hand_cpu_us_per_task"] = median(driver_cpu_us["by_hand"])
    result.details["tasks"] = tasks
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as hand, multiprocessing.get_context("fork").Pool(2) as pool:
        context = SparkContext("local[2]", app_name="benchmark-tasks")
        return asyncio.run(measure("tasks", context, pool, hand, quick))
