"""How long it takes until 20 tasks have read 100 MB that the driver has, as bytes and as an array of numpy.

By hand: two processes map a file to which the value was copied, once; each call looks at every page of it, as each
task does. The details give both kinds apart, the time of one copy in memory, and by how much the proportional set
size of all processes grows, the file included, in multiples of the value: once per host is 1.
"""

import asyncio
import mmap
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.byhand import HandPool
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run"]

TASKS = 20
SIZE = 100_000_000
QUICK_SIZE = 10_000_000
PAGE = 4096
WORD = 8


def look_at(value: Any) -> int:
    """Touch every page of a value; return what tells values apart."""
    if isinstance(value, bytes):
        return value[::PAGE].count(b"x")
    return int(value[:: PAGE // WORD].sum())


def map_and_look(path: str, is_bytes: bool) -> int:
    """Do as a task, by hand."""
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    view = np.frombuffer(mapping, dtype=np.uint8 if is_bytes else np.int64)
    if is_bytes:
        return int((view[::PAGE] == ord("x")).sum())
    return int(view[:: PAGE // WORD].sum())


def by_hand(pool: HandPool, folder: Path, value: Any) -> float:
    """Copy a value to a file, have it looked at in 20 calls, and remove it; return the seconds."""
    path = folder / "value"
    expected = look_at(value)
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        file.write(memoryview(value).cast("B"))
    answers = pool.map(map_and_look, [(str(path), isinstance(value, bytes))] * TASKS)
    seconds = time.perf_counter() - start
    path.unlink()
    check(answers, expected)
    return seconds


async def ours(sc: SparkContext, value: Any, grown: dict[str, float], kind: str) -> float:
    """Broadcast a value, have it looked at in 20 tasks, and destroy it; return the seconds."""
    expected, before = look_at(value), tree_pss()
    start = time.perf_counter()
    broadcast = sc.broadcast(value)
    answers = await sc.parallelize(range(TASKS), TASKS).map(lambda _: look_at(broadcast.value)).collect()
    seconds = time.perf_counter() - start
    grown[f"copies_of_{kind}"] = (tree_pss() - before) / memoryview(value).nbytes
    await broadcast.destroy()
    check(answers, expected)
    return seconds


def check(answers: list[int], expected: int) -> None:
    """Make sure that all tasks have seen the value.

    Raises:
        AssertionError: they have not.
    """
    if answers != [expected] * TASKS:
        raise AssertionError(f"{answers} instead of {expected}")


def tree_pss() -> int:
    """Return the proportional set size of this process and its descendants, in bytes."""
    this = psutil.Process()
    return sum(process.memory_full_info().pss for process in [this, *this.children(recursive=True)])


def copy_s(value: bytes) -> float:
    """Return how long one copy in memory takes."""
    start = time.perf_counter()
    bytearray(value)
    return time.perf_counter() - start


async def measure(quick: bool) -> Result:
    """Compare; the details are those of the last run."""
    size = QUICK_SIZE if quick else SIZE
    values: dict[str, Any] = {"bytes": os.urandom(size), "array": np.arange(size // WORD, dtype=np.int64)}
    details: dict[str, Any] = {"memory_copy_s": min(copy_s(values["bytes"]) for _ in range(3))}
    with tempfile.TemporaryDirectory() as folder, HandPool(2) as pool:
        async with SparkContext("local[2]") as sc:

            async def way_of_ours() -> float:
                for kind, value in values.items():
                    details[f"{kind}_s"] = await ours(sc, value, details, kind)
                return float(sum(details[f"{kind}_s"] for kind in values))

            async def way_by_hand() -> float:
                for kind, value in values.items():
                    details[f"{kind}_by_hand_s"] = by_hand(pool, Path(folder), value)
                return float(sum(details[f"{kind}_by_hand_s"] for kind in values))

            return await compare(
                "broadcast", "s", "lower", ours=way_of_ours, by_hand=way_by_hand, quick=quick, details=details
            )


def run(quick: bool) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
