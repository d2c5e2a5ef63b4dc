"""What an idle context holds: the proportional set size of all its processes, after one job.

By hand: a script with a pool of two forked processes, after one call. Tuned: bare Python.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.harness import Result, compare

__all__ = ["run"]

OURS = """
import asyncio
from minispark import SparkContext

async def main():
    async with SparkContext("local[2]") as sc:
        print(await sc.parallelize(range(10), 2).map(lambda n: n * n).sum(), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, input)

asyncio.run(main())
"""
BY_HAND = """
import multiprocessing

def square(n):
    return n * n

with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(square, range(10))), flush=True)
    input()
"""
TUNED = "print(sum(n * n for n in range(10)), flush=True); input()"


def measure_script(text: str, shares: dict[str, float] | None = None) -> float:
    """Run a script until it has printed and waits; return the MB of its whole process tree.

    Raises:
        AssertionError: it gave the wrong answer or failed.
    """
    script = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert script.stdin is not None
    assert script.stdout is not None
    answer = script.stdout.readline()
    root = psutil.Process(script.pid)
    processes = [root, *root.children(recursive=True)]
    sizes = [process.memory_full_info().pss / 1e6 for process in processes]
    if shares is not None:
        shares.update({f"process_{index}_mb": size for index, size in enumerate(sizes)})
    script.stdin.write("\n")
    script.stdin.close()
    script.stdout.close()
    if answer.strip() != "285" or script.wait() != 0:
        raise AssertionError(f"answer {answer!r}, exit code {script.wait()}")
    return sum(sizes)


async def measure(quick: bool) -> Result:
    """Compare the scripts."""
    details: dict[str, float] = {}

    async def ours() -> float:
        return measure_script(OURS, details)

    async def by_hand() -> float:
        return measure_script(BY_HAND)

    async def tuned() -> float:
        return measure_script(TUNED)

    return await compare(
        "memory", "MB", "lower", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick, details=details
    )


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
