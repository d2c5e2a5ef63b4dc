"""Sorted RDDs are sorted lists cut into partitions, on every engine."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.partitioner import HashPartitioner
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import empty, parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, Scatter, on_serial

RECORDS = st.lists(st.integers(-20, 20), max_size=60)


@given(RECORDS, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_sort_by_is_sorted(records: list[int], before: int, after: int, ascending: bool) -> None:
    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, records, before).sort_by(abs, ascending, after)
        assert ordered.get_num_partitions() == after
        return await ordered.collect()

    assert list(map(abs, on_serial(job))) == sorted(map(abs, records), reverse=not ascending)


@given(RECORDS, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_sort_by_key_sorts_pairs_and_keeps_equal_keys_together(
    records: list[int], before: int, after: int, ascending: bool
) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, records, before).key_by(lambda n: n % 7)
        ordered = pairs.sort_by_key(ascending, after, lambda key: -key)
        return await ordered.collect(), await ordered.keys().glom().collect()

    pairs, parts = on_serial(job)

    assert [key for key, _ in pairs] == sorted((n % 7 for n in records), reverse=ascending)
    assert sorted(n for _, n in pairs) == sorted(records)
    assert sum(len(set(part)) for part in parts) == len({n % 7 for n in records})


def test_sorting_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        words = parallelize(sc, ["pear", "Fig", "apple", "kiwi", "Date"] * 20, 4)
        ordered = words.sort_by(str.lower)
        return await ordered.take(21), await ordered.count(), await words.sort_by(len, False, 1).first()

    assert engine(job) == (["apple"] * 20 + ["Date"], 100, "apple")


def test_ranges_are_about_as_long_as_each_other(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        scattered = range_rdd(sc, 20_000, num_slices=3).map(lambda n: n * 7919 % 20_011)
        return await scattered.sort_by(lambda n: n, num_partitions=4).glom().map(len).collect()

    assert all(4200 < length < 5800 for length in engine(job))


def test_sampling_runs_once_before_the_first_action_of_any_child(serial: Engine) -> None:
    async def job(sc: SerialJobRunner) -> Any:
        ordered = range_rdd(sc, 50, num_slices=2).sort_by(lambda n: -n, num_partitions=3)
        assert sc.jobs == []
        assert await ordered.map(str).first() == "49"
        assert await ordered.filter(lambda n: n < 2).collect() == [1, 0]
        return sc.jobs

    assert serial(job) == [[0, 1], [0], [0, 1, 2]]  # type: ignore[arg-type]  # the serial runner says which


def test_a_sort_of_a_sort_samples_what_is_sorted(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        by_digit = range_rdd(sc, 30, num_slices=3).sort_by(lambda n: n % 10)
        return await by_digit.zip_with_index().sort_by_key(False).take(2), await by_digit.take(4)

    assert engine(job) == ([(29, 29), (28, 26)], [0, 10, 20, 1])


def test_one_partition_needs_neither_sample_nor_shuffle(serial: Engine) -> None:
    async def job(sc: SerialJobRunner) -> Any:
        ordered = parallelize(sc, [3, 1, 2], 3).sort_by(lambda n: n, num_partitions=1)
        return await ordered.collect(), sc.jobs, sc.map_tasks

    assert serial(job) == ([1, 2, 3], [[0]], 0)  # type: ignore[arg-type]  # the serial runner says which


@pytest.mark.scenario("HIS-007", "Sorting")
def test_nothing_is_sorted_into_nothing(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await empty(sc).sort_by(abs).collect(), await parallelize(sc, [], 3).sort_by(abs).collect()

    assert engine(job) == ([], [])


def test_what_cannot_be_compared_fails_with_pythons_own_error(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1, "a"] * 5, 2).sort_by(lambda record: record).collect()

    with pytest.raises(TypeError, match="'<' not supported between instances of"):
        engine(job)


def test_a_sorts_ranges_do_not_decide_where_equal_keys_meet(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, [(n % 5, 1) for n in range(200)], 4).sort_by_key(True, 4, Scatter())
        assert ordered.partitioner is None
        sums = await ordered.reduce_by_key(operator.add).collect()
        joined = await ordered.join(parallelize(sc, [(3, "here")])).count()
        return sorted(sums), joined, len(await ordered.group_by_key().collect()), await (ordered + ordered).count()

    assert engine(job) == ([(n, 40) for n in range(5)], 40, 5, 400)


def test_a_sorted_rdd_joins_keys_that_cannot_be_compared_with_its_own(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, [(1, "a"), (2, "b"), (3, "c")], 3).sort_by_key()
        others: Any = parallelize(sc, [(None, 1), ("x", 1), (1, 2)])
        return sorted(await ordered.left_outer_join(others).collect())

    assert engine(job) == [(1, ("a", 2)), (2, ("b", None)), (3, ("c", None))]


def test_a_union_of_sorted_rdds_keeps_the_order_of_each(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, [(3, 0), (1, 0), (2, 0)], 2).sort_by_key(num_partitions=2)
        return await (ordered + ordered).keys().collect()

    assert serial(job) == [1, 2, 3, 1, 2, 3]


def test_wrong_arguments_are_refused_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        rdd: Any = parallelize(sc, [(1, 2)])
        with pytest.raises(ConfigurationError, match="num_partitions = 0"):
            rdd.sort_by_key(num_partitions=0)
        with pytest.raises(TypeError, match="sort_by needs a function, not 'key'"):
            rdd.sort_by("key")

    serial(job)


sorting = pytest.mark.scenario("HIS-007", "Sorting")


@sorting
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("size", [2, 10_000])
def test_arrays_of_any_size_are_sorted_into_any_number_of_partitions(size: int, count: int, ascending: bool) -> None:
    pairs = [(number * 7919 % 10_007, -number) for number in range(size)]

    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, pairs, 2).sort_by_key(ascending, count)
        return ordered.get_num_partitions(), await ordered.collect()

    assert on_serial(job) == (count, sorted(pairs, reverse=not ascending))


@sorting
@pytest.mark.parametrize("ascending", [True, False])
def test_partitions_of_what_is_sorted_are_balanced(ascending: bool) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = range_rdd(sc, 1000, num_slices=4).map(lambda n: (n * 7919 % 10_007, n))
        parts = await pairs.sort_by_key(ascending, 4).keys().glom().collect()
        assert all(list(part) == sorted(part, reverse=not ascending) for part in parts)
        return [len(part) for part in parts]

    assert all(180 < length < 400 for length in on_serial(job))


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers())), st.integers(1, 4), st.booleans())
def test_pairs_are_placed_by_key_and_sorted_in_their_partitions(
    pairs: list[tuple[int, int]], count: int, ascending: bool
) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, pairs, 3).repartition_and_sort_within_partitions(
            count, abs, ascending, lambda key: -key
        )
        return await rdd.glom().collect(), rdd.partitioner

    parts, partitioner = on_serial(job)
    assert partitioner == HashPartitioner(count, abs)
    for index, part in enumerate(parts):
        keys = [key for key, _ in part]
        assert keys == sorted((key for key, _ in pairs if abs(key) % count == index), reverse=ascending)


def test_pairs_that_are_placed_already_are_sorted_where_they_are(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        placed = parallelize(sc, [(n % 4, n) for n in range(8, 0, -1)], 2).partition_by(2)
        rdd = placed.repartition_and_sort_within_partitions()
        return await rdd.keys().glom().collect(), rdd.partitioner == placed.partitioner

    assert engine(job) == ([[0, 0, 2, 2], [1, 1, 3, 3]], True)
