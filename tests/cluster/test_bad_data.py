"""Data that does not behave, and executors that die in the middle of copying it: never a wrong answer."""

import asyncio
import math
from operator import add
from pathlib import Path
from typing import Any

import psutil
import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.messages.storage_level import StorageLevel
from tests.cluster.cluster_house import mine, registered, until, with_cluster
from tests.cluster.test_persisted_rdds import with_context

pytestmark = pytest.mark.cluster

NAN = float("nan")
NUMBERS = [NAN if number % 7 == 0 else float(number * 7919 % 1009) for number in range(4000)]


class Crowded:
    """A key whose hash says nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crowded) and self.number == other.number

    def __hash__(self) -> int:
        return 1


class Fickle:
    """A sort key that is below every other, and above it as well."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __lt__(self, other: "Fickle") -> bool:
        return True


@pytest.mark.parametrize("bound", ["64k", "64m"])
@pytest.mark.parametrize("key", [abs, Fickle])
def test_keys_that_compare_inconsistently_cost_the_order_but_no_record(key: Any, bound: str) -> None:
    async def job(sc: SparkContext) -> list[float]:
        return await sc.parallelize(NUMBERS, 3).sort_by(key, num_partitions=3).collect()

    found = with_context(job, memory__taskSize=bound)

    assert sum(map(math.isnan, found)) == sum(map(math.isnan, NUMBERS))
    assert sorted(filter(math.isfinite, found)) == sorted(filter(math.isfinite, NUMBERS))


def test_keys_that_all_have_one_hash_are_told_apart_though_they_spill() -> None:
    async def job(sc: SparkContext) -> list[tuple[int, int]]:
        pairs = sc.range(0, 1200, num_slices=2).map(lambda n: (Crowded(n % 300), n))
        return await pairs.reduce_by_key(add, 2).map(lambda pair: (pair[0].number, pair[1])).collect()

    found = with_context(job, memory__taskSize="16k")

    assert sorted(found) == [(key, sum(range(key, 1200, 300))) for key in range(300)]


def test_an_executor_that_dies_while_copies_are_made_costs_no_answer(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 3)
        table, gone = sc.driver.block_manager_master.table, sc.driver.block_manager_master.gone
        rdd = sc.range(0, 12, num_slices=12).map(lambda n: bytes([n]) * 4_000_000).persist(StorageLevel.DISK_ONLY_2)
        expected = [(4_000_000, n) for n in range(12)]

        job = asyncio.ensure_future(rdd.map(lambda blob: (len(blob), blob[0])).collect())
        await until(lambda: any(len(holders) == 2 for holders in table.holders.values()))
        psutil.Process(mine(sc)[0]).kill()
        await until(lambda: gone)

        assert await job == expected
        assert await rdd.map(lambda blob: (len(blob), blob[-1])).collect() == expected
        lost = next(iter(gone))
        await until(lambda: len(table.holders) == 12)
        await until(lambda: all(len(held) == 2 and lost not in held for held in table.holders.values()))

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}), "local-cluster[3,1,512]")
