import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import BlockId, RddId, rdd_block_id
from minispark.storage.logic.memory_store import SHARED, Copy, MemoryStore

OLD, NEW = RddId(1), RddId(2)


def shared(rdd_id: RddId, partition: int) -> Copy:
    return Copy(rdd_block_id(rdd_id, partition))


def live(rdd_id: RddId, partition: int, slot: int = 0) -> Copy:
    return Copy(rdd_block_id(rdd_id, partition), slot)


def store(*copies: tuple[Copy, RddId, int], locked: frozenset[BlockId] = frozenset()) -> MemoryStore:
    """Return a store of 100 bytes that holds copies."""
    made = MemoryStore(100, locked.__contains__)
    for copy, rdd_id, size in copies:
        made.put(copy, rdd_id, size)
        made.check()
    return made


def test_what_fits_needs_no_victim() -> None:
    assert store((shared(OLD, 0), OLD, 60)).victims(shared(NEW, 0), NEW, 40) == []


@pytest.mark.scenario("BLK-006", "memory")
def test_the_copy_that_was_used_longest_ago_goes_first() -> None:
    memory = store((shared(OLD, 0), OLD, 40), (shared(OLD, 1), OLD, 40))
    memory.touch(shared(OLD, 0))

    assert memory.victims(shared(NEW, 0), NEW, 50) == [shared(OLD, 1)]


@pytest.mark.scenario("BLK-006", "partitions of same RDD never evict each other (1194)")
def test_partitions_of_one_rdd_never_push_each_other_out() -> None:
    memory = store((shared(NEW, 0), NEW, 60))

    assert memory.victims(shared(NEW, 1), NEW, 60) is None


@pytest.mark.scenario("HIS-005", "MemoryStore")
def test_nothing_goes_unless_enough_can() -> None:
    memory = store((shared(OLD, 0), OLD, 30), (shared(NEW, 0), NEW, 60))

    assert memory.victims(shared(NEW, 1), NEW, 50) is None


@pytest.mark.scenario("BLK-007", "read-locked blocks not evicted")
def test_what_is_being_read_stays() -> None:
    locked = frozenset({rdd_block_id(OLD, 0)})
    memory = store((shared(OLD, 0), OLD, 50), (shared(OLD, 1), OLD, 50), locked=locked)

    assert memory.victims(shared(NEW, 0), NEW, 50) == [shared(OLD, 1)]
    assert memory.victims(shared(NEW, 0), NEW, 60) is None


def test_objects_go_before_files_also_those_of_the_same_rdd() -> None:
    memory = store((shared(OLD, 0), OLD, 40), (live(NEW, 0), NEW, 50))

    assert memory.victims(shared(NEW, 1), NEW, 50) == [live(NEW, 0)]


def test_no_file_goes_for_objects() -> None:
    memory = store((shared(OLD, 0), OLD, 40), (live(OLD, 0), OLD, 50))

    assert memory.victims(live(NEW, 0), NEW, 60) == [live(OLD, 0)]
    assert memory.victims(live(NEW, 0), NEW, 70) is None


def test_growing_counts_what_the_copy_has_already() -> None:
    memory = store((shared(OLD, 0), OLD, 80))

    assert memory.victims(shared(OLD, 0), OLD, 100) == []


def test_an_empty_store_has_room_for_its_bound_and_no_more() -> None:
    memory = store()

    assert memory.victims(shared(NEW, 0), NEW, 100) == []
    assert memory.victims(shared(NEW, 0), NEW, 101) is None


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(SHARED, 2), st.integers(1, 70)), max_size=40
)


@pytest.mark.scenario("HIS-005", "MemoryStore")
@given(STEPS)
def test_random_histories_stay_within_the_bound(steps: list[tuple[int, int, int, int]]) -> None:
    memory = store()
    for rdd, partition, slot, size in steps:
        copy, rdd_id = Copy(rdd_block_id(RddId(rdd), partition), slot), RddId(rdd)
        victims = memory.victims(copy, rdd_id, size)
        if victims is None:
            continue
        assert copy not in victims
        for victim in victims:
            assert memory.copies[victim].rdd_id != rdd_id or (slot == SHARED and victim.slot != SHARED)
            assert memory.remove(victim)
        memory.put(copy, rdd_id, size)
        memory.check()
    for copy in list(memory.copies):
        memory.remove(copy)
    memory.assert_empty()
    assert memory.free_bytes == 100
