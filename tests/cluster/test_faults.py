"""Processes that are killed or freeze at random moments of shuffling jobs: exact answers, and nothing left behind."""

import random
from pathlib import Path

import pytest

from tests.cluster.daemons import Cluster
from tests.cluster.shuffling_program import TASKS
from tests.cluster.stress import factor

pytestmark = pytest.mark.cluster

JOBS = 3
seeds = pytest.mark.parametrize("seed", range(factor(1, 20)))


def moment(rng: random.Random) -> int:
    """Return after how many tasks of a program something happens: neither before the first nor after the last."""
    return rng.randrange(1, JOBS * TASKS - 4)


def recovering(folder: Path) -> Cluster:
    """Return a cluster whose masters share what they know."""
    records = {
        "minispark.deploy.recoveryMode": "filesystem",
        "minispark.deploy.recoveryDirectory": folder / "records",
    }
    return Cluster(folder, records)


@seeds
def test_a_killed_executor_costs_no_answer(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        daemons = [cluster.master(), *cluster.workers()]
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        rng.choice([each for daemon in daemons for each in daemon.executors()]).kill()
        program.expect_exact_answers()
        cluster.expect_nothing_left(*daemons)


@seeds
def test_a_killed_worker_costs_no_answer(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        master, workers = cluster.master(), cluster.workers()
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        workers.pop(rng.randrange(2)).kill()
        program.expect_exact_answers()
        cluster.expect_nothing_left(master, *workers)


@seeds
def test_a_killed_driver_leaves_nothing_and_the_cluster_serves_the_next(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        daemons = [cluster.master(), *cluster.workers()]
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        program.kill()
        cluster.expect_nothing_left(*daemons)
        cluster.program(seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_after_the_death_of_the_master_a_standby_gives_the_next_executor(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with recovering(tmp_path) as cluster:
        leader, standby = cluster.master(), cluster.master()
        workers = cluster.workers()
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        leader.kill()
        executors = [each for worker in workers for each in worker.executors()]
        for executor in executors:
            executor.kill()
        program.wait_for("ExecutorJoined")
        program.expect_exact_answers()
        standby.expect("leads in term 2")
        cluster.expect_nothing_left(standby, *workers)
        cluster.program(seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_a_leader_that_freezes_and_wakes_up_ends_and_disturbs_nobody(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with recovering(tmp_path) as cluster:
        leader, standby = cluster.master(), cluster.master()
        workers = cluster.workers()
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        leader.freeze()
        standby.expect("recovery is complete: 2 workers")
        leader.wake()
        assert leader.process.wait(20) == 1
        assert "term 2" in leader.text or "renewed" in leader.text
        program.expect_exact_answers()
        cluster.expect_nothing_left(standby, *workers)
        cluster.program(seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_a_frozen_executor_is_given_up_and_ended(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        daemons = [cluster.master(), *cluster.workers()]
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        rng.choice([each for daemon in daemons for each in daemon.executors()]).suspend()
        program.expect_exact_answers()
        cluster.expect_nothing_left(*daemons)
