import random

from minispark.conf import SparkConf
from minispark.ids import ShuffleId
from minispark.scheduler.logic.pool import POOL_PROPERTY, PoolSpec
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import RandomScript
from minispark.testing.simulated_cluster import SimulatedCluster, cluster_in_env, ended, executors
from minispark.testing.virtual_loop import VirtualWorld, run_virtual


def word_count(maps: int = 16, reducers: int = 8) -> LineageBuilder:
    build = LineageBuilder()
    build.shuffled(build.source(maps), reducers)
    return build


def test_tasks_take_their_time_on_the_cores_there_are() -> None:
    cluster = SimulatedCluster(executors(4, cores=2))
    job = cluster.submit(word_count().lineage())
    cluster.run()
    cluster.check()
    cluster.assert_empty()
    assert job.response_s == 3.0
    assert sorted(job.results) == list(range(8))


def test_a_job_survives_failures_late_news_and_lost_executors() -> None:
    cluster = SimulatedCluster(executors(3, cores=2), script=RandomScript(random.Random(3), failing=0.05, late=0.2))
    job = cluster.submit(word_count(40, 40).lineage())
    cluster.world.call_later(2.0, lambda: cluster.backend.lose(executors(1)[0].executor_id, after_s=1.0))
    cluster.run()
    cluster.check()
    cluster.assert_empty()
    assert job.failure is None
    assert cluster.backend.num_launched > 80


def test_fair_pools_share_the_cores() -> None:
    conf = SparkConf({"minispark.scheduler.mode": "fair"}, environment={})
    cluster = SimulatedCluster(executors(4), conf=conf, pools=[PoolSpec("short", weight=3)])
    build = LineageBuilder()
    build.source(40)
    long = cluster.submit(build.lineage())
    cluster.run(until_s=1.5)
    short = cluster.submit(build.lineage(), range(6), properties={POOL_PROPERTY: "short"})
    cluster.run()
    assert short.response_s < 3.0 < long.response_s


def test_equal_arguments_give_equal_histories() -> None:
    traces = []
    for _ in range(2):
        cluster = SimulatedCluster(
            executors(3), script=RandomScript(random.Random(1), failing=0.1), seed=9, shuffled=True
        )
        trace: list[tuple[float, str, str]] = []
        cluster.stepped.observer = lambda name, message, c=cluster, t=trace: t.append(
            (c.stepped.now, name, repr(message))
        )
        cluster.submit(word_count().lineage())
        cluster.run()
        traces.append(trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 50


def test_a_cancelled_job_ends_and_leaves_nothing() -> None:
    cluster = SimulatedCluster(executors(2))
    job = cluster.submit(word_count().lineage())
    cluster.run(until_s=2.5)
    cluster.cancel(job, "enough")
    cluster.forget_shuffle(ShuffleId(0))
    cluster.run()
    cluster.assert_empty()
    cluster.map_outputs.assert_empty()
    assert job.failure is not None
    assert job.failure.message == "enough"


def test_the_same_endpoints_run_in_an_env() -> None:
    async def run() -> float:
        cluster, env = cluster_in_env(executors(4, cores=2), VirtualWorld())
        job = cluster.submit(word_count().lineage())
        await ended(cluster, [job])
        cluster.assert_empty()
        await env.close()
        return job.response_s

    assert run_virtual(run()) == 3.0
