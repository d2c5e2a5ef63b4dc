"""Executors that die in the middle of jobs, killed by the very tasks they run: the answers stay exact."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from minispark import SparkConf, SparkContext
from minispark.messages.storage_level import StorageLevel
from tests.cluster.cluster_house import mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster


def killer(marker: Path) -> Callable[[Any], Any]:
    """Return a function that ends the executor of the first task that calls it."""

    def kill_once(value: Any) -> Any:
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return value
        runner = psutil.Process()
        zygote = runner.parent()
        executor = zygote.parent() if zygote is not None else None
        assert executor is not None
        assert "--executor-id" in executor.cmdline()
        executor.kill()
        signal.sigtimedwait([], 60)
        return value

    return kill_once


def settings(folder: Path) -> SparkConf:
    return SparkConf({"minispark.local.dir": folder})


@pytest.mark.scenario("DIS-007", "recovery: node failure")
def test_a_job_goes_on_when_the_executor_of_one_of_its_tasks_dies(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        numbers = sc.range(8, num_slices=4)
        assert await numbers.map(killer(tmp_path / "killed")).collect() == list(range(8))
        assert (tmp_path / "killed").exists()

    with_cluster(scenario, settings(tmp_path))


@pytest.mark.scenario("DIS-007", "repeated during map, during reduce")
@pytest.mark.parametrize("side", ["map", "reduce"])
def test_a_shuffle_is_exact_though_executors_die_again_and_again(tmp_path: Path, side: str) -> None:
    async def scenario(sc: SparkContext) -> None:
        for turn in range(3):
            await registered(sc)
            kill = killer(tmp_path / f"killed-{turn}")
            pairs = sc.range(20, num_slices=4).map(lambda n: (n % 2, n))
            grouped = pairs.map(kill).group_by_key(2) if side == "map" else pairs.group_by_key(2).map(kill)
            sums = await grouped.map_values(sum).collect()
            assert sorted(sums) == [(0, 90), (1, 100)]
            assert (tmp_path / f"killed-{turn}").exists()

    with_cluster(scenario, settings(tmp_path))


@pytest.mark.scenario("DIS-007", "with replication")
def test_replicated_partitions_are_read_though_one_holder_after_the_other_dies(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        computed = sc.accumulator(0)

        def compute(n: int) -> int:
            computed.add(1)
            return n

        rdd = sc.range(8, num_slices=4).map(compute).persist(StorageLevel.MEMORY_ONLY_2)
        assert await rdd.count() == 8
        holders = sc.driver.block_manager_master.table.holders
        for turn in range(3):
            await registered(sc)
            await until(lambda: [len(each) for each in holders.values()] == [2] * 4)
            assert await rdd.map(killer(tmp_path / f"killed-{turn}")).collect() == list(range(8))
        assert computed.value == 8

    with_cluster(scenario, settings(tmp_path))


@pytest.mark.scenario("DIS-007", "unpersist")
def test_an_unpersisted_rdd_leaves_nothing_with_any_executor(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        rdd = sc.range(8, num_slices=4).persist(StorageLevel.DISK_ONLY_2)
        assert await rdd.count() == 8
        master = sc.driver.block_manager_master
        await until(lambda: [len(each) for each in master.table.holders.values()] == [2] * 4)
        places = [Path(place.directory, "blocks") for place in mode_of(sc).endpoint.locations.values()]
        assert [len(list(place.iterdir())) for place in places] == [4, 4]

        rdd.unpersist()

        assert not master.table.holders
        await until(lambda: not any(list(place.iterdir()) for place in places))
        assert await rdd.count() == 8
        assert not master.table.holders

    with_cluster(scenario, settings(tmp_path))
