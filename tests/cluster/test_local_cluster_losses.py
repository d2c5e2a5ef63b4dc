"""Real clusters of their own: of applications that need other settings, or that lose executors."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import psutil
import pytest

from minispark import MiniSparkError, SparkConf, SparkContext
from minispark.errors import JobFailed
from minispark.messages.listener import ExecutorLeft, ListenerEvent
from minispark.scheduler.replay import Replay
from tests.cluster.cluster_house import expect_cancelled, mine, mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster


@pytest.mark.scenario("DIS-002", "map output larger than in-flight limit")
def test_map_outputs_may_be_larger_than_what_is_fetched_at_once(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        sizes = sc.parallelize(range(4), 4).flat_map(lambda n: [(m, bytes(2_000_000)) for m in range(4)])
        grouped = sizes.group_by_key(2).map_values(lambda values: sum(map(len, values)))
        assert sorted(await grouped.collect()) == [(m, 8_000_000) for m in range(4)]

    conf = SparkConf(
        {
            "minispark.local.dir": tmp_path,
            "minispark.reducer.maxSizeInFlight": "1m",
            "minispark.shuffle.readHostLocal": False,
        }
    )
    with_cluster(scenario, conf)


@pytest.mark.scenario("JC-001", "count, async, cluster, FAIR")
@pytest.mark.scenario("JC-001", "take, async, cluster, FAIR")
def test_a_cancelled_action_ends_the_tasks_of_a_fair_pool_too(tmp_path: Path) -> None:
    conf = SparkConf({"minispark.local.dir": tmp_path, "minispark.scheduler.mode": "fair"})
    for action in ("count", "take"):
        folder = tmp_path / action
        folder.mkdir()
        expect_cancelled(lambda scenario: with_cluster(scenario, conf), action, folder)


@pytest.mark.scenario("BAR-012", "local and local-cluster, result and map")
@pytest.mark.parametrize("is_map", [False, True])
def test_a_barrier_stage_of_more_tasks_than_cores_fails_in_the_end(is_map: bool, tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        rdd = sc.parallelize(range(6), 3).barrier().map_partitions(lambda records: ((n, n) for n in records))
        with pytest.raises(JobFailed, match="3 "):
            await (rdd.group_by_key(1).count() if is_map else rdd.count())

    conf = SparkConf(
        {
            "minispark.local.dir": tmp_path,
            "minispark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
            "minispark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": 1,
        }
    )
    with_cluster(scenario, conf)


def test_a_job_survives_the_death_of_an_executor_and_gets_another_one(tmp_path: Path) -> None:
    left: list[ExecutorLeft] = []

    class Watch:
        def on_event(self, event: ListenerEvent) -> None:
            if isinstance(event, ExecutorLeft):
                left.append(event)

    def slow(n: int) -> tuple[int, int]:
        if not (tmp_path / "go").exists():
            (tmp_path / f"started-{os.getppid()}").touch()
            while not (tmp_path / "go").exists():
                signal.sigtimedwait([], 0.01)
        return n % 3, n

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(Watch())
        job = asyncio.ensure_future(sc.parallelize(range(9), 4).map(slow).group_by_key(2).collect())
        await until(lambda: len(list(tmp_path.glob("started-*"))) == 2)
        psutil.Process(mine(sc)[0]).kill()
        await until(lambda: left)
        (tmp_path / "go").touch()
        assert sorted((key, sorted(values)) for key, values in await job) == [
            (key, list(range(key, 9, 3))) for key in range(3)
        ]
        assert "signal 9" in left[0].reason
        await registered(sc)

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))


def test_the_journal_of_a_cluster_is_decided_on_again_as_it_was(tmp_path: Path) -> None:
    def fail(n: int) -> None:
        if n == 3:
            raise ValueError("three")

    async def scenario(sc: SparkContext) -> None:
        assert await sc.parallelize(range(9), 4).map(lambda n: (n % 3, n)).group_by_key(2).count() == 3
        with pytest.raises(JobFailed, match="can run on no executor"):  # all are on one host, which is excluded
            await sc.parallelize(range(4), 4).foreach(fail)

    path = tmp_path / "journal"
    settings = {
        "minispark.local.dir": tmp_path,
        "minispark.scheduler.journal": path,
        "minispark.excludeOnFailure.enabled": True,
        "minispark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout": "300ms",
    }
    with_cluster(scenario, SparkConf(settings))
    steps = list(Replay(path).steps())
    assert len(steps) > 20
    assert [step for step in steps if not step.agrees] == []


def test_an_application_that_its_cluster_gives_up_fails_its_jobs_and_stops(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        job = asyncio.ensure_future(sc.parallelize([1], 1).map(lambda n: signal.sigtimedwait([], 60)).count())
        await sc.parallelize([1], 1).count()
        standalone = mode_of(sc).standalone
        assert standalone is not None
        standalone.dead("its executors fail")
        with pytest.raises(JobFailed, match="given this application up: its executors fail"):
            await job
        await until(lambda: sc.is_stopped)

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))


def test_a_context_that_nobody_could_stop_leaves_no_process(tmp_path: Path) -> None:
    async def start() -> tuple[SparkContext, list[psutil.Process]]:
        sc = await SparkContext("local-cluster[1,1,512]", conf=SparkConf({"minispark.local.dir": tmp_path})).start()
        await registered(sc, 1)
        return sc, [psutil.Process(pid) for pid in mine(sc)]

    sc, processes = asyncio.run(start())
    sc.discard_after_its_loop()
    assert psutil.wait_procs(processes, timeout=60)[1] == []
    with warnings.catch_warnings():  # of connections that nobody could close
        warnings.simplefilter("ignore", ResourceWarning)
        del sc
        gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        conf = SparkConf({"minispark.local.dir": tmp_path, "minispark.driver.bindAddress": "192.0.2.1"})
        with pytest.raises(MiniSparkError, match="cannot listen"):
            await SparkContext("local-cluster[2,1,512]", conf=conf).start()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


LONG_PROGRAM = """
import asyncio, sys, time
from minispark import SparkConf, SparkContext

async def main():
    conf = SparkConf({"minispark.local.dir": sys.argv[1]})
    async with SparkContext("local-cluster[2,1,512]", conf=conf) as sc:
        value = sc.broadcast(bytes(1 << 20))
        await sc.parallelize(range(2), 2).map(lambda n: n + len(value.value)).count()
        print("runs", flush=True)
        await sc.parallelize(range(2), 2).map(lambda n: time.sleep(100)).count()

asyncio.run(main())
"""


def test_a_driver_that_is_killed_leaves_no_folder_of_the_cluster_in_its_process(tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", LONG_PROGRAM, tmp_path], stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"runs\n"
    assert list(tmp_path.iterdir())
    driver.kill()
    driver.communicate()

    asyncio.run(asyncio.wait_for(until(lambda: not list(tmp_path.iterdir())), 60))
