"""Checkpoints where executors are lost."""

from operator import add
from pathlib import Path

import psutil
import pytest

from minispark import SparkConf, SparkContext
from minispark.errors import MiniSparkError
from tests.cluster.cluster_house import mine, registered, with_cluster

pytestmark = pytest.mark.cluster


def test_the_files_outlive_the_executors(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        sc.set_checkpoint_dir(tmp_path / "checkpoints")
        pairs = sc.parallelize(range(100), 4).map(lambda n: (n % 10, n)).reduce_by_key(add, 4).checkpoint()
        before = sorted(await pairs.collect())
        for pid in mine(sc):
            psutil.Process(pid).kill()
        assert sorted(await pairs.map_values(abs).collect()) == before
        assert before == [(key, sum(range(key, 100, 10))) for key in range(10)]

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))


def test_a_local_checkpoint_is_lost_with_its_executors_and_says_so(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        numbers = sc.parallelize(range(100), 4).map(abs).local_checkpoint()
        assert await numbers.count() == 100
        assert numbers.is_checkpointed
        for pid in mine(sc):
            psutil.Process(pid).kill()
        with pytest.raises(MiniSparkError, match="is a local checkpoint, so it cannot be computed again"):
            await numbers.sum()

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))
