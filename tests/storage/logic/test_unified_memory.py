"""What storage and execution leave each other; the cases are those of Spark's UnifiedMemoryManagerSuite."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import RddId, rdd_block_id
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.memory_store import Copy, MemoryStore
from minispark.storage.logic.unified_memory import UnifiedMemory
from tests.storage.logic.blocks_house import MIB, Node

HALF = UnifiedMemory.of(1000, 0.5)
MANAGERS = pytest.mark.scenario("HIS-005", "UnifiedMemoryManager")


def store(storage_bytes: int, execution_bytes: int) -> MemoryStore:
    """Return the store of an executor with 1000 bytes for both, which holds one file."""
    memory = MemoryStore(1000, lambda block_id: False)
    memory.execution_bytes = execution_bytes
    if storage_bytes:
        memory.put(Copy(rdd_block_id(RddId(1), 0)), RddId(1), storage_bytes)
    return memory


def room(memory: MemoryStore, size_bytes: int) -> int | None:
    """Return how many copies have to go for a new one; None: it cannot be had."""
    victims = memory.victims(Copy(rdd_block_id(RddId(2), 0)), RddId(2), size_bytes)
    return None if victims is None else len(victims)


@MANAGERS
@pytest.mark.parametrize(("fraction", "region"), [(0.5, 500), (0.0, 0), (1.0, 1000)])
def test_the_region_of_storage_is_a_part_of_the_bound(fraction: float, region: int) -> None:
    assert UnifiedMemory.of(1000, fraction).region_bytes == region


@MANAGERS
def test_tasks_may_take_all_that_nobody_has() -> None:
    assert HALF.execution_limit(0) == 1000
    assert HALF.execution_limit(200) == 800
    assert HALF.task_share(200, 4) == 200
    assert HALF.to_evict(200, 800) == 0


@MANAGERS
def test_storage_may_take_what_tasks_leave_and_not_more() -> None:
    assert room(store(0, 300), 700) == 0
    assert room(store(0, 300), 701) is None


@MANAGERS
def test_tasks_take_back_what_storage_has_above_its_region() -> None:
    assert HALF.execution_limit(750) == 500
    assert HALF.to_evict(750, 200) == 0
    assert HALF.to_evict(750, 400) == 150


@MANAGERS
def test_tasks_take_nothing_of_the_region() -> None:
    assert HALF.execution_limit(400) == 600
    assert HALF.to_evict(400, 700) == 0
    assert HALF.to_evict(600, 900) == 100, "and of what is above it no more than there is"


@MANAGERS
@pytest.mark.parametrize("size_bytes", [100, 750])
def test_storage_takes_nothing_that_tasks_hold_but_pushes_out_storage(size_bytes: int) -> None:
    memory = store(200, 800)

    assert room(memory, size_bytes) == (1 if size_bytes <= 200 else None)
    assert memory.execution_bytes == 800


@MANAGERS
def test_when_tasks_let_go_storage_may_grow_again() -> None:
    memory = store(400, 600)
    assert room(memory, 500) is None

    memory.execution_bytes = 0

    assert room(memory, 500) == 0


@MANAGERS
def test_nothing_goes_for_a_block_larger_than_what_tasks_leave() -> None:
    assert room(store(300, 700), 301) is None


@MANAGERS
def test_what_tasks_need_is_evicted_down_to_the_region_and_blocks_have_room_for_the_rest() -> None:
    node = Node(10 * MIB)
    memory = UnifiedMemory.of(10 * MIB, 0.5)
    for number in range(8):
        node.store(number, number, level=StorageLevel.MEMORY_ONLY_SER)
    store = node.blocks.memory
    store.execution_bytes = 7 * MIB

    node.blocks.shrink(memory.to_evict(store.used_bytes, store.execution_bytes), memory.region_bytes)
    node.settle()

    assert store.used_bytes == memory.region_bytes
    assert store.free_bytes == -2 * MIB
    assert node.store(9, 9, level=StorageLevel.MEMORY_ONLY_SER).action == "skip"


SIZES = st.integers(0, 1000)


@pytest.mark.scenario("HIS-005", "MemoryManager")
@given(SIZES, SIZES, st.floats(0.0, 1.0), st.integers(1, 9))
def test_whatever_is_held_the_rules_hold(stored: int, held: int, fraction: float, slots: int) -> None:
    memory = UnifiedMemory.of(1000, fraction)
    evicted = memory.to_evict(stored, held)

    assert 0 <= evicted <= stored
    assert stored - evicted >= min(stored, memory.region_bytes), "the region is never taken"
    assert memory.execution_limit(stored) + min(stored, memory.region_bytes) == 1000
    assert memory.task_share(stored, slots) * slots <= memory.execution_limit(stored)
    if held <= memory.execution_limit(stored):
        assert stored - evicted + held <= 1000, "what tasks may take fits, once so much has gone"
