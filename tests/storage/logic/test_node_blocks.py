from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.ids import BlockId, rdd_block_id
from minispark.messages.runner_blocks import AbandonBlock, BlockPlan, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.block_effects import Answer, Fetch, RemoveFile, Report
from tests.storage.logic.blocks_house import LIVE, MIB, A, B, Node


@pytest.mark.scenario("BLK-005", "local")
def test_a_block_is_computed_once_and_then_read() -> None:
    node = Node()

    stored = node.store(1)

    assert node.need(2) == BlockPlan("read", stored.path, MIB)
    assert stored.path.startswith("/shm/")
    assert [report.path for report in node.seen(Report)] == [stored.path]


def test_who_needs_a_block_that_is_being_computed_waits_for_it() -> None:
    node = Node()
    node.need(1)

    assert node.need(2) is None
    stored = node.finish(1)

    assert node.plans[1] == stored == BlockPlan("read", stored.path, MIB)


def test_if_computing_fails_the_next_one_who_waits_computes() -> None:
    node = Node()
    node.need(1)
    node.need(2)

    node.ask(1, AbandonBlock(rdd_block_id(A, 0)))

    assert node.plans[1].action == "write"


@pytest.mark.scenario("JC-002")
def test_what_an_attempt_has_not_finished_when_it_ends_is_gone() -> None:
    node = Node()
    plan = node.need(1)
    assert plan is not None

    node.end(1)

    assert RemoveFile(plan.path) in node.effects
    assert node.blocks.blocks == {}
    assert not node.seen(Report)


@pytest.mark.scenario("BLK-007", "missing disk file on read removes block (15736)")
def test_a_block_whose_file_cannot_be_read_is_computed_again() -> None:
    node = Node()
    stored = node.store(1)

    plan = node.need(2, lost_path=stored.path)

    assert plan is not None
    assert plan.action == "write"
    assert plan.path != stored.path


def test_nothing_of_an_rdd_stays_that_is_persisted_no_more() -> None:
    node = Node()
    stored = node.store(0, level=LIVE, live=MIB)
    node.need(1, level=LIVE)

    node.blocks.remove_rdd(A, 1)
    node.settle()

    assert node.blocks.blocks == {}
    assert node.blocks.memory.used_bytes == 0
    assert RemoveFile(stored.path) in node.effects
    assert node.need(2) == BlockPlan("skip")


def test_a_late_task_of_an_earlier_time_finds_and_stores_nothing() -> None:
    node = Node()
    node.need(1)
    node.blocks.remove_rdd(A, 1)
    node.settle()

    assert node.finish(1) == BlockPlan("skip")
    assert node.need(2, generation=2).action == "write"  # type: ignore[union-attr]


def test_a_block_may_come_from_another_executor() -> None:
    node = Node(has_peers=True)
    assert node.need(1) is None
    (fetch,) = node.seen(Fetch)

    node.blocks.fetched(fetch.block_id, fetch.path, MIB)
    node.settle()

    assert node.plans[0] == BlockPlan("read", fetch.path, MIB)


def test_what_no_other_executor_has_is_computed() -> None:
    node = Node(has_peers=True)
    node.need(1)
    node.need(2)
    (fetch,) = node.seen(Fetch)

    node.blocks.fetched(fetch.block_id, fetch.path, -1)
    node.settle()

    assert node.plans[0].action == "write"
    assert 1 not in node.plans


def test_what_an_attempt_stored_goes_if_what_it_added_does_not_count() -> None:
    node = Node()
    node.need(1)
    stored = node.finish(1, has_added=True)

    node.end(1, succeeded=False)

    assert RemoveFile(stored.path) in node.effects
    assert not node.seen(Report)
    assert node.need(2).action == "write"  # type: ignore[union-attr]


def test_what_an_attempt_stored_that_failed_stays_if_it_added_nothing() -> None:
    node = Node()
    node.need(1)
    stored = node.finish(1)

    node.end(1, succeeded=False)

    assert node.need(2) == stored


@pytest.mark.scenario("BLK-011")
def test_a_block_is_seen_by_others_once_what_was_added_for_it_counts() -> None:
    node = Node()
    node.need(1)
    node.need(2)
    stored = node.finish(1, has_added=True)

    assert [node.plans[1].action, node.need(3), node.need(1)] == ["skip", BlockPlan("skip"), stored]
    assert (node.seen(Report), node.blocks.path_of(rdd_block_id(A, 0))) == ([], None)
    node.end(1)

    assert [report.path for report in node.seen(Report)] == [stored.path]
    assert (node.need(3), node.blocks.path_of(rdd_block_id(A, 0))) == (stored, stored.path)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["need", "grow", "finish", "abandon", "end", "remove", "lose"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([A, B]),
        st.integers(0, 4 * MIB),
    ),
    max_size=60,
)
LEVELS = {A: StorageLevel.MEMORY_AND_DISK, B: StorageLevel.MEMORY_ONLY}


@settings(max_examples=100)
@given(OPERATIONS)
def test_random_histories_keep_the_bound_and_end_without_locks(operations: Any) -> None:
    node = Node(max_bytes=6 * MIB)
    generations = {A: 1, B: 1}
    moves: dict[int, tuple[BlockId, ...]] = {}
    for operation, task, partition, rdd, size in operations:
        block_id = rdd_block_id(rdd, partition)
        plan = None
        match operation:
            case "need":
                known = node.blocks.blocks.get(block_id)
                lost = known.path if known is not None and size % 5 == 0 else ""
                facts = {"generation": generations[rdd], "live_bytes": size // 2, "lost_path": lost}
                plan = node.need(task, partition, rdd, LEVELS[rdd], **facts)
            case "grow" | "finish":
                moved = moves.pop(task, ())
                done = operation == "finish"
                plan = node.ask(
                    task, WriteBlock(block_id, size, size, done, size % 7 == 0, moved[1:], moved[:1], size % 3 == 0)
                )
            case "abandon":
                plan = node.ask(task, AbandonBlock(block_id))
            case "end":
                moves.pop(task, None)
                node.end(task, size % 2 == 0)
            case "remove":
                node.blocks.remove_rdd(rdd, generations[rdd])
                generations[rdd] += 1
                node.settle()
            case "lose":
                node.blocks.runner_lost(task)
                node.settle()
        if plan is not None and plan.action == "move":
            moves[task] = tuple(move.block_id for move in plan.moves)
    for task in range(4):
        node.end(task)
    node.blocks.assert_unlocked()
    assert len(node.plans) == len({effect.asker.ask_id for effect in node.seen(Answer)})


LOCKS = pytest.mark.scenario("HIS-005", "BlockInfoManager")


@LOCKS
def test_many_read_a_block_at_once_and_one_may_read_it_again() -> None:
    node = Node()
    stored = node.store(0)

    plans = [node.need(task) for task in (1, 2, 2)]

    assert [plan.path for plan in plans if plan] == [stored.path] * 3
    for task in (2, 1):
        assert node.blocks.is_locked(stored_id())
        node.end(task)
    assert not node.blocks.is_locked(stored_id())
    node.blocks.assert_unlocked()


@LOCKS
def test_whoever_has_written_a_block_reads_it_until_its_attempt_ends() -> None:
    node = Node()
    node.need(1)
    node.finish(1)

    assert node.blocks.is_locked(stored_id())
    assert node.need(2) is not None, "others may read it, too"
    node.end(2)
    assert node.blocks.is_locked(stored_id())
    node.end(1)
    node.blocks.assert_unlocked()


@LOCKS
def test_only_the_attempt_that_writes_a_block_can_store_it() -> None:
    node = Node()
    node.need(1)

    assert node.finish(2) == BlockPlan("skip")
    assert node.ask(2, AbandonBlock(stored_id())) == BlockPlan("skip")
    assert node.finish(1).action == "read"
    assert node.finish(1) == BlockPlan("skip"), "it is stored already"


@LOCKS
def test_when_the_writer_ends_without_a_block_the_next_who_waits_writes_and_the_others_go_on_waiting() -> None:
    node = Node()
    for task in (1, 2, 3):
        node.need(task)

    node.end(1)

    assert node.plans[1].action == "write"
    assert 2 not in node.plans
    node.finish(2)
    assert node.plans[2].action == "read"


@LOCKS
def test_an_attempt_that_ends_while_it_waits_is_not_answered_and_gets_no_lock() -> None:
    node = Node()
    node.need(1)
    node.need(2)

    node.end(2)
    node.finish(1)
    node.end(1)

    assert 1 not in node.plans
    node.blocks.assert_unlocked()


@LOCKS
def test_who_waits_for_a_block_that_is_removed_is_told_that_it_is_nowhere() -> None:
    node = Node()
    node.need(1)
    node.need(2)

    node.blocks.remove_rdd(A, 1)
    node.settle()

    assert node.plans[1] == BlockPlan("skip")
    assert node.blocks.remove_rdd(A, 1) == 0, "there is nothing more to remove"


@LOCKS
def test_all_that_an_attempt_holds_is_released_at_its_end_which_may_be_told_twice() -> None:
    node = Node()
    node.store(0, 0)
    node.need(1, 0)
    node.need(1, 1)

    node.end(1)
    node.end(1)

    node.blocks.assert_unlocked()
    assert list(node.blocks.blocks) == [stored_id()]


def stored_id() -> BlockId:
    return rdd_block_id(A, 0)


@pytest.mark.scenario("HIS-005", "MemoryStore")
def test_blocks_that_grow_at_the_same_time_share_the_memory_and_one_that_gives_up_leaves_its_room() -> None:
    node = Node(10 * MIB)
    first, second = node.need(1, 0), node.need(2, 1)
    assert first is not None
    assert second is not None
    grow = [WriteBlock(rdd_block_id(A, number), 4 * MIB, 0, False) for number in (0, 1)]

    granted = node.ask(1, grow[0])
    assert granted is not None
    assert granted.size_bytes > 6 * MIB, "half as much again, and what is never asked for"
    assert node.blocks.memory.used_bytes == 6 * MIB
    smaller = node.ask(2, grow[1])
    assert smaller is not None
    assert smaller.action == "skip", "nothing of the same RDD goes for it"
    assert node.blocks.memory.used_bytes == 6 * MIB
    node.end(1)
    assert node.blocks.memory.used_bytes == 0
