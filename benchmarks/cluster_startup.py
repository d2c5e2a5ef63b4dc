"""How long `minispark submit` of a trivial program takes to its exit, on a cluster that is up: 2 workers × 1 core.

By hand: a script with a pool of two forked processes. Tuned: the same program in `local[2]`, without a cluster.
"""

import asyncio
import subprocess
import time

from benchmarks.daemons import Daemons
from benchmarks.harness import Result, compare
from benchmarks.startup import BY_HAND, OURS, run_script

__all__ = ["run"]

PROGRAM = OURS.replace('SparkContext("local[2]")', "SparkContext()")


def submit(daemons: Daemons) -> float:
    """Submit the program; return its seconds.

    Raises:
        AssertionError: it failed, or gave a wrong answer.
    """
    script = daemons.folder / "program.py"
    script.write_text(PROGRAM)
    command = daemons.command("submit", "--master", daemons.url, str(script))
    start = time.perf_counter()
    ended = subprocess.run(command, env=daemons.environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if ended.returncode or ended.stdout.strip() != "285" or ended.stderr:
        raise AssertionError(f"exit code {ended.returncode}, {ended.stdout!r}\n{ended.stderr}")
    return took


async def measure(daemons: Daemons, quick: bool) -> Result:
    """Compare; the loop has nothing else to do meanwhile."""

    async def ours() -> float:
        return submit(daemons)

    async def by_hand() -> float:
        return run_script(BY_HAND)

    async def tuned() -> float:
        return run_script(OURS)

    return await compare("cluster_startup", "s", "lower", ours=ours, by_hand=by_hand, tuned=tuned, quick=quick)


def run(quick: bool = False) -> Result:
    """Measure."""
    with Daemons() as daemons:
        return asyncio.run(measure(daemons, quick))
