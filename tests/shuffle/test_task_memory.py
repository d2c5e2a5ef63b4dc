"""Shares: who spills when it is too much."""

from pathlib import Path

import pytest

from minispark.ids import TaskId
from minispark.rdd.ports import MutableTaskMetrics
from minispark.shuffle import task_memory as module
from minispark.shuffle.task_memory import FOR_CONTAINERS, Account, Steps, TaskMemory, resident_bytes
from tests.shuffle.outputs import session, task_memory


@pytest.fixture
def memory(tmp_path: Path) -> TaskMemory:
    return task_memory(session(tmp_path), share_bytes=100)


@pytest.mark.scenario("HIS-005", "MemoryManager")
def test_who_asks_spills_when_nobody_who_holds_more_can_be_freed(memory: TaskMemory) -> None:
    mine, other = memory.open(), memory.open()

    assert not memory.must_spill(other, 60)
    assert not memory.must_spill(mine, 40)
    assert memory.must_spill(mine, 41)


def test_the_largest_that_can_be_freed_is_freed_first(memory: TaskMemory) -> None:
    freed: list[str] = []
    large, small = memory.open(lambda: freed.append("large")), memory.open(lambda: freed.append("small"))
    mine = memory.open()
    large.size_bytes, small.size_bytes = 60, 30

    assert not memory.must_spill(mine, 20)

    assert freed == ["large"]
    assert (large.size_bytes, small.size_bytes) == (0, 30)


def test_who_asks_and_could_be_freed_is_not_freed_behind_its_back(memory: TaskMemory) -> None:
    mine = memory.open(lambda: pytest.fail("freed"))
    memory.open().size_bytes = 90

    assert memory.must_spill(mine, 50)


def test_what_is_much_smaller_than_who_asks_is_not_freed(memory: TaskMemory) -> None:
    small, mine = memory.open(lambda: pytest.fail("freed")), memory.open()
    small.size_bytes = 20

    assert memory.must_spill(mine, 90)


def test_a_closed_account_counts_no_more(memory: TaskMemory) -> None:
    mine, other = memory.open(), memory.open()
    memory.must_spill(other, 90)

    memory.close(other)
    memory.close(other)

    assert not memory.must_spill(mine, 100)


def test_steps_are_small_until_it_is_known_how_large_records_are(memory: TaskMemory) -> None:
    steps = Steps(memory)
    memory.share_bytes = 64_000

    sizes = [steps.size]
    for size_bytes in (64, 576, 4_672):
        steps.took(size_bytes)
        sizes.append(steps.size)
    assert sizes == [64, 512, 4096, 8000]


def test_of_large_records_one_is_taken_at_a_time(memory: TaskMemory) -> None:
    steps = Steps(memory)

    steps.took(1_000_000)

    assert steps.size == 1


def test_a_process_that_grows_by_more_than_its_containers_tell_spills_once(
    memory: TaskMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = 500 << 20
    monkeypatch.setattr(module, "resident_bytes", lambda: held)
    memory.guarded, memory.share_bytes = True, 64 << 20
    account = memory.open()

    assert not memory.must_spill(account, 10 << 20)
    held += 200 << 20
    assert memory.must_spill(account, 10 << 20)
    memory.emptied(account)  # what was freed stays with the process
    assert not memory.must_spill(account, 10 << 20)


def test_a_container_that_holds_little_is_not_blamed(memory: TaskMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.guarded, memory.share_bytes = True, 64 << 20
    account = memory.open()
    other = memory.open()
    other.size_bytes = 100 << 20
    monkeypatch.setattr(module, "resident_bytes", lambda: 1 << 40)

    assert not memory.must_spill(account, 1 << 20)


def test_the_kernel_tells_what_this_process_holds() -> None:
    assert 10 << 20 < resident_bytes() < 1 << 40
    assert Account().size_bytes == 0


def test_files_of_an_attempt_that_failed_are_closed_whoever_still_refers_to_them(memory: TaskMemory) -> None:
    kept, gone = memory.new_file(), memory.new_file()
    del gone

    memory.close_files()
    memory.close_files()

    assert kept.fd == -1


class Metrics(MutableTaskMetrics):
    """An executor that hears what an attempt holds, and says what it may hold."""

    held, share = 0, 0

    def memory_share(self) -> int:
        return self.share

    def holds(self, size_bytes: int) -> None:
        self.held = size_bytes


@pytest.mark.scenario("HIS-005", "MemoryManager")
def test_the_executor_hears_what_is_held_and_may_change_the_share_meanwhile(tmp_path: Path) -> None:
    metrics = Metrics()
    memory = TaskMemory(str(tmp_path), TaskId(1), metrics, share_bytes=100)
    mine, other = memory.open(), memory.open()

    assert not memory.must_spill(mine, 90)
    assert metrics.held == 90
    metrics.share = int(80 / FOR_CONTAINERS)
    assert memory.must_spill(mine, 90)
    metrics.share = int(200 / FOR_CONTAINERS)
    assert not memory.must_spill(other, 100)
    assert metrics.held == 190
    memory.emptied(other)
    memory.close(mine)
    assert metrics.held == 0


def test_what_is_free_is_given_back_before_a_container_fills(tmp_path: Path) -> None:
    pieces = [str(number).encode() * 1000 for number in range(10_000)]
    last = b"stays behind them" * 1000
    del pieces[:]
    before = resident_bytes()

    account = task_memory(session(tmp_path), guarded=True).open()

    assert last
    assert account.resident_bytes < before - (10 << 20)
