"""What an idle master and an idle worker hold together: their proportional set size, after one application.

By hand: two bare Python processes that wait. `details` has each of the two.
"""

import asyncio
import subprocess
import sys

import psutil

from benchmarks.cluster_startup import submit
from benchmarks.daemons import Daemons
from benchmarks.harness import Result, compare

__all__ = ["run"]

WAIT = "print(flush=True); input()"


def pss_mb(pid: int) -> float:
    """Return the proportional set size of one process."""
    return float(psutil.Process(pid).memory_full_info().pss) / 1e6


def bare_mb() -> float:
    """Return what two processes hold that do nothing."""
    waiting = [
        subprocess.Popen([sys.executable, "-c", WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in waiting:
            assert process.stdout is not None
            process.stdout.readline()
        return sum(pss_mb(process.pid) for process in waiting)
    finally:
        for process in waiting:
            process.communicate(b"\n")


async def measure(daemons: Daemons, quick: bool) -> Result:
    """Compare, after one application came and went."""
    submit(daemons)
    master, worker = daemons.processes[:2]
    details: dict[str, float] = {}

    async def ours() -> float:
        details["master_mb"], details["worker_mb"] = pss_mb(master.pid), pss_mb(worker.pid)
        return details["master_mb"] + details["worker_mb"]

    async def by_hand() -> float:
        return bare_mb()

    return await compare("cluster_memory", "MB", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)


def run(quick: bool = False) -> Result:
    """Measure."""
    with Daemons() as daemons:
        return asyncio.run(measure(daemons, quick))
