"""How long a 2 s job waits behind a 60 s job, in one pool (FIFO) and in two (FAIR): simulated, and for real.

For real everything is ten times shorter, on `local[2]`. The figure is the short job's response time with FAIR; by
hand is the same job alone. With two pools it gets half of the slots, so twice that is what can be had.
"""

import asyncio
import time
from collections.abc import Iterator

from benchmarks.harness import Result, compare
from minispark import RDD, SparkConf, SparkContext
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import TaskScript
from minispark.testing.simulated_cluster import SimulatedCluster, SimulatedJob, executors

__all__ = ["response_simulated_s", "run"]

CORES = 2
LONG_TASKS = 120  # of a second each: 60 s on two cores
SHORT_TASKS = 4
SCALE = 10  # for real, a task takes this part of a second
HEAD_START_S = 1.0
POOL = "minispark.scheduler.pool"


def response_simulated_s(mode: str) -> tuple[float, float]:
    """Return the response times of the short job, and of the long one, in a simulation."""
    conf = SparkConf(environment={}).set("minispark.scheduler.mode", mode)
    cluster = SimulatedCluster(executors(1, cores=CORES), conf=conf, script=TaskScript(1.0))
    long = submit(cluster, LONG_TASKS, "long")
    short: list[SimulatedJob] = []
    cluster.world.call_later(HEAD_START_S / 2, lambda: short.append(submit(cluster, SHORT_TASKS, "short")))
    cluster.run()
    cluster.assert_empty()
    return short[0].response_s, long.response_s


def submit(cluster: SimulatedCluster, tasks: int, pool: str) -> SimulatedJob:
    """Submit a job of one stage in a pool of its own."""
    build = LineageBuilder()
    build.source(tasks)
    return cluster.submit(build.lineage(), properties={POOL: pool})


def pause(records: Iterator[int]) -> Iterator[int]:
    """Take a scaled second."""
    time.sleep(1 / SCALE)
    return records


async def run_in_pool(sc: SparkContext, numbers: RDD[int], pool: str) -> float:
    """Run a job in a pool; return its response time in scaled seconds."""
    sc.set_pool(pool)  # of this asyncio task alone
    start = time.perf_counter()
    await numbers.map_partitions(pause).count()
    return (time.perf_counter() - start) * SCALE


async def response_s(mode: str, long_tasks: int) -> float:
    """Return the short job's response time behind a long job; with none, alone."""
    conf = SparkConf().set("minispark.scheduler.mode", mode)
    async with SparkContext(f"local[{CORES}]", "benchmark-fairness", conf) as sc:
        await run_in_pool(sc, sc.range(0, CORES, 1, CORES), "warm")
        short = sc.range(0, SHORT_TASKS, 1, SHORT_TASKS)
        if not long_tasks:
            return await run_in_pool(sc, short, "short")
        async with asyncio.TaskGroup() as group:
            long = sc.range(0, long_tasks, 1, long_tasks)
            behind = group.create_task(run_in_pool(sc, long, "long"))
            await asyncio.sleep(HEAD_START_S / SCALE / 2)
            took = await run_in_pool(sc, short, "short")
            behind.cancel()
        return took


async def measure(quick: bool) -> Result:
    """Compare the two modes, and the short job alone."""
    long_tasks = 20 if quick else LONG_TASKS
    fifo = [] if quick else [await response_s("fifo", long_tasks)]

    simulated = {mode: response_simulated_s(mode) for mode in ("fifo", "fair")}
    return await compare(
        "fairness", "s", "lower",
        ours=lambda: response_s("fair", long_tasks), by_hand=lambda: response_s("fair", 0), quick=quick,
        details={
            "fifo_s": fifo,
            "simulated_short_s": {mode: found[0] for mode, found in simulated.items()},
            "simulated_long_s": {mode: found[1] for mode, found in simulated.items()},
            "scale": SCALE,
        },
    )  # fmt: skip


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
