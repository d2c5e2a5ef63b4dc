"""A journal of a simulated application, for the tests of what writes, reads and replays it."""

import asyncio
import random
from pathlib import Path

from minispark.conf import SparkConf
from minispark.scheduler.logic.pool import PoolSpec
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import RandomScript
from minispark.testing.simulated_cluster import SimulatedCluster, executors


def write_journal(path: Path, seed: int = 1, **settings: object) -> SimulatedCluster:
    """Run two jobs over a shuffle, one of them cancelled, with failures, fetch failures and a lost executor."""
    conf = SparkConf({"minispark.scheduler.journal": path, "minispark.scheduler.mode": "fair"}, environment={})
    conf.set_all({f"minispark.{key.replace('_', '.')}": value for key, value in settings.items()})
    script = RandomScript(random.Random(seed), failing=0.05, fetch_failing=0.02, late=0.1)
    cluster = SimulatedCluster(executors(3, cores=2), conf=conf, script=script, seed=seed, pools=[PoolSpec("etl")])
    script.outputs_of = lambda shuffle_id: [s for s in cluster.map_outputs.of(shuffle_id).statuses if s is not None]
    build = LineageBuilder()
    build.shuffled(build.source(12), 8)
    cluster.submit(build.lineage(), properties={"minispark.scheduler.pool": "etl"})
    cancelled = cluster.submit(build.lineage())
    cluster.world.call_later(2.0, cluster.cancel, cancelled, "enough")
    cluster.world.call_later(3.0, lambda: cluster.backend.lose(executors(1)[0].executor_id, after_s=0.5))
    cluster.run()
    cluster.assert_empty()
    asyncio.run(cluster.recorder.close())
    return cluster
