import sys
from pathlib import Path
from typing import Any, cast

import pytest

from minispark.context import SparkContext
from minispark.executor.persisted import PersistedBlocks
from minispark.ids import BlockId, RddId, TaskId, rdd_block_id
from minispark.messages.blocks import BlockInfoUpdated
from minispark.messages.runner_blocks import NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.rpc.env import RpcEnv
from minispark.storage import memory_folder
from minispark.testing.fakes import RecordingRef
from minispark.testing.virtual_loop import settle
from tests.contexts import run_inline
from tests.executor.attempts import conf, location, task
from tests.rpc.peers import with_env

MIB = 1 << 20


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


class Pool:
    """Runner processes whose tasks hold something."""

    slots = 2

    def __init__(self, held_bytes: int) -> None:
        self.held = held_bytes
        self.shares: list[int] = []

    def held_bytes(self) -> int:
        return self.held

    def share_memory(self, share_bytes: int) -> None:
        self.shares.append(share_bytes)

    def drop_blocks(self, slot: int, block_ids: tuple[BlockId, ...]) -> None:
        pytest.fail("no objects are kept")


@pytest.fixture(autouse=True)
def no_tmpfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing of these tests left in the memory of the machine."""
    monkeypatch.setattr(memory_folder, "TMPFS", tmp_path)


def balanced(held_bytes: int, stored: int, **settings: object) -> tuple[list[int], int]:
    """Return what tasks are told that they may hold, and what stays of so many persisted partitions of a MiB.

    The executor has 100 MiB, of which 50 are for both, and 20 of those the region of storage.
    """

    found: list[tuple[list[int], int]] = []

    async def scenario(env: RpcEnv) -> None:
        pool = Pool(held_bytes)
        settled = conf(memory_fraction=0.5, memory_storageFraction=0.4, **settings)
        master = RecordingRef("BlockManagerMaster", answer=lambda _: BlockInfoUpdated(True))
        blocks = PersistedBlocks(env, master, location(), settled, cast(Any, pool), memory_bytes=100 * MIB)
        blocks.balance()
        manager = blocks.start()
        for number in range(stored):
            need = NeedBlock(RddId(1), number, StorageLevel.MEMORY_ONLY_SER, 1)
            name = rdd_block_id(RddId(1), number)
            for request in (need, WriteBlock(name, MIB, 0, True)):
                manager.asked(0, task(task_id=number), request, lambda plan: None)
            manager.attempt_ended(TaskId(number), True)
        blocks.balance()
        await settle()
        found.append((pool.shares, manager.blocks.memory.used_bytes))

    with_env(scenario)
    return found[0]


def test_tasks_may_take_what_partitions_leave_them() -> None:
    assert balanced(0, 10) == ([25 * MIB, 20 * MIB], 10 * MIB)
    assert balanced(10 * MIB, 40) == ([25 * MIB, 15 * MIB], 40 * MIB)


def test_partitions_above_their_region_go_for_what_tasks_hold() -> None:
    assert balanced(20 * MIB, 40) == ([25 * MIB, 15 * MIB], 30 * MIB)
    assert balanced(45 * MIB, 40) == ([25 * MIB, 15 * MIB], 20 * MIB)


def test_what_was_set_is_not_divided() -> None:
    assert balanced(20 * MIB, 40, memory_taskSize=7) == ([], 30 * MIB)
    assert balanced(20 * MIB, 40, memory_storageSize=45 * MIB) == ([], 40 * MIB)
