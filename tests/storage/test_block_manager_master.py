from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from minispark.ids import BlockId, ExecutorId, RddId
from minispark.messages.blocks import (
    BlockInfoUpdated,
    BlockLocations,
    BlockRemoved,
    DecommissionBlockManager,
    GetLocations,
    RegisterBlockManager,
    RemoveBlock,
    RemoveExecutorBlocks,
    RemoveRddBlocks,
    ReplicateBlock,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Message
from minispark.rpc.scope import TaskScope
from minispark.storage.block_manager_master import BlockManagerMaster
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

BLOCK, OTHER = BlockId("rdd_1_0"), BlockId("rdd_1_1")
REPLICATED = StorageLevel.MEMORY_ONLY_2


def session(path: Path, executor: str = "driver") -> BlockManagerId:
    (path / "blocks").mkdir(parents=True)
    (path / "token").write_text("secret")
    return BlockManagerId(ExecutorId(executor), "localhost", 0, str(path))


def report(location: BlockManagerId, path: Path | str) -> UpdateBlockInfo:
    return UpdateBlockInfo(location, BLOCK, str(path), 4)


def register(location: BlockManagerId, manager: RecordingRef | None = None) -> RegisterBlockManager:
    return RegisterBlockManager(location, 1 << 20, manager or RecordingRef("BlockManager"))


def answers(messages: Sequence[ToBlockManagerMaster], watcher: Any = None) -> list[Message]:
    """Let the master handle messages; return its replies, but for that a report is noted."""
    context = RecordingContext()

    async def handle() -> None:
        scope = TaskScope("test")
        master = BlockManagerMaster(VirtualWorld(), scope)
        master.watcher = watcher
        for message in messages:
            master.receive(message, context)
            master.table.check()
        await settle()
        await scope.close()

    run_virtual(handle())
    return [reply for reply in context.replies if reply != BlockInfoUpdated(True)]


@pytest.mark.scenario("BLK-002", "master + 1/2 managers")
@pytest.mark.scenario("BLK-008", "locations")
def test_holders_of_a_block_are_told(tmp_path: Path) -> None:
    first, second = session(tmp_path / "1", "1"), session(tmp_path / "2", "2")

    asks: list[ToBlockManagerMaster] = [
        report(first, "f"),
        GetLocations(BLOCK),
        report(second, "g"),
        GetLocations(BLOCK),
        GetLocations(OTHER),
    ]
    replies = answers([register(first), register(second), *asks])

    assert replies == [BlockLocations((first,)), BlockLocations((first, second)), BlockLocations(())]


def test_who_dropped_a_block_holds_it_no_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1")

    asks: list[ToBlockManagerMaster] = [
        register(location),
        report(location, "f"),
        report(location, ""),
        GetLocations(BLOCK),
    ]

    assert answers(asks) == [BlockLocations(())]


def test_a_lost_executor_holds_nothing_any_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")

    asks: list[ToBlockManagerMaster] = [
        register(location),
        report(location, "f"),
        RemoveExecutorBlocks(ExecutorId("1")),
        GetLocations(BLOCK),
    ]

    assert answers(asks) == [BlockLocations(())]


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_removing_a_block_deletes_its_files_and_then_answers(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")

    replies = answers([register(location), report(location, path), RemoveBlock(BLOCK), RemoveBlock(BLOCK)])

    assert replies == [BlockRemoved(1), BlockRemoved(0)]
    assert not path.exists()


def test_a_path_outside_of_the_blocks_is_not_deleted(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "precious"
    path.write_text("data")

    answers([register(location), report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()


def test_files_in_a_directory_of_another_host_are_left_alone(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")
    (tmp_path / "1" / "token").unlink()

    answers([register(location), report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def block_updated(self, *news: Any) -> None:
        self.told.append(news)


@pytest.mark.scenario("BLK-004", "re-registration on heartbeat, on block update, no deadlock")
@pytest.mark.scenario("BLK-009", "30594: no listener event if the master refused the update")
def test_an_update_of_an_unknown_executor_is_refused_and_nobody_hears_of_it(tmp_path: Path) -> None:
    location, watcher = session(tmp_path / "1", "1"), Watcher()

    replies = answers([report(location, "f"), GetLocations(BLOCK)], watcher)

    assert replies == [BlockInfoUpdated(False), BlockLocations(())]
    assert watcher.told == []
    answers([register(location), report(location, "f")], watcher)
    assert watcher.told == [("1", 1, 0, True)]


@pytest.mark.scenario("BLK-004", "41360 no re-registration of a lost executor")
def test_a_lost_executor_is_not_taken_back(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")
    gone = RemoveExecutorBlocks(ExecutorId("1"))

    replies = answers([register(location), gone, register(location), report(location, "f"), GetLocations(BLOCK)])

    assert replies == [BlockInfoUpdated(False), BlockLocations(())]


def test_who_registers_again_says_anew_what_it_holds(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")

    replies = answers([register(location), report(location, "f"), register(location), GetLocations(BLOCK)])

    assert replies == [BlockLocations(())]


@pytest.mark.scenario("BLK-010", "decommission: not a peer")
@pytest.mark.parametrize("leaves", [False, True])
def test_an_executor_that_is_to_go_gets_no_copies(tmp_path: Path, leaves: bool) -> None:
    holder, peer = session(tmp_path / "1", "1"), session(tmp_path / "2", "2")
    manager = RecordingRef("BlockManager")
    orders = [DecommissionBlockManager(ExecutorId("2"))] if leaves else []
    stored = UpdateBlockInfo(holder, BLOCK, "f", 4, True, 0, REPLICATED, 1)

    answers([register(holder), register(peer, manager), *orders, stored])

    assert manager.sent == ([] if leaves else [ReplicateBlock(RddId(1), 0, REPLICATED, 1)])


def test_a_replicated_block_is_copied_again_when_one_of_its_holders_is_lost(tmp_path: Path) -> None:
    places = [session(tmp_path / name, name) for name in "123"]
    managers = [RecordingRef("BlockManager") for _ in places]
    stored = [UpdateBlockInfo(place, BLOCK, "f", 4, True, 0, REPLICATED, 1) for place in places[:2]]

    answers([*map(register, places, managers), *stored, RemoveExecutorBlocks(ExecutorId("1"))])

    assert managers[2].sent[-1] == ReplicateBlock(RddId(1), 0, REPLICATED, 1)


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_the_blocks_of_an_rdd_are_forgotten_and_all_executors_told(tmp_path: Path) -> None:
    location, manager = session(tmp_path / "1", "1"), RecordingRef("BlockManager")

    async def scenario() -> Any:
        master = BlockManagerMaster(VirtualWorld(), TaskScope("test"))
        master.receive(register(location, manager), RecordingContext())
        master.receive(report(location, "f"), RecordingContext())
        master.remove_rdd(RddId(1), 3)
        master.table.assert_empty()
        return manager.sent

    assert run_virtual(scenario()) == [RemoveRddBlocks(RddId(1), 3)]
