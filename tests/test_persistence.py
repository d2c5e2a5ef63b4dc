import gc
import weakref

import pytest

from minispark.context import SparkContext
from minispark.messages.storage_level import StorageLevel
from minispark.testing.virtual_loop import run_virtual
from tests.contexts import new_context, run_inline


def test_being_persisted_keeps_no_rdd_alive() -> None:
    async def job(sc: SparkContext) -> object:
        rdd = sc.parallelize([1, 2]).cache()
        await rdd.count()
        alive = weakref.ref(rdd.node)
        del rdd
        gc.collect()
        return alive()

    assert run_inline(job) is None


@pytest.mark.scenario("BLK-001", "driver id recognition")
def test_in_local_mode_the_driver_is_the_executor_that_holds_blocks() -> None:
    async def job(sc: SparkContext) -> object:
        await sc.parallelize([1, 2]).cache().count()
        return list(sc.driver.block_manager_master.managers)

    assert run_inline(job) == ["driver"]


def test_what_is_kept_is_told_by_the_number_of_its_rdd() -> None:
    async def job(sc: SparkContext) -> list[tuple[str, int, int]]:
        kept = [
            sc.parallelize(range(4), 2).map(str).persist(level)
            for level in (StorageLevel.MEMORY_ONLY_SER, StorageLevel.DISK_ONLY)
        ]
        for rdd in reversed(kept):
            await rdd.count()
        return [(each.name, each.num_cached, each.num_partitions) for each in sc.storage_status()]

    assert run_inline(job) == [("map", 2, 2), ("map", 2, 2)]


def test_after_the_contexts_stop_there_is_nothing_left_to_drop() -> None:
    async def job() -> tuple[bool, StorageLevel]:
        async with new_context() as sc:
            rdd = sc.parallelize([1, 2]).cache()
            await rdd.count()
        rdd.unpersist().unpersist()
        return rdd.is_cached, rdd.storage_level

    assert run_virtual(job()) == (False, StorageLevel.NONE)
