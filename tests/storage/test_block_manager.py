from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minispark.errors import MiniSparkError
from minispark.ids import BlockId, ExecutorId, RddId, rdd_block_id
from minispark.messages.blocks import (
    BlockInfoUpdated,
    BlockTaken,
    RegisterBlockManager,
    RemoveRddBlocks,
    ReplicateBlock,
    TakeBlock,
    UpdateBlockInfo,
)
from minispark.messages.runner_blocks import BlockPlan, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId, TaskMetrics
from minispark.rpc.scope import TaskScope
from minispark.storage.block_manager import BlockManager
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.executor.attempts import task

BLOCK = rdd_block_id(RddId(1), 0)
LIVE = StorageLevel.MEMORY_ONLY
NEED = NeedBlock(RddId(1), 0, LIVE, 1)


class Peers:
    """Other executors that have one block, or none."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def has_peers(self) -> bool:
        return True

    async def fetch(self, block_id: BlockId, path: str) -> int:
        if self.size_bytes < 0:
            raise MiniSparkError("nobody answers")
        Path(path).write_bytes(bytes(self.size_bytes))
        return self.size_bytes


class House:
    """A block manager with what it tells."""

    def __init__(self, folder: Path, fetcher: Peers | None = None) -> None:
        (folder / "blocks").mkdir()
        self.knows_us = True
        self.updates: list[Any] = []
        self.master = RecordingRef("BlockManagerMaster", answer=self.note)
        self.dropped: list[Any] = []
        self.plans: list[BlockPlan] = []
        self.scope = TaskScope("test")
        self.location = BlockManagerId(ExecutorId("1"), "localhost", 0, str(folder))
        self.manager = BlockManager(
            self.location,
            self.master,
            max_memory_bytes=1 << 20,
            drop_live=lambda slot, block_ids: self.dropped.append((slot, block_ids)),
            world=VirtualWorld(),
            scope=self.scope,
            fetcher=fetcher,
        )
        self.manager._ref = RecordingRef("BlockManager")
        self.manager.on_start()

    def note(self, update: Any) -> BlockInfoUpdated:
        self.updates.append(update)
        return BlockInfoUpdated(self.knows_us)

    async def ask(self, request: Any, number: int = 1, slot: int = 0) -> BlockPlan:
        self.manager.asked(slot, task(task_id=number, partition=5), request, self.plans.append)
        await settle()
        self.manager.blocks.check()
        return self.plans[-1]

    async def store(self, number: int = 1, slot: int = 0) -> str:
        plan = await self.ask(NEED, number, slot)
        Path(plan.path).write_bytes(b"data")
        await self.ask(WriteBlock(BLOCK, 4, 10, True), number, slot)
        self.manager.attempt_ended(task(task_id=number).task_id, True)
        return plan.path


def with_house(folder: Path, scenario: Callable[[House], Any], fetcher: Peers | None = None) -> Any:
    async def run() -> Any:
        house = House(folder, fetcher)
        try:
            return await scenario(house)
        finally:
            await house.scope.close()

    return run_virtual(run())


def test_the_master_hears_who_is_here_and_which_blocks_are(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        path = await house.store()
        assert [type(message) for message in house.master.sent] == [RegisterBlockManager]
        assert house.updates == [UpdateBlockInfo(house.location, BLOCK, path, 4, True, 10, LIVE, 1)]

    assert with_house(tmp_path, scenario) is None


@pytest.mark.scenario("ESS-001", "25888 disk-persisted RDD blocks served")
@pytest.mark.parametrize("level", [StorageLevel.DISK_ONLY, StorageLevel.MEMORY_AND_DISK])
def test_the_master_hears_which_blocks_the_shuffle_service_serves(tmp_path: Path, level: StorageLevel) -> None:
    async def scenario(house: House) -> None:
        house.manager.service_port = 7337
        plan = await house.ask(replace(NEED, level=level))
        Path(plan.path).write_bytes(b"data")
        await house.ask(WriteBlock(BLOCK, 4, 0, True))
        assert house.updates[-1].service_port == (0 if level.use_memory else 7337)
        house.manager.attempt_ended(task(task_id=1).task_id, True)
        house.manager.receive(RemoveRddBlocks(RddId(1), 1), RecordingContext())
        assert (house.updates[-1].path, house.updates[-1].service_port) == ("", 0)

    assert with_house(tmp_path, scenario) is None


@pytest.mark.scenario("BLK-008", "block statuses in task metrics on/off")
def test_the_status_of_a_block_is_told_when_it_changes_and_not_with_the_metrics_of_a_task(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        plan = await house.ask(NEED)
        Path(plan.path).write_bytes(b"data")
        await house.ask(WriteBlock(BLOCK, 4, 10, True))  # the task goes on
        assert [(told.block_id, told.size_bytes, told.in_memory) for told in house.updates] == [(BLOCK, 4, True)]

    assert with_house(tmp_path, scenario) is None
    assert not [name for name in TaskMetrics.__dataclass_fields__ if "block" in name or "status" in name]


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_blocks_of_an_rdd_that_is_persisted_no_more_go_with_their_files(tmp_path: Path) -> None:
    async def scenario(house: House) -> Any:
        path = await house.store()
        house.manager.receive(RemoveRddBlocks(RddId(1), 1), RecordingContext())
        await settle()
        return Path(path).exists(), house.dropped, house.manager.blocks.memory.used_bytes

    assert with_house(tmp_path, scenario) == (False, [(0, (BLOCK,))], 0)


@pytest.mark.scenario("BLK-004", "re-registration on heartbeat, on block update, no deadlock")
def test_a_master_that_does_not_know_this_executor_is_told_again_what_is_here(tmp_path: Path) -> None:
    async def scenario(house: House) -> Any:
        house.manager.reregister = lambda: times.append(len(house.updates))
        house.knows_us = False
        path = await house.store()
        house.manager.tell(house.updates[0])
        await settle()
        house.knows_us = True
        house.manager.register()  # the driver has taken the executor back
        await settle()
        return len(house.master.of(RegisterBlockManager)), house.updates[-1].path == path

    times: list[int] = []
    assert with_house(tmp_path, scenario) == (2, True)
    assert times == [1]


def test_tasks_go_to_the_slot_that_used_their_partition_last(tmp_path: Path) -> None:
    async def scenario(house: House) -> Any:
        await house.store(slot=3)
        before = house.manager.slot_for(task(task_id=9, partition=5))
        house.manager.runner_lost(3)
        return before, house.manager.slot_for(task(task_id=9, partition=5))

    assert with_house(tmp_path, scenario) == (3, None)


@pytest.mark.scenario("BLK-005", "14252 getOrElseUpdate still reads remote")
def test_a_block_comes_from_another_executor(tmp_path: Path) -> None:
    async def scenario(house: House) -> BlockPlan:
        return await house.ask(NEED)

    plan = with_house(tmp_path, scenario, Peers(4))
    assert (plan.action, plan.size_bytes) == ("read", 4)
    assert Path(plan.path).read_bytes() == bytes(4)


def test_if_no_other_executor_answers_the_block_is_computed(tmp_path: Path) -> None:
    async def scenario(house: House) -> str:
        return (await house.ask(NEED)).action

    assert with_house(tmp_path, scenario, Peers(-1)) == "write"


def test_a_copy_is_fetched_when_the_master_says_so(tmp_path: Path) -> None:
    async def scenario(house: House) -> Any:
        house.manager.receive(ReplicateBlock(RddId(1), 0, LIVE, 1), RecordingContext())
        await settle()
        return house.manager.blocks.path_of(BLOCK), [update.path for update in house.updates]

    path, told = with_house(tmp_path, scenario, Peers(4))
    assert Path(path).read_bytes() == bytes(4)
    assert told == [path]


@pytest.mark.parametrize(("size_bytes", "is_here"), [(4, True), (-1, False)])
def test_who_goes_is_told_whether_its_block_is_here_now(tmp_path: Path, size_bytes: int, is_here: bool) -> None:
    async def scenario(house: House) -> list[Any]:
        context = RecordingContext()
        for _ in range(2):
            house.manager.receive(TakeBlock(RddId(1), 0, LIVE, 1), context)
        assert context.replies == []
        await settle()
        if is_here:
            house.manager.receive(TakeBlock(RddId(1), 0, LIVE, 1), context)
        return context.replies

    replies = with_house(tmp_path, scenario, Peers(size_bytes))
    assert replies == [BlockTaken(is_here, False)] * (3 if is_here else 2)


def test_an_executor_that_goes_itself_and_one_that_cannot_fetch_take_nothing(tmp_path: Path) -> None:
    async def scenario(house: House) -> list[Any]:
        context = RecordingContext()
        house.manager.receive(TakeBlock(RddId(1), 0, LIVE, 1), context)
        house.manager.is_leaving = lambda: True
        house.manager.receive(TakeBlock(RddId(1), 0, LIVE, 1), context)
        return context.replies

    assert with_house(tmp_path, scenario) == [BlockTaken(False, False), BlockTaken(False, True)]


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_block_moves_to_disk_when_tasks_need_its_memory(tmp_path: Path, is_writable: bool) -> None:
    level = StorageLevel.MEMORY_AND_DISK_SER

    async def scenario(house: House) -> str | None:
        plan = await house.ask(NeedBlock(RddId(1), 0, level, 1))
        Path(plan.path).write_bytes(b"data")
        await house.ask(WriteBlock(BLOCK, 4, 0, True))
        house.manager.attempt_ended(task(task_id=1).task_id, True)
        if not is_writable:
            house.manager.disk_directory = str(tmp_path / "missing")
        house.manager.evict(4, 0)
        await settle()
        assert not Path(plan.path).exists()
        return house.manager.blocks.path_of(BLOCK)

    path = with_house(tmp_path, scenario)
    assert (path is not None and Path(path).read_bytes() == b"data") is is_writable


@pytest.mark.scenario("HIS-005", "DiskBlockManager")
def test_a_block_has_a_file_of_its_own_among_the_blocks_and_its_name_is_never_used_again(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        paths = [house.manager.disk_path(BLOCK) for _ in range(3)]
        assert len(set(paths)) == 3
        assert {Path(path).parent for path in paths} == {tmp_path / "blocks"}
        assert all(Path(path).name.startswith(f"{BLOCK}.") for path in paths)

    assert with_house(tmp_path, scenario) is None
