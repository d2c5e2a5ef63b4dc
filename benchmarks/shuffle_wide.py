"""Whether a shuffle of 1,000 × 1,000 partitions of small data takes long, and how many files are open meanwhile."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from operator import add

import psutil

from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run", "shuffle"]

PARTITIONS = 1000
QUICK_PARTITIONS = 50
RECORDS = 1_000_000
QUICK_RECORDS = 10_000


def by_key(number: int) -> tuple[int, int]:
    """Return a pair for a number."""
    return number % 100_003, 1


async def shuffle(sc: SparkContext, records: int, partitions: int) -> int:
    """Add up by key, from so many partitions to as many."""
    sums = sc.range(0, records, num_slices=partitions).map(by_key).reduce_by_key(add, partitions)
    return await sums.values().sum()


def most_open_files(ended: threading.Event, found: list[int]) -> None:
    """Note the most files that a process of this tree has open."""
    most = 0
    while not ended.wait(0.25):
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with suppress(OSError):
                most = max(most, len(os.listdir(f"/proc/{process.pid}/fd")))
    found.append(most)


async def measure(records: int, partitions: int, quick: bool) -> Result:
    """Compare with the same records in few partitions: what is left is the price of the partitions."""
    open_files: list[int] = []

    async with SparkContext("local[2]", app_name="benchmark-shuffle-wide") as sc:

        async def timed(job: Awaitable[int]) -> float:
            start = time.perf_counter()
            if await job != records:
                raise AssertionError("records were lost")
            return time.perf_counter() - start

        async def wide() -> float:
            ended = threading.Event()
            thread = threading.Thread(target=most_open_files, args=(ended, open_files))
            thread.start()
            try:
                return await timed(shuffle(sc, records, partitions))
            finally:
                ended.set()
                thread.join()

        async def narrow() -> float:
            return await timed(shuffle(sc, records, 8))

        details = {"records": records, "partitions": partitions}
        result = await compare("shuffle_wide", "s", "lower", ours=wide, by_hand=narrow, quick=quick, details=details)
    result.details["most_open_files"] = max(open_files)
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    records, partitions = (QUICK_RECORDS, QUICK_PARTITIONS) if quick else (RECORDS, PARTITIONS)
    return asyncio.run(measure(records, partitions, quick))
