import gc
from operator import add
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.messages.listener import ListenerEvent, StageSubmitted
from minispark.messages.storage_level import StorageLevel
from minispark.rdd.rdd import RDD
from tests.contexts import run_inline, session_directory

LEVELS = [
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_ONLY_SER,
    StorageLevel.DISK_ONLY,
    StorageLevel.MEMORY_AND_DISK,
    StorageLevel.MEMORY_AND_DISK_SER,
    StorageLevel.OFF_HEAP,
]


def counted(sc: SparkContext, level: StorageLevel, partitions: int = 3) -> tuple[RDD[int], Any]:
    """Return a persisted RDD and an accumulator that counts how many of its records were computed."""
    computed = sc.accumulator(0)

    def square(number: int) -> int:
        computed.add(1)
        return number * number

    return sc.parallelize(range(12), partitions).map(square).persist(level), computed


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("max_bytes", [1 << 20, 1])
def test_jobs_over_a_persisted_rdd_find_the_same_records(level: StorageLevel, max_bytes: int) -> None:
    async def job(sc: SparkContext) -> list[Any]:
        rdd, _ = counted(sc, level)
        return [await rdd.collect(), await rdd.map(str).collect(), await rdd.sum(), await rdd.first()]

    squares = [number * number for number in range(12)]
    assert run_inline(job, memory_storageSize=max_bytes) == [squares, [*map(str, squares)], sum(squares), 0]


@pytest.mark.scenario("ACC-002")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_what_was_added_for_a_kept_partition_counts_once_although_its_attempt_failed(level: StorageLevel) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, level, partitions=1)

        def fail_first(context: Any, numbers: Any) -> int:
            total: int = sum(numbers)
            if context.attempt_number == 0:
                raise ValueError("the first attempt fails")
            return total

        return await sc.run_job(rdd, fail_first), computed.value, await rdd.count(), computed.value

    assert run_inline(job, "local[1,4]") == ([506], 12, 12, 12)


@pytest.mark.scenario("DIS-004", "memory")
@pytest.mark.scenario("DIS-004", "serialised")
@pytest.mark.scenario("DIS-004", "disk")
@pytest.mark.scenario("DIS-004", "memory+disk")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_what_is_kept_is_computed_once_and_read_at_its_level(level: StorageLevel) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, level)
        for _ in range(3):
            await rdd.count()
        return computed.value, sc.storage_status()

    computed, (status,) = run_inline(job)
    assert computed == 12
    assert (status.num_cached, status.num_partitions, status.level) == (3, 3, level)
    assert (status.memory_bytes > 0) == level.use_memory
    assert (status.disk_bytes > 0) == (not level.use_memory)
    assert (status.live_bytes > 0) == level.deserialized


@pytest.mark.scenario("DIS-005", "compute without caching if nothing fits")
def test_what_does_not_fit_in_memory_is_computed_each_time() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY)
        for _ in range(2):
            await rdd.count()
        return computed.value, sc.storage_status()

    assert run_inline(job, memory_storageSize=1) == (24, [])


@pytest.mark.scenario("DIS-005", "if some partitions fit")
def test_partitions_that_fit_are_read_and_the_others_are_computed() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY_SER, 4)
        total = [await rdd.sum(), await rdd.sum()]
        return total, computed.value, sc.storage_status()[0].num_cached

    total, computed, kept = run_inline(job, memory_storageSize=150)
    assert total == [506, 506]
    assert 0 < kept < 4
    assert computed == 12 + 3 * (4 - kept)


def test_what_is_above_a_persisted_rdd_is_not_computed_again() -> None:
    async def job(sc: SparkContext) -> Any:
        stages = []

        class Stages:
            def on_event(self, event: Any) -> None:
                if type(event).__name__ == "StageCompleted":
                    stages.append(event)

        pairs = sc.parallelize(range(12), 3).map(lambda n: (n % 3, n))
        sums = pairs.reduce_by_key(add).map_values(lambda n: n + 1).cache()
        first = sorted(await sums.collect())
        sc.add_listener(Stages())
        second = await sums.repartition(2).collect()
        return first, sorted(second)

    first, second = run_inline(job)
    assert first == second == [(0, 19), (1, 23), (2, 27)]


def test_unpersist_drops_the_blocks_and_later_jobs_compute_again() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY)
        await rdd.count()
        rdd.unpersist()
        told = rdd.is_cached, rdd.storage_level, sc.storage_status(), sc.persistent_rdds()
        return told, await rdd.count(), computed.value

    assert run_inline(job) == ((False, StorageLevel.NONE, [], {}), 12, 24)


@pytest.mark.scenario("FAIL-005")
def test_partitions_whose_files_somebody_removed_from_the_disk_are_computed_again() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.DISK_ONLY)
        first = await rdd.collect()
        blocks = sorted((session_directory(sc) / "blocks").iterdir())
        for path in blocks[:2]:
            path.unlink()
        return len(blocks), first == await rdd.collect() == await rdd.collect(), computed.value

    assert run_inline(job) == (3, True, 12 + 2 * 4)


def test_an_rdd_can_be_persisted_again_with_another_level() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY)
        await rdd.count()
        rdd.unpersist().persist(StorageLevel.DISK_ONLY)
        results = [await rdd.sum(), await rdd.sum()]
        return results, computed.value, sc.storage_status()[0].memory_bytes

    assert run_inline(job) == ([506, 506], 24, 0)


def test_another_level_is_refused_while_there_is_one() -> None:
    async def job(sc: SparkContext) -> None:
        rdd = sc.parallelize([1]).cache().cache()
        with pytest.raises(ConfigurationError, match="set already"):
            rdd.persist(StorageLevel.DISK_ONLY)
        with pytest.raises(ConfigurationError, match="keeps nothing"):
            sc.parallelize([1]).persist(StorageLevel.NONE)
        with pytest.raises(TypeError, match="StorageLevel"):
            sc.parallelize([1]).persist("memory")  # type: ignore[arg-type]

    assert run_inline(job) is None


def test_an_rdd_that_nothing_refers_to_is_dropped() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, _ = counted(sc, StorageLevel.MEMORY_ONLY)
        await rdd.count()
        before = len(sc.driver.block_manager_master.table.rdds)
        del rdd
        gc.collect()
        await sc.parallelize([1]).count()
        return before, len(sc.driver.block_manager_master.table.rdds), sc.persistent_rdds()

    assert run_inline(job) == (1, 0, {})


def test_a_persisted_rdd_below_another_is_read_where_it_is_needed() -> None:
    async def job(sc: SparkContext) -> Any:
        base, computed = counted(sc, StorageLevel.MEMORY_ONLY)
        even = base.filter(lambda n: n % 2 == 0).cache()
        union = base.union(even).coalesce(2)
        results = [sorted(await union.collect()), sorted(await union.collect())]
        return results, computed.value

    squares = [number * number for number in range(12)]
    expected = sorted(squares + [square for square in squares if square % 2 == 0])
    assert run_inline(job) == ([expected, expected], 12)


def test_first_keeps_the_whole_partition_that_it_looked_at() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY)
        return await rdd.first(), computed.value, sc.storage_status()[0].num_cached, await rdd.count(), computed.value

    assert run_inline(job) == (0, 4, 1, 12, 12)


@pytest.mark.scenario("CTX-010", "persistent RDD map immutable")
@pytest.mark.scenario("CTX-010", "storage info only for materialised")
@pytest.mark.scenario("CTX-010", "call sites")
def test_the_context_tells_which_rdds_are_persisted_and_what_is_kept() -> None:
    async def job(sc: SparkContext) -> Any:
        kept, _ = counted(sc, StorageLevel.MEMORY_ONLY)
        idle = sc.parallelize([1]).cache()
        await kept.count()
        sc.persistent_rdds().clear()
        sites = [node.call_site for node in sc.persistent_rdds().values()]
        assert all(site.startswith("test_caching.py:") for site in sites), sites
        return sorted(sc.persistent_rdds()) == [kept.id, idle.id], [
            each.rdd_id == kept.id for each in sc.storage_status()
        ]

    assert run_inline(job) == (True, [True])


def test_functions_that_change_records_are_found_out() -> None:
    async def job(sc: SparkContext) -> None:
        rdd = sc.parallelize([[1], [2]], 1).map(list).cache()
        await rdd.count()
        with pytest.raises(Exception, match="changed records of the persisted RDD"):
            await rdd.map(lambda record: record.append(0)).count()

    assert run_inline(job, storage_checkMutation=True) is None


def test_what_is_persisted_after_its_map_side_was_pickled_is_kept_when_that_stage_runs_again() -> None:
    async def job(sc: SparkContext) -> Any:
        pairs = sc.parallelize(range(10), 2).map(lambda number: (number % 2, number))
        sums = pairs.reduce_by_key(add, 2)
        first = await sums.collect()
        pairs.cache()
        (shuffle_id,) = sc.driver.work.dependencies
        sc.driver.map_outputs.unregister_all(shuffle_id)
        again = await sums.collect()
        kept = [status.num_cached for status in sc.storage_status()]
        pairs.unpersist()
        sc.driver.map_outputs.unregister_all(shuffle_id)
        return first == again == await sums.collect(), kept, sc.storage_status()

    assert run_inline(job) == (True, [2], [])


class Stages:
    """The numbers of the stages that ran."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageSubmitted):
            self.ran.append(event.stage.stage_id)


def test_no_stage_runs_above_what_is_kept_in_full() -> None:
    async def job(sc: SparkContext) -> Any:
        stages = Stages()
        sc.add_listener(stages)
        sums = sc.parallelize(range(10), 2).map(lambda number: (number % 2, number)).reduce_by_key(add, 2).cache()
        await sums.collect()
        (shuffle_id,) = sc.driver.work.dependencies
        sc.driver.map_outputs.unregister_all(shuffle_id)
        await sums.map_values(str).collect()
        kept = list(stages.ran)
        sums.unpersist()
        await sums.collect()
        return kept, stages.ran

    kept, ran = run_inline(job)
    assert len(kept) == 3, "two stages at first, then one that reads what is kept"
    assert len(ran) == 5, "without it, the map side runs again"
