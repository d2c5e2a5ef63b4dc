"""How late the driver's loop, which may be a web service's, is while jobs run: 20,000 tasks, and 200 MB collected.

By hand: the same calls to a `multiprocessing.Pool` from a thread. Tuned: a loop beside which nothing runs.
"""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Iterator
from multiprocessing.pool import Pool

from benchmarks.byhand import nothing
from benchmarks.harness import Result, compare, percentile
from minispark import SparkContext

__all__ = ["LagProbe", "run"]

TASKS = 20_000
MEGABYTES = 200
QUICK_TASKS = 200
QUICK_MEGABYTES = 2
INTERVAL_S = 0.002


class LagProbe:
    """Sleeps a little, over and over, and notes how much too late it woke, in ms."""

    def __init__(self) -> None:
        self.lags_ms: list[float] = []

    async def sample(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self.lags_ms.append(max(0.0, (loop.time() - due) * 1e3))

    async def during(self, work: Awaitable[object]) -> list[float]:
        """Return the lags while that was done."""
        self.lags_ms = []
        sampling = asyncio.ensure_future(self.sample())
        await asyncio.sleep(INTERVAL_S)
        _result = await work  # freed after the last sample: 200 MB take their owner 15 ms
        await asyncio.sleep(2 * INTERVAL_S)  # so that a last long turn is seen
        sampling.cancel()
        return self.lags_ms


def drop(_: Iterator[object]) -> None:
    """Be an empty task on a partition."""


def megabyte(seed: int) -> list[bytes]:
    """Make a thousand records of a thousand bytes."""
    return [seed.to_bytes(2) * 500 for _ in range(1000)]


async def measure(pool: Pool, quick: bool) -> Result:
    """Compare in one context; each run gives the worse p99 of the two kinds of work."""
    tasks, megabytes = (QUICK_TASKS, QUICK_MEGABYTES) if quick else (TASKS, MEGABYTES)
    probe = LagProbe()
    worst: dict[str, float] = {}

    def note(who: str, lags: dict[str, list[float]]) -> float:
        for work, values in lags.items():
            for name, figure in (("p99_ms", percentile(values, 99)), ("max_ms", max(values))):
                key = f"{who}_{work}_{name}"
                worst[key] = max(worst.get(key, 0.0), figure)
        return max(percentile(values, 99) for values in lags.values())

    async with SparkContext("local[2]", app_name="benchmark-loop-lag") as sc:
        empty = sc.parallelize(range(0), tasks)
        large = sc.parallelize(range(megabytes), megabytes).flat_map(megabyte)

        async def ours() -> float:
            return note("ours", {
                "tasks": await probe.during(empty.foreach_partition(drop)),
                "collect": await probe.during(large.collect()),
            })  # fmt: skip

        async def by_hand() -> float:
            return note("by_hand", {
                "tasks": await probe.during(asyncio.to_thread(pool.map, nothing, range(tasks), 1)),
                "collect": await probe.during(asyncio.to_thread(pool.map, megabyte, range(megabytes), 1)),
            })  # fmt: skip

        async def tuned() -> float:
            return note("idle", {"loop": await probe.during(asyncio.sleep(0.1 if quick else 1.0))})

        return await compare(
            "loop_lag", "ms", "lower", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick, details=worst
        )


def run(quick: bool = False) -> Result:
    """Measure."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return asyncio.run(measure(pool, quick))
