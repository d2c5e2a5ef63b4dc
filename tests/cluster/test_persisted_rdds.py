"""Persisted partitions in real processes: runners that die, executors that go, drivers that are killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.messages.storage_level import StorageLevel
from minispark.storage.memory_folder import folder_of
from tests.cluster.cluster_house import mine, mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster

KILLED = """
import asyncio
from minispark import SparkContext
from minispark.storage.memory_folder import folder_of

async def main():
    async with SparkContext("local[2]") as sc:
        rdd = sc.parallelize(range(1000), 2).cache()
        await rdd.count()
        print(folder_of(sc.driver.mode.session.path), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def with_context(job: Any, master: str = "local[2]", **settings: object) -> Any:
    async def run() -> Any:
        conf = SparkConf({f"minispark.{key.replace('__', '.')}": value for key, value in settings.items()})
        async with SparkContext(master, conf=conf) as sc:
            return await job(sc)

    return asyncio.run(run())


def test_after_its_runners_have_died_an_rdd_is_read_from_the_shared_copy() -> None:
    async def job(sc: SparkContext) -> Any:
        computed = sc.accumulator(0)

        def square(number: int) -> int:
            computed.add(1)
            return number * number

        rdd = sc.parallelize(range(1000), 2).map(square).cache()
        first = await rdd.collect()
        pids = set(await sc.parallelize(range(2), 2).map(lambda _: os.getpid()).collect())
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return first, await rdd.collect(), computed.value

    first, second, computed = with_context(job, task__maxFailures=4)
    assert first == second == [number * number for number in range(1000)]
    assert computed == 1000


@pytest.mark.scenario("DIS-004", "replicated")
@pytest.mark.scenario("DIS-004", "memory+disk replicated")
@pytest.mark.scenario("BLK-005", "remote")
@pytest.mark.scenario("DIS-004", "serialised replicated")
@pytest.mark.scenario("DIS-004", "replicated ones also as stream")
@pytest.mark.scenario("BLK-001", "driver id recognition")
@pytest.mark.parametrize(
    "level",
    [StorageLevel.MEMORY_ONLY_2, StorageLevel.MEMORY_AND_DISK_2, StorageLevel.MEMORY_ONLY_SER_2],
    ids=str,
)
def test_a_replicated_rdd_is_on_two_executors_and_every_copy_is_right(level: StorageLevel) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(1000), 4).map(lambda number: (number, str(number))).persist(level)
        first = await rdd.collect()
        table = sc.driver.block_manager_master.table
        async with asyncio.timeout(60):
            while not all(len(holders) == 2 for holders in table.holders.values()):  # noqa: ASYNC110 — copies are made unseen
                await asyncio.sleep(0.01)
        assert sorted(sc.driver.block_manager_master.managers) == ["0", "1"]  # the driver holds none
        return first, [await rdd.collect() for _ in range(3)], len(table.holders)

    first, again, blocks = with_context(job, "local-cluster[2,1,1024]")
    assert first == [(number, str(number)) for number in range(1000)]
    assert again == [first] * 3
    assert blocks == 4


def test_what_a_killed_executor_held_is_copied_again_and_nothing_is_computed_twice(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 3)
        computed = sc.accumulator(0)

        def count(number: int) -> int:
            computed.add(1)
            return number

        rdd = sc.parallelize(range(1000), 6).map(count).persist(StorageLevel.MEMORY_ONLY_2)
        master = sc.driver.block_manager_master

        def all_are_twice_without(lost: str) -> bool:
            rows = [holders for holders in master.table.holders.values() if lost not in holders]
            return [len(holders) for holders in rows] == [2] * 6

        await rdd.count()
        await until(lambda: all_are_twice_without(""))
        psutil.Process(mine(sc)[0]).kill()
        await until(lambda: len(master.gone) == 1)
        await until(lambda: all_are_twice_without(next(iter(master.gone))))
        assert await rdd.collect() == list(range(1000))
        assert computed.value == 1000

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}), "local-cluster[3,1,512]")


def test_arrays_are_one_mapping_that_all_runners_share() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize([0], 1).map(lambda _: np.ones(1_000_000)).persist(StorageLevel.MEMORY_ONLY_SER)
        await rdd.count()
        both = rdd.union(rdd)
        return await both.map(lambda array: (float(array.sum()), array.flags.owndata)).collect()

    assert with_context(job) == [(1_000_000.0, False)] * 2


def test_an_rdd_may_be_dropped_while_tasks_read_it() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(200_000), 2).map(str).persist(StorageLevel.MEMORY_ONLY_SER)
        await rdd.count()
        reading = asyncio.ensure_future(rdd.map(len).sum())
        await asyncio.sleep(0.02)
        rdd.unpersist()
        return await reading, await rdd.map(len).sum()

    expected = sum(len(str(number)) for number in range(200_000))
    assert with_context(job) == (expected, expected)


@pytest.mark.scenario("JC-002")
def test_a_partition_whose_job_was_cancelled_is_not_kept() -> None:
    async def job(sc: SparkContext) -> Any:
        def slow(number: int) -> int:
            if number >= 5000:
                time.sleep(30)
            return number

        stopped = sc.parallelize(range(10_000), 1).map(slow).cache()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stopped.count(), 0.5)
        return await sc.parallelize([1]).count(), sc.storage_status()

    assert with_context(job) == (1, [])


def kill_a_driver(also_its_zygote: bool) -> Path:
    """Kill a driver that keeps partitions; return its folder on tmpfs, which has existed."""
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert list(folder.glob("rdd_*"))
        children = psutil.Process(process.pid).children()
        for child in children if also_its_zygote else []:
            child.kill()
        process.kill()
    psutil.wait_procs(children, timeout=60)
    return folder


def test_nothing_stays_on_tmpfs_when_a_driver_is_killed() -> None:
    assert not kill_a_driver(also_its_zygote=False).exists()


def test_what_a_driver_and_its_zygote_left_goes_when_the_next_context_starts() -> None:
    folder = kill_a_driver(also_its_zygote=True)

    async def job(sc: SparkContext) -> bool:
        return folder.exists()

    assert not with_context(job)  # another program's start may have removed it before


def test_nothing_stays_on_tmpfs_when_executors_and_their_zygotes_are_killed_together(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        folders = [folder_of(peer.directory) for peer in sc.driver.block_manager_master.peers.values()]
        assert not any(folder.exists() for folder in folders)
        rdd = sc.parallelize(range(1000), 4).cache()
        await rdd.count()
        assert all(folder.exists() for folder in folders)
        processes = [psutil.Process(pid) for pid in mine(sc)]
        for process in [*(child for each in processes for child in each.children()), *processes]:
            process.kill()
        await until(lambda: not any(folder.exists() for folder in folders))

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))


@pytest.mark.scenario("ESS-001", "25888 disk-persisted RDD blocks served")
@pytest.mark.scenario("ESS-001", "37618 blocks of deallocated executors removed")
@pytest.mark.parametrize("reads_files", [True, False])
def test_with_a_shuffle_service_partitions_on_disk_outlive_their_executors(tmp_path: Path, reads_files: bool) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        computed = tmp_path / "computed"

        def square(number: int) -> int:
            with computed.open("a") as file:
                file.write("x")
            return number * number

        rdd = sc.parallelize(range(20), 4).map(square).persist(StorageLevel.DISK_ONLY)
        first = await rdd.collect()
        before = set(mode_of(sc).endpoint.table.executors)
        for pid in mine(sc):
            psutil.Process(pid).kill()
        await until(lambda: not before & set(mode_of(sc).endpoint.table.executors))
        await registered(sc)

        assert await rdd.collect() == first
        assert len(computed.read_text()) == 20, "some partitions were computed again"
        assert sc.storage_status()[0].num_cached == 4
        rdd.unpersist()
        await until(lambda: not list(tmp_path.rglob("rdd_*")))

    settings = {
        "local.dir": tmp_path,
        "shuffle.service.enabled": True,
        "shuffle.service.fetch.rdd.enabled": True,
        "shuffle.readHostLocal": reads_files,
    }
    with_cluster(scenario, SparkConf({f"minispark.{key}": value for key, value in settings.items()}))
