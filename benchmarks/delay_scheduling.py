"""The published experiment with delay scheduling, simulated: locality, response time and throughput by wait.

Zaharia et al., "Delay Scheduling: A Simple Technique for Achieving Locality and Fairness in Cluster Scheduling",
EuroSys 2010: 100 nodes with 4 slots each, every block on 3 of them, many jobs, most of them small, sharing fairly.
A job that lets D free slots pass misses its data with probability (1 - R/M)^D, for R replicas on M nodes. And the
case of SPARK-18886: 500 tasks that all prefer one of 100 executors.

`python -m benchmarks.delay_scheduling` writes docs/delay-scheduling.md and its plot. Virtual time and a seed: every
run gives the same figures.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from benchmarks.delay_page import WaitRow, page, plot
from benchmarks.harness import Result, machine
from minispark import SparkConf
from minispark.ids import ExecutorId, JobId
from minispark.messages.task import Lineage, TaskDescription, TaskLocation
from minispark.scheduler.logic.pool import DEFAULT_POOL, Mode, PoolSpec
from minispark.testing.builders import LineageBuilder, preferences
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript
from minispark.testing.simulated_cluster import SimulatedCluster, SimulatedJob, executors

__all__ = ["measure_wait", "one_executor_s", "run", "theory"]

NODES = 100
SLOTS = 4
REPLICAS = 3
LOCAL_S = 4.0
LEGACY = "minispark.locality.wait.legacyResetOnTaskLaunch"
REMOTE_S = 8.0  # what is read over the network takes twice as long
SIZES = ((1, 38), (2, 16), (10, 14), (50, 12), (100, 10), (200, 10))  # tasks of a job, and in how many of 100 jobs
USERS = 60
WAITS_S = (0.0, 1.0, 3.0, 5.0, 10.0)
DOCS = Path(__file__).resolve().parent.parent / "docs"


class Reads(TaskScript):
    """Tasks that read a block: quickly where a replica is, slowly elsewhere; counts both, by job.

    Attributes:
        hosts_of: by job and partition.
        local: node-local tasks of each job.
        done: tasks of each job.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.hosts_of: dict[JobId, list[tuple[str, ...]]] = {}
        self.local: dict[JobId, int] = {}
        self.done: dict[JobId, int] = {}

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Return how long reading takes here."""
        job = task.job_id
        is_local = executor.host in self.hosts_of[job][task.partition]
        self.local[job] = self.local.get(job, 0) + is_local
        self.done[job] = self.done.get(job, 0) + 1
        return (LOCAL_S if is_local else REMOTE_S) * self.rng.uniform(0.5, 1.5)


def reading(hosts: Sequence[tuple[str, ...]]) -> Lineage:
    """Return the lineage of a job whose tasks read blocks on these hosts."""
    build = LineageBuilder()
    build.source(len(hosts), hosts)
    return build.lineage()


class Users:
    """People who run one job after another, each as soon as the last one has ended.

    Args:
        cluster: where.
        script: told where the blocks are.
        seed: draws sizes and places.
        until_s: when they go home.
    """

    def __init__(self, cluster: SimulatedCluster, script: Reads, seed: int, until_s: float) -> None:
        self.cluster = cluster
        self.script = script
        self.rng = random.Random(seed)
        self.until_s = until_s
        cluster.on_end = self.next_job

    def next_job(self, ended: SimulatedJob | None = None) -> None:
        """Submit a job of a drawn size over drawn blocks."""
        if self.cluster.world.monotonic() >= self.until_s:
            return
        (size,) = self.rng.choices([size for size, _ in SIZES], [share for _, share in SIZES])
        hosts = [tuple(f"host-{number}" for number in self.rng.sample(range(NODES), REPLICAS)) for _ in range(size)]
        self.script.hosts_of[JobId(len(self.cluster.jobs))] = hosts
        self.cluster.submit(reading(hosts))


def measure_wait(wait_s: float, *, seconds: float, legacy: bool = False, seed: int = 1) -> WaitRow:
    """Let the users work for a while with a wait; return what came of it."""
    conf = SparkConf(
        {"minispark.scheduler.mode": "fair", "minispark.locality.wait": wait_s, LEGACY: legacy}, environment={}
    )
    script = Reads(seed)
    cluster = SimulatedCluster(
        executors(NODES, cores=SLOTS), conf=conf, script=script, pools=[PoolSpec(DEFAULT_POOL, Mode.FAIR)], seed=seed
    )
    users = Users(cluster, script, seed, seconds)
    for _ in range(USERS):
        users.next_job()
    cluster.run()
    cluster.assert_empty()
    jobs = [job for job in cluster.jobs.values() if job.ended_s is not None and job.ended_s <= seconds]
    small = [job for job in jobs if len(job.partitions) == 1]
    tasks = sum(script.done[job.job_id] for job in jobs)
    local = sum(script.local[job.job_id] for job in jobs)
    mean_task_s = (local * LOCAL_S + (tasks - local) * REMOTE_S) / tasks
    return WaitRow(
        wait_s,
        local / tasks,
        fmean(script.local[job.job_id] for job in small),
        1 - theory(wait_s * NODES * SLOTS / mean_task_s),
        fmean(job.response_s for job in small),
        fmean(job.response_s for job in jobs),
        tasks / seconds,
    )


def theory(slots_passed: float) -> float:
    """Return the probability that a job which lets so many free slots pass misses its data."""
    missed: float = (1 - REPLICAS / NODES) ** slots_passed
    return missed


def one_executor_s(*, legacy: bool) -> float:
    """Return how long 500 tasks of 5 s take that all prefer one of 100 executors, with waits of 3 s (SPARK-18886)."""
    conf = SparkConf({"minispark.locality.wait": 3, LEGACY: legacy}, environment={})
    cluster = SimulatedCluster(executors(100), conf=conf, script=TaskScript(5.0))
    build = LineageBuilder()
    build.source(500)
    one = preferences([[TaskLocation("host-0", ExecutorId("exec-0"))]] * 500)
    job = cluster.submit(Lineage((replace(build.nodes[0], preferences=one),)))
    cluster.run()
    cluster.assert_empty()
    return job.response_s


def run(quick: bool = False) -> Result:
    """Measure; the figure is the node-local share of one-task jobs with a wait of 5 s, the limit the theory's."""
    waits = (0.0, 5.0) if quick else WAITS_S
    rows = [measure_wait(wait_s, seconds=60.0 if quick else 600.0) for wait_s in waits]
    five = next(row for row in rows if row.wait_s == 5.0)
    ratio = five.local_small / five.theory_small
    details = {
        "waits": [row.as_dict() for row in rows],
        "waits_legacy": []
        if quick
        else [measure_wait(wait_s, seconds=600.0, legacy=True).as_dict() for wait_s in waits],
        "one_executor_s": one_executor_s(legacy=False),
        "one_executor_legacy_s": None if quick else one_executor_s(legacy=True),
        "ratio_spread": [ratio, ratio],
        "ratio_tuned": ratio,
        "cpu_ratio": None,  # of shares there is none
    }
    return Result(
        "delay_scheduling", five.local_small, "node-local share", "higher", five.theory_small, ratio,
        details | machine(),
    )  # fmt: skip


def write_page() -> None:
    """Write the page and its plot."""
    rows = [measure_wait(wait_s, seconds=600.0) for wait_s in WAITS_S]
    legacy = [measure_wait(wait_s, seconds=600.0, legacy=True) for wait_s in WAITS_S]
    text = page(rows, legacy, one_executor_s(legacy=False), one_executor_s(legacy=True))
    (DOCS / "delay-scheduling.md").write_text(text, encoding="utf-8")
    (DOCS / "delay-scheduling.svg").write_text(plot(rows), encoding="utf-8")


if __name__ == "__main__":
    write_page()
