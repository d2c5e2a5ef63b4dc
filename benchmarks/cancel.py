"""How soon a slot runs another task after the `await` of a job was cancelled, by what the cancelled task was doing.

By hand: a process that is killed, and another one forked in its place.
"""

import asyncio
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run"]

TIMES = {"python_loop": 5, "sleep": 5, "blocking_c_call": 1}
SETTLE_S = 0.02
START_S = 30.0


def python_loop(flag: Path) -> None:
    """Run bytecode for ever."""
    flag.touch()
    while True:
        pass


def sleep(flag: Path) -> None:
    """Wait in a call that signals interrupt."""
    flag.touch()
    time.sleep(3600)


def blocking_c_call(flag: Path) -> None:
    """Run C code for ever that never looks for signals."""
    flag.touch()
    sum(itertools.repeat(0))


BODIES: dict[str, Callable[[Path], None]] = {
    "python_loop": python_loop,
    "sleep": sleep,
    "blocking_c_call": blocking_c_call,
}


def now(_: object) -> float:
    """Return the clock that all processes of a machine share."""
    return time.monotonic()


def taken(flag: Path) -> bool:
    """Tell whether a task has made its file; it is removed."""
    if not flag.exists():
        return False
    flag.unlink()
    return True


async def appears(flag: Path) -> None:
    """Wait until a task has made its file, and a moment."""
    async with asyncio.timeout(START_S):
        while not taken(flag):  # noqa: ASYNC110 - the task is in another process
            await asyncio.sleep(0.002)
    await asyncio.sleep(SETTLE_S)


async def cancel_job(sc: SparkContext, body: Callable[[Path], None], flag: Path) -> float:
    """Cancel a job on the only slot; return the ms until the next job's task runs."""
    job = asyncio.ensure_future(sc.parallelize([flag], 1).foreach(body))
    await appears(flag)
    start = time.monotonic()
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job
    began: float = await sc.parallelize([0], 1).map(now).first()
    return (began - start) * 1e3


async def kill_process(body: Callable[[Path], None], flag: Path) -> float:
    """Kill a process; return the ms until another one runs."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=body, args=(flag,), daemon=True)
    process.start()
    await appears(flag)
    start = time.monotonic()
    process.kill()
    process.join()
    reader, writer = fork.Pipe(duplex=False)
    successor = fork.Process(target=lambda: writer.send(now(None)), daemon=True)
    successor.start()
    began: float = reader.recv()
    successor.join()
    return (began - start) * 1e3


async def measure_body(sc: SparkContext, name: str, folder: Path, quick: bool) -> Result:
    """Compare for one kind of task; each run is the median of a few cancels."""
    times = 1 if quick else TIMES[name]

    async def ours() -> float:
        return median([await cancel_job(sc, BODIES[name], folder / f"ours-{index}") for index in range(times)])

    async def by_hand() -> float:
        return median([await kill_process(BODIES[name], folder / f"hand-{index}") for index in range(times)])

    return await compare("cancel", "ms", "lower", ours=ours, by_hand=by_hand, quick=quick)


async def measure(quick: bool) -> Result:
    """Compare for each kind; the result is that of the loop in Python, the others are details."""
    with tempfile.TemporaryDirectory(prefix="cancel-") as folder:
        async with SparkContext("local[1]", app_name="benchmark-cancel") as sc:
            results = {name: await measure_body(sc, name, Path(folder), quick) for name in BODIES}
    result = results["python_loop"]
    for name, other in results.items():
        result.details[f"{name}_ms"] = other.value
        result.details[f"{name}_max_ms"] = max(other.details["ours"]["values"])
        result.details[f"{name}_by_hand_ms"] = other.limit
    # Killing is already the fastest that can be done by hand.
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
