from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.ids import BlockId, RddId, TaskId, rdd_block_id
from minispark.messages.runner_blocks import AbandonBlock, BlockPlan, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.node_blocks import Answer, Asker, DropLive, Fetch, NodeBlocks, Paths, RemoveFile, Report

MIB = 1 << 20
A, B = RddId(1), RddId(2)
MEMORY, DISK = StorageLevel.MEMORY_ONLY_SER, StorageLevel.DISK_ONLY
MEMORY_AND_DISK, LIVE = StorageLevel.MEMORY_AND_DISK_SER, StorageLevel.MEMORY_ONLY


class Node:
    """One executor's blocks, spoken to as its runners do; task n runs in slot n."""

    def __init__(self, max_bytes: int = 100 * MIB, has_peers: bool = False) -> None:
        numbers = count()
        paths = Paths(
            lambda block, size: f"/shm/{block}.{next(numbers)}", lambda block: f"/disk/{block}.{next(numbers)}"
        )
        self.blocks = NodeBlocks(max_bytes, paths, lambda: has_peers)
        self.plans: dict[int, BlockPlan] = {}
        self.asks = count()
        self.effects: list[Any] = []

    def ask(self, task: int, request: Any) -> BlockPlan | None:
        """Return the answer; None if the task has to wait for it."""
        number = next(self.asks)
        self.blocks.asked(Asker(task, TaskId(task), number), request)
        self.settle()
        return self.plans.get(number)

    def settle(self) -> None:
        for effect in self.blocks.take_effects():
            if isinstance(effect, Answer):
                assert effect.asker.ask_id not in self.plans
                self.plans[effect.asker.ask_id] = effect.plan
            self.effects.append(effect)
        self.blocks.check()

    def need(
        self, task: int, partition: int = 0, rdd: RddId = A, level: StorageLevel = MEMORY, **more: Any
    ) -> BlockPlan | None:
        return self.ask(task, NeedBlock(rdd, partition, level, more.pop("generation", 1), **more))

    def finish(
        self, task: int, partition: int = 0, rdd: RddId = A, size: int = MIB, live: int = 0, **more: Any
    ) -> Any:
        return self.ask(task, WriteBlock(rdd_block_id(rdd, partition), size, live, True, **more))

    def store(self, task: int, partition: int = 0, rdd: RddId = A, level: StorageLevel = MEMORY, **more: Any) -> Any:
        """Have a task compute a block; return the last answer, after moving what it was told to."""
        plan = self.need(task, partition, rdd, level)
        assert plan is not None
        assert plan.action == "write"
        plan = self.finish(task, partition, rdd, **more)
        while plan.action in ("move", "write"):
            plan = self.finish(task, partition, rdd, **more, moved=tuple(move.block_id for move in plan.moves))
        self.end(task)
        return plan

    def end(self, task: int) -> None:
        self.blocks.task_ended(TaskId(task))
        self.settle()

    def seen(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


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


@pytest.mark.scenario("BLK-007", "memory+disk")
def test_a_block_without_room_in_memory_goes_to_disk_if_its_level_says_so() -> None:
    node = Node(max_bytes=MIB)

    assert node.store(1, level=MEMORY_AND_DISK, size=2 * MIB).path.startswith("/disk/")


@pytest.mark.scenario("BLK-007", "disk")
def test_a_block_for_the_disk_takes_no_memory() -> None:
    node = Node()

    assert node.store(1, level=DISK).path.startswith("/disk/")
    assert node.blocks.memory.used_bytes == 0


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


@pytest.mark.scenario("BLK-007", "missing disk file on read removes block (15736)")
def test_a_block_whose_file_cannot_be_read_is_computed_again() -> None:
    node = Node()
    stored = node.store(1)

    plan = node.need(2, lost_path=stored.path)

    assert plan is not None
    assert plan.action == "write"
    assert plan.path != stored.path


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
                plan = node.ask(task, WriteBlock(block_id, size, size, done, size % 7 == 0, moved[1:], moved[:1]))
            case "abandon":
                plan = node.ask(task, AbandonBlock(block_id))
            case "end":
                moves.pop(task, None)
                node.end(task)
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
