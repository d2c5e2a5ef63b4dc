"""How many tasks a second a cluster runs, as `tasks` in local mode: 2 workers × 1 core on loopback."""

import asyncio
import multiprocessing

from benchmarks import tasks
from benchmarks.byhand import HandPool
from benchmarks.daemons import Daemons
from benchmarks.harness import Result
from minispark import SparkContext

__all__ = ["run"]


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as hand, multiprocessing.get_context("fork").Pool(2) as pool, Daemons() as daemons:
        context = SparkContext(conf=daemons.conf())
        return asyncio.run(tasks.measure("cluster_tasks", context, pool, hand, quick))
