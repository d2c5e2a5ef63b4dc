from collections.abc import Sequence
from pathlib import Path

from minispark.ids import BlockId, ExecutorId
from minispark.messages.blocks import (
    BlockLocations,
    BlockRemoved,
    GetLocations,
    RemoveBlock,
    RemoveExecutorBlocks,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Message
from minispark.rpc.scope import TaskScope
from minispark.storage.block_manager_master import BlockManagerMaster
from minispark.testing.fakes import RecordingContext
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

BLOCK = BlockId("rdd_1_0")


def session(path: Path, executor: str = "driver") -> BlockManagerId:
    (path / "blocks").mkdir(parents=True)
    (path / "token").write_text("secret")
    return BlockManagerId(ExecutorId(executor), "localhost", 0, str(path))


def report(location: BlockManagerId, path: Path | str) -> UpdateBlockInfo:
    return UpdateBlockInfo(location, BLOCK, str(path), 4)


def answers(messages: Sequence[ToBlockManagerMaster]) -> list[Message]:
    """Let the master handle messages; return its replies."""
    context = RecordingContext()

    async def handle() -> None:
        scope = TaskScope("test")
        master = BlockManagerMaster(VirtualWorld(), scope)
        for message in messages:
            master.receive(message, context)
            master.table.check()
        await settle()
        await scope.close()

    run_virtual(handle())
    return context.replies


def test_holders_of_a_block_are_told(tmp_path: Path) -> None:
    first, second = session(tmp_path / "1", "1"), session(tmp_path / "2", "2")

    replies = answers([report(first, "f"), report(second, "g"), GetLocations(BLOCK)])

    assert replies == [BlockLocations((first, second))]


def test_who_dropped_a_block_holds_it_no_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1")

    assert answers([report(location, "f"), report(location, ""), GetLocations(BLOCK)]) == [BlockLocations(())]


def test_a_lost_executor_holds_nothing_any_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")

    replies = answers([report(location, "f"), RemoveExecutorBlocks(ExecutorId("1")), GetLocations(BLOCK)])

    assert replies == [BlockLocations(())]


def test_removing_a_block_deletes_its_files_and_then_answers(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")

    replies = answers([report(location, path), RemoveBlock(BLOCK), RemoveBlock(BLOCK)])

    assert replies == [BlockRemoved(1), BlockRemoved(0)]
    assert not path.exists()


def test_a_path_outside_of_the_blocks_is_not_deleted(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "precious"
    path.write_text("data")

    answers([report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()


def test_files_in_a_directory_of_another_host_are_left_alone(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")
    (tmp_path / "1" / "token").unlink()

    answers([report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()
