"""Processes that are killed or freeze at random moments of shuffling jobs: exact answers, and nothing left behind."""

import contextlib
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import JOBS, LOOPBACK, Cluster, moment, recovering, seeds

pytestmark = pytest.mark.cluster


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
    with Cluster(tmp_path, recovering(tmp_path)) as cluster:
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
    with Cluster(tmp_path, recovering(tmp_path)) as cluster:
        leader, standby = cluster.master(), cluster.master()
        workers = cluster.workers()
        program = cluster.program(seed=seed, jobs=JOBS)
        program.wait_for("TaskEnd", moment(rng))
        leader.freeze()
        standby.expect("recovery is complete: 2 workers")
        leader.wake()
        assert leader.wait() == 1
        assert "term 2" in leader.text or "renewed" in leader.text
        program.expect_exact_answers()
        cluster.expect_nothing_left(standby, *workers)
        cluster.program(seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_a_frozen_executor_is_given_up_and_disturbs_nobody_when_it_wakes_up(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        daemons = [cluster.master(), *cluster.workers()]
        program = cluster.program(seed=seed, jobs=JOBS + 1, on_demand=True)
        program.demand(JOBS)
        program.wait_for("TaskEnd", moment(rng))
        frozen = rng.choice([each for daemon in daemons for each in daemon.executors()])
        frozen.suspend()
        program.expect("is given up: no heartbeat of it came")
        frozen.resume()
        program.demand(1)
        program.expect_exact_answers()
        cluster.expect_nothing_left(*daemons)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    disk = tmp_path / "work-small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "minispark-test", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system of a test's own is not permitted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # whoever was killed a moment ago may still be going


@seeds
def test_a_full_disk_is_named_and_costs_its_job_only(seed: int, small_disk: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        daemons = [cluster.master(), cluster.worker(directory=small_disk)]
        program = cluster.program(seed=seed, jobs=1, padding=40_000)
        assert program.wait() == 1
        assert "No space left on device" in program.text
        cluster.expect_nothing_left(*daemons)
        cluster.program(seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_a_worker_whose_disk_is_full_does_not_hold_up_the_others(seed: int, small_disk: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.master()
        filler = small_disk / "filler"
        cluster.worker(directory=small_disk).expect("the master is at")
        cluster.workers(LOOPBACK)
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(8 << 20))
        cluster.program(seed=seed, jobs=JOBS).expect_exact_answers()
        filler.unlink()
