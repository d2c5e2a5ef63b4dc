"""minispark.scheduler.task_watch in random histories: whatever fails, is slow or goes away, every job ends."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import RandomScript, SimulatedExecutor
from minispark.testing.simulated_cluster import SimulatedCluster, executors


def watched(rng: random.Random) -> SparkConf:
    """Return settings with exclusion and speculation on, more or less strict."""
    conf = (
        SparkConf(environment={}).set("minispark.speculation", True).set("minispark.excludeOnFailure.enabled", True)
    )
    conf.set("minispark.speculation.quantile", rng.choice([0.3, 0.5, 0.9]))
    conf.set("minispark.speculation.multiplier", rng.choice([1.2, 3]))
    conf.set("minispark.speculation.efficiency.enabled", rng.random() < 0.5)
    conf.set("minispark.executor.decommission.killInterval", 3)
    conf.set("minispark.excludeOnFailure.timeout", rng.choice([2, 20, 3600]))
    conf.set("minispark.excludeOnFailure.application.fetchFailure.enabled", rng.random() < 0.5)
    return conf


def seconds(rng: random.Random) -> float:
    """Return how long a task takes: about a second, now and then half a minute."""
    return rng.expovariate(1.0) if rng.random() < 0.9 else rng.uniform(5, 30)


def with_faults(rng: random.Random) -> SimulatedCluster:
    """Return a cluster with random jobs, of which executors go and to which others come."""
    script = RandomScript(rng, lambda: seconds(rng), failing=rng.choice([0, 0.2]), fetch_failing=0.05, late=0.3)
    conf, seed = watched(rng), rng.getrandbits(30)
    cluster = SimulatedCluster(executors(8, cores=2, per_host=2), conf=conf, script=script, seed=seed, shuffled=True)
    script.outputs_of = lambda shuffle_id: [each for each in cluster.map_outputs.of(shuffle_id).statuses if each]
    for number in range(3):
        build = LineageBuilder()
        build.next_shuffle = 10 * number
        last = build.source(rng.randint(1, 20))
        for _ in range(rng.randint(0, 2)):
            last = build.shuffled(last, rng.randint(1, 10))
        cluster.submit(build.lineage())
    for change in (cluster.backend.lose, cluster.backend.decommission):
        cluster.world.call_later(rng.uniform(0, 10), change, ExecutorId(f"exec-{rng.randrange(8)}"))
    cluster.world.call_later(rng.uniform(5, 20), cluster.backend.add, SimulatedExecutor(ExecutorId("new"), "new", 2))
    return cluster


@settings(max_examples=20)
@given(st.integers(0, 1 << 30))
def test_every_job_ends_and_nothing_is_left(seed: int) -> None:
    cluster = with_faults(random.Random(seed))
    for second in range(40):
        cluster.run(until_s=float(second))
        cluster.check()
        if cluster.tasks.watch.exclusions is not None and cluster.tasks.watch.exclusions.health is not None:
            cluster.tasks.watch.exclusions.health.check()
    cluster.run()
    cluster.check()
    cluster.assert_empty()
    assert cluster.tasks.watch.timers == {}
    exclusions = cluster.tasks.watch.exclusions
    assert exclusions is not None
    assert exclusions.unschedulable.expires_s == {}
