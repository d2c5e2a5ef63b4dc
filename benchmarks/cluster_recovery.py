"""What the loss of an executor costs: `kill -9` of one of two in the reduce phase of a 20 s job.

Tasks sleep, so that their work is known. The value is how much longer the job took than without the loss; the limit
is the work that was lost, in core seconds: the map outputs of the dead executor, and what its running task had done.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.daemons import Daemons
from benchmarks.harness import Result, compare
from minispark import RDD, SparkContext
from minispark.messages.listener import ListenerEvent, StageSubmitted, TaskEnd, TaskStart
from minispark.messages.task import Success

__all__ = ["run"]

MAPS = 20
MAP_S = 0.25
REDUCERS = 20
REDUCE_S = 1.75
QUICK_DIVISOR = 20


def slow_map(seconds: float, records: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Take a time, and give each record a key."""
    time.sleep(seconds)
    return ((number % 97, number) for number in records)


def slow_reduce(seconds: float, groups: Iterator[tuple[int, int]]) -> Iterator[int]:
    """Take a time, and add up."""
    time.sleep(seconds)
    yield sum(total for _, total in groups)


class Watch:
    """A listener that sees which executor ran what, and says when half of the reduce tasks are done."""

    def __init__(self) -> None:
        self.maps: dict[str, int] = {}
        self.running: dict[int, tuple[str, float]] = {}
        self.map_stage = -1
        self.reduced = 0
        self.half = asyncio.Event()

    def on_event(self, event: ListenerEvent) -> None:
        """Note where attempts run, and what they have done."""
        match event:
            case StageSubmitted() if self.map_stage < 0:
                self.map_stage = event.stage.stage_id
            case TaskStart():
                self.running[event.task.task_id] = event.task.executor_id, time.perf_counter()
            case TaskEnd():
                self.running.pop(event.task.task_id, None)
                if isinstance(event.reason, Success):
                    self.succeeded(event)

    def succeeded(self, event: TaskEnd) -> None:
        """Count map outputs by executor, and reduce tasks."""
        if event.stage_id == self.map_stage:
            executor = event.task.executor_id
            self.maps[executor] = self.maps.get(executor, 0) + 1
            return
        self.reduced += 1
        if self.reduced == REDUCERS // 2:
            self.half.set()

    def lost_s(self, executor: str, map_s: float) -> float:
        """Return the work that goes with an executor now."""
        now = time.perf_counter()
        underway = sum(now - since for runs_on, since in self.running.values() if runs_on == executor)
        return self.maps.get(executor, 0) * map_s + underway


def job(sc: SparkContext, divisor: int) -> RDD[int]:
    """Return what is computed; its sum is known."""
    map_s, reduce_s = MAP_S / divisor, REDUCE_S / divisor
    pairs = sc.range(0, 10_000, 1, MAPS).map_partitions(lambda records: slow_map(map_s, records))
    return pairs.reduce_by_key(lambda a, b: a + b, REDUCERS).map_partitions(
        lambda groups: slow_reduce(reduce_s, groups)
    )


async def timed(daemons: Daemons, divisor: int, *, kill: bool, details: dict[str, Any]) -> float:
    """Run the job in a context of its own, perhaps with a loss; return its seconds."""
    async with SparkContext(conf=daemons.conf()) as sc:
        await sc.range(0, 4, 1, 4).count()
        watch = Watch()
        rdd = job(sc, divisor)
        sc.add_listener(watch)
        start = time.perf_counter()
        running = asyncio.ensure_future(rdd.sum())
        if kill:
            await watch.half.wait()
            executor, process = next(iter(daemons.executors().items()))
            details["lost_s"] = watch.lost_s(executor, MAP_S / divisor)
            process.kill()
        total: int = await running
        took = time.perf_counter() - start
    if total != sum(range(10_000)):
        raise AssertionError(f"the sum is {total}")
    return took


async def measure(daemons: Daemons, quick: bool) -> Result:
    """Compare runs with a loss to the work that it costs."""
    divisor = QUICK_DIVISOR if quick else 1
    details: dict[str, Any] = {"undisturbed_s": await timed(daemons, divisor, kill=False, details={})}

    async def ours() -> float:
        took = await timed(daemons, divisor, kill=True, details=details)
        return took - float(details["undisturbed_s"])

    async def lost() -> float:
        return float(details["lost_s"])

    return await compare("cluster_recovery", "s", "lower", ours=ours, by_hand=lost, quick=quick, details=details)


def run(quick: bool = False) -> Result:
    """Measure."""
    with Daemons() as daemons:
        return asyncio.run(measure(daemons, quick))
