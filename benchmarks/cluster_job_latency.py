"""How long a small job takes on a warm cluster, as `job_latency` in local mode: 2 workers × 1 core on loopback."""

import asyncio

from benchmarks import job_latency
from benchmarks.byhand import HandPool
from benchmarks.daemons import Daemons
from benchmarks.harness import Result
from minispark import SparkContext

__all__ = ["run"]


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool, Daemons() as daemons:
        context = SparkContext(conf=daemons.conf())
        return asyncio.run(job_latency.measure("cluster_job_latency", context, pool, quick))
