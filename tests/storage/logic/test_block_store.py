import pytest

from minispark.ids import RddId, rdd_block_id
from minispark.messages.runner_blocks import BlockPlan, WriteBlock
from minispark.storage.logic.block_effects import DropLive, MoveFile, RemoveFile
from minispark.storage.logic.memory_store import SHARED
from tests.storage.logic.blocks_house import DISK, LIVE, MEMORY, MEMORY_AND_DISK, MIB, A, B, Node


@pytest.mark.scenario("BLK-006", "serialised")
@pytest.mark.scenario("BLK-006", "with streams")
def test_the_block_goes_first_that_was_used_longest_ago() -> None:
    node = Node(3 * MIB)
    for number in (1, 2, 3):
        node.store(number, rdd=RddId(number))
    node.need(4, rdd=RddId(1))
    node.end(4)

    node.store(5, rdd=RddId(5))

    assert {block.rdd_id for block in node.blocks.blocks.values()} == {1, 3, 5}


@pytest.mark.scenario("HIS-005", "MemoryStore")
@pytest.mark.scenario("BLK-007", "large block")
@pytest.mark.scenario("DIS-005", "compute without caching if nothing fits")
def test_a_block_that_does_not_fit_is_skipped_and_leaves_nothing() -> None:
    node = Node(max_bytes=MIB)

    assert node.store(1, size=2 * MIB) == BlockPlan("skip")
    assert node.blocks.memory.used_bytes == 0


@pytest.mark.scenario("DIS-005", "if some partitions fit")
def test_as_many_partitions_stay_as_fit() -> None:
    node = Node(max_bytes=3 * MIB)

    actions = [node.store(1, partition, size=MIB).action for partition in range(5)]

    assert actions == ["read", "read", "read", "skip", "skip"]


@pytest.mark.scenario("BLK-006", "mixed levels")
def test_what_may_be_on_disk_is_moved_there_and_what_may_not_is_dropped() -> None:
    node = Node(max_bytes=2 * MIB)
    node.store(1, 0, A, MEMORY_AND_DISK)
    node.store(1, 1, A, MEMORY)

    node.store(1, 0, B, MEMORY, size=2 * MIB)

    assert set(node.blocks.blocks) == {rdd_block_id(A, 0), rdd_block_id(B, 0)}
    moved = node.blocks.blocks[rdd_block_id(A, 0)]
    assert moved.path.startswith("/disk/")
    assert not moved.in_memory


@pytest.mark.scenario("BLK-007", "large block")
@pytest.mark.scenario("BLK-007", "memory+disk")
def test_a_block_without_room_in_memory_goes_to_disk_if_its_level_says_so() -> None:
    node = Node(max_bytes=MIB)

    assert node.store(1, level=MEMORY_AND_DISK, size=2 * MIB).path.startswith("/disk/")


@pytest.mark.scenario("BLK-007", "disk")
def test_a_block_for_the_disk_takes_no_memory() -> None:
    node = Node()

    assert node.store(1, level=DISK).path.startswith("/disk/")
    assert node.blocks.memory.used_bytes == 0


@pytest.mark.scenario("HIS-005", "MemoryStore")
def test_a_block_that_cannot_be_moved_is_dropped() -> None:
    node = Node(max_bytes=MIB)
    node.store(1, 0, A, MEMORY_AND_DISK)
    node.need(1, 0, B)
    plan = node.finish(1, 0, B)

    plan = node.finish(1, 0, B, unmoved=tuple(move.block_id for move in plan.moves))

    assert plan.action == "read"
    assert set(node.blocks.blocks) == {rdd_block_id(B, 0)}


def test_a_full_tmpfs_sends_a_block_to_disk_and_a_full_disk_gives_it_up() -> None:
    node = Node()
    node.need(1)

    plan = node.ask(1, WriteBlock(rdd_block_id(A, 0), MIB, 0, False, full=True))
    assert plan is not None
    assert plan.path.startswith("/disk/")

    assert node.ask(1, WriteBlock(rdd_block_id(A, 0), MIB, 0, False, full=True)) == BlockPlan("skip")


def test_objects_are_kept_while_they_fit_and_others_need_not_go_for_them() -> None:
    node = Node(max_bytes=4 * MIB)

    assert node.store(0, 0, level=LIVE, size=MIB, live=2 * MIB).live
    assert not node.store(0, 1, level=LIVE, size=MIB, live=2 * MIB).live


def test_objects_go_when_a_file_needs_their_room_and_their_runner_is_told() -> None:
    node = Node(max_bytes=4 * MIB)
    node.store(0, 0, level=LIVE, size=MIB, live=3 * MIB)

    assert node.store(1, 1, size=2 * MIB).action == "read"
    assert node.seen(DropLive) == [DropLive(0, (rdd_block_id(A, 0),))]


def test_a_second_runner_may_keep_objects_too_if_there_is_room() -> None:
    node = Node()
    node.store(0, level=LIVE, size=MIB, live=2 * MIB)

    plan = node.need(3, level=LIVE)

    assert plan is not None
    assert plan.live
    assert node.blocks.memory.used_bytes == 5 * MIB


def test_the_objects_of_a_lost_runner_count_no_more() -> None:
    node = Node()
    node.store(0, level=LIVE, size=MIB, live=2 * MIB)

    node.blocks.runner_lost(0)

    assert node.blocks.memory.used_bytes == MIB


@pytest.mark.scenario("HIS-005", "UnifiedMemoryManager")
def test_when_tasks_need_memory_objects_go_first_then_files_down_to_a_floor() -> None:
    node = Node(10 * MIB)
    node.store(1, 0, level=LIVE, live=2 * MIB)
    node.store(2, 1, level=MEMORY)
    node.store(3, 2, level=MEMORY)

    node.blocks.shrink(MIB, 0)
    node.settle()
    assert [effect.slot for effect in node.seen(DropLive)] == [1]
    node.blocks.shrink(10 * MIB, 2 * MIB)
    node.settle()

    assert node.blocks.memory.used_bytes == 2 * MIB
    assert sorted(node.blocks.blocks) == ["rdd_1_1", "rdd_1_2"]


@pytest.mark.parametrize("is_done", [True, False])
def test_what_may_be_on_disk_moves_there_when_tasks_need_memory(is_done: bool) -> None:
    node = Node()
    stored = node.store(1, level=MEMORY_AND_DISK)

    node.blocks.shrink(MIB, 0)
    node.settle()
    (move,) = node.seen(MoveFile)
    assert node.need(2, level=MEMORY_AND_DISK) is None, "it waits until the file is in place"
    node.blocks.moved(move.block_id, is_done)
    node.settle()

    assert RemoveFile(stored.path) in node.effects
    assert node.blocks.memory.bytes_of(SHARED) == 0
    plan = node.plans[2]
    assert (plan.action, plan.path == move.target) == (("read", True) if is_done else ("write", False))


def test_what_a_task_reads_stays_whoever_needs_memory() -> None:
    node = Node()
    node.store(1)
    node.need(2)

    node.blocks.shrink(10 * MIB, 0)

    assert node.blocks.memory.used_bytes == MIB
