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
import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.messages.storage_level import StorageLevel

pytestmark = pytest.mark.cluster

KILLED = """
import asyncio, os
from minispark import SparkContext

async def main():
    async with SparkContext("local[2]") as sc:
        await sc.parallelize(range(1000), 2).cache().count()
        print(os.path.realpath(sc.driver.mode.session.path / "memory"), flush=True)
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
@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY_2, StorageLevel.MEMORY_AND_DISK_2], ids=str)
def test_a_replicated_rdd_is_on_two_executors_and_every_copy_is_right(level: StorageLevel) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(1000), 4).map(lambda number: (number, str(number))).persist(level)
        first = await rdd.collect()
        table = sc.driver.block_manager_master.table
        async with asyncio.timeout(10):
            while not all(len(holders) == 2 for holders in table.holders.values()):  # noqa: ASYNC110 — copies are made unseen
                await asyncio.sleep(0.01)
        return first, [await rdd.collect() for _ in range(3)], len(table.holders)

    first, again, blocks = with_context(job, "local-cluster[2,1,1024]")
    assert first == [(number, str(number)) for number in range(1000)]
    assert again == [first] * 3
    assert blocks == 4


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


def test_nothing_stays_on_tmpfs_when_a_driver_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        existed = folder.exists()
        process.kill()
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert existed
    assert not folder.exists()
