"""Group and sort of data that is four times the memory bound, beside the same within memory.

Measured: that it completes, how much memory the runners take at most (PSS of the tree every 50 ms, what it took when
idle subtracted), and the time for a record beside that of a context whose bound is not reached.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.data import lines_sum
from benchmarks.group import count_groups
from benchmarks.harness import Result, compare
from benchmarks.sort import save_sorted
from minispark import SparkConf, SparkContext

__all__ = ["measure_external", "run_group", "run_sort"]

BOUND = 128 << 20
QUICK_BOUND = 2 << 20
TIMES = 4
GROUP_BYTES = 44  # about what a pair takes when it is grouped: its number and its place in a list
SORT_BYTES = 265  # and a record that is sorted: a pair of twice the same text
MAPS = 8
REDUCERS = 2

Job = Callable[[SparkContext, int, Path], Awaitable[Any]]


def tree_pss() -> int:
    """Return the memory of this process's descendants, shared pages in parts."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):
            for line in Path(f"/proc/{child.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total


class Sampler(threading.Thread):
    """Notes the most that `tree_pss` gives while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.idle = tree_pss()
        self.most = self.idle
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample every 50 ms."""
        while not self.ended.wait(0.05):
            self.most = max(self.most, tree_pss())

    def grown(self) -> int:
        """Stop, and return by how much the memory grew."""
        self.ended.set()
        self.join()
        return self.most - self.idle


async def measure_external(name: str, job: Job, bound: int, record_bytes: int, quick: bool, folder: Path) -> Result:
    """Compare a context with a small bound with one that has memory enough, each new for each run."""
    count = TIMES * bound // record_bytes
    grown: list[int] = []
    found: dict[str, Any] = {}
    runs = iter(range(100))

    async def timed(kind: str, share: int) -> float:
        conf = SparkConf({"minispark.memory.taskSize": str(share)})
        async with SparkContext("local[2]", app_name=f"benchmark-{name}", conf=conf) as sc:
            await sc.parallelize(range(2), 2).count()
            sampler = Sampler()
            sampler.start()
            start = time.perf_counter()
            found[kind] = await job(sc, count, folder / f"{kind}-{next(runs)}")
            seconds = time.perf_counter() - start
            if kind == "external":
                grown.append(sampler.grown())
            return seconds * 1e6 / count

    async def external() -> float:
        return await timed("external", bound // 2)

    async def in_memory() -> float:
        return await timed("in_memory", 1 << 40)

    details: dict[str, Any] = {"records": count, "bound_mb": bound >> 20}
    result = await compare(name, "µs", "lower", ours=external, by_hand=in_memory, quick=quick, details=details)
    if found["external"] != found["in_memory"]:
        raise AssertionError(f"the results differ: {found}")
    result.details["grown_mb"] = [size >> 20 for size in grown]
    result.details["of_bound"] = max(grown) / bound
    return result


async def group(sc: SparkContext, count: int, target: Path) -> tuple[int, int]:
    """Group."""
    return await count_groups(sc, count, MAPS, REDUCERS)


async def sort(sc: SparkContext, count: int, target: Path) -> tuple[int, int, bool]:
    """Sort, and look at the files."""
    await save_sorted(sc, count, MAPS, REDUCERS, target)
    return lines_sum(target)


def run_group(quick: bool = False) -> Result:
    """Measure group_by_key."""
    bound = QUICK_BOUND if quick else BOUND
    return asyncio.run(measure_external("group_external", group, bound, GROUP_BYTES, quick, Path()))


def run_sort(quick: bool = False) -> Result:
    """Measure sort_by."""
    bound = QUICK_BOUND if quick else BOUND
    with tempfile.TemporaryDirectory(prefix="benchmark-sort-") as folder:
        return asyncio.run(measure_external("sort_external", sort, bound, SORT_BYTES, quick, Path(folder)))
