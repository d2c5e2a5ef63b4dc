"""Tasks that hold more memory than their executor has: they fail with a reason, and the executor lives on."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from minispark import SparkConf, SparkContext
from minispark.errors import MemoryLimitError
from minispark.messages.storage_level import StorageLevel
from tests.cluster.cluster_house import executors, mine, registered, until, with_cluster

pytestmark = pytest.mark.cluster

MIB = 1 << 20


def hold(size_bytes: int) -> int:
    """Fill memory, and keep it for a while."""
    held = [os.urandom(MIB) for _ in range(size_bytes // MIB)]
    signal.sigtimedwait([], 30)
    return len(held)


def conf(folder: Path, **settings: Any) -> SparkConf:
    named = {f"minispark.{name.replace('__', '.')}": value for name, value in settings.items()}
    return SparkConf({"minispark.local.dir": folder, "minispark.task.maxFailures": 1, **named})


def test_a_task_that_holds_too_much_fails_and_its_executor_lives(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 1)
        before = mine(sc)
        with pytest.raises(MemoryLimitError, match=r"computed RDD 1.*held the most of \d+ MiB .*has 256 MiB"):
            await sc.parallelize([600 * MIB], 1).map(hold).cache().collect()
        assert await sc.parallelize(range(4), 4).count() == 4
        assert mine(sc) == before
        assert len(executors()) == 1

    with_cluster(scenario, conf(tmp_path), "local-cluster[1,1,256]")


def test_persisted_partitions_leave_the_memory_that_a_task_needs(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 1)
        large = sc.parallelize(range(8), 8).map(lambda number: bytes([number]) * (15 * MIB))
        kept = large.persist(StorageLevel.MEMORY_AND_DISK_SER)
        await kept.count()
        (before,) = sc.storage_status()
        assert before.memory_bytes > 110 * MIB

        enough = tmp_path / "enough"

        def needs(number: int) -> int:
            held = [os.urandom(MIB) for _ in range(180)]
            while not enough.exists():
                signal.sigtimedwait([], 0.02)
            return len(held)

        task = asyncio.ensure_future(sc.parallelize([1], 1).map(needs).collect())
        await until(lambda: task.done() or sc.storage_status()[0].memory_bytes < before.memory_bytes)
        enough.touch()
        assert await task == [180]
        (after,) = sc.storage_status()
        assert after.memory_bytes + after.disk_bytes == before.memory_bytes
        assert await kept.map(len).sum() == 8 * 15 * MIB

    with_cluster(scenario, conf(tmp_path), "local-cluster[1,1,256]")
