"""How long a script takes from the start of its process over the first result to its end; and the import alone.

Modules are compiled, as they are wherever a package was used once.

By hand: the same script with a pool of two forked processes. Tuned: bare Python without any.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Result, compare

__all__ = ["OURS", "run"]

OURS = """
import asyncio
from minispark import SparkContext

async def main():
    async with SparkContext("local[2]") as sc:
        return await sc.parallelize(range(10), 2).map(lambda n: n * n).collect()

print(sum(asyncio.run(main())))
"""
BY_HAND = """
import multiprocessing

def square(n):
    return n * n

with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(square, range(10))))
"""
TUNED = "print(sum(n * n for n in range(10)))"
IMPORT = "from minispark import SparkContext"


def run_script(text: str) -> float:
    """Run a script in a process of its own; return its seconds.

    Raises:
        AssertionError: it failed, or wrote to stderr.
    """
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        script = Path(folder, "script.py")
        script.write_text(text)
        start = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": ""},
        )  # fmt: skip
        took = time.perf_counter() - start
    if ended.returncode or ended.stderr:
        raise AssertionError(f"exit code {ended.returncode}\n{ended.stderr}")
    return took


async def measure(quick: bool) -> Result:
    """Compare the scripts; the loop has nothing else to do meanwhile."""

    async def ours() -> float:
        return run_script(OURS)

    async def by_hand() -> float:
        return run_script(BY_HAND)

    async def tuned() -> float:
        return run_script(TUNED)

    async def imported() -> float:
        return run_script(IMPORT)

    async def bare() -> float:
        return run_script("pass")

    imports = await compare("import", "s", "lower", ours=imported, by_hand=bare, quick=quick)
    details = {"import_s": imports.value, "bare_python_s": imports.limit}
    return await compare(
        "startup", "s", "lower", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick, details=details
    )


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
