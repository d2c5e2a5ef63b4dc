import sys
from typing import Any

from minispark.context import SparkContext
from tests.contexts import run_inline


def test_a_driver_that_persists_nothing_has_no_block_manager() -> None:
    async def job(sc: SparkContext) -> Any:
        await sc.parallelize([1, 2]).count()
        return [name for name in sc.driver.env.dispatcher.inboxes if name == "BlockManager"]  # type: ignore[union-attr]

    assert run_inline(job) == []


def test_the_first_persisted_partition_brings_one_and_later_ones_use_it() -> None:
    async def job(sc: SparkContext) -> Any:
        for _ in range(2):
            await sc.parallelize([1, 2]).cache().count()
        return list(sc.driver.block_manager_master.managers)

    assert run_inline(job) == ["driver"]
    assert "minispark.storage.block_manager" in sys.modules
