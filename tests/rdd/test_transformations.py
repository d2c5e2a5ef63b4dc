"""Transformations mean what the same words mean on a list, on every engine."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import empty, parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, on_serial

RECORDS = st.lists(st.integers(-5, 5), max_size=30)
PARTS = st.integers(1, 6)


def test_map_filter_and_flat_map_compose(engine: Engine) -> None:
    async def job(sc: JobRunner) -> list[str]:
        words = parallelize(sc, ["a b", "", "c d e"], 2).flat_map(str.split)
        return await words.filter(lambda word: word != "d").map(str.upper).collect()

    assert engine(job) == ["A", "B", "C", "E"]


def test_a_function_of_partitions_runs_once_for_each(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 10, num_slices=3)
        sums = await numbers.map_partitions(lambda records: [sum(records)]).collect()
        return sums, await numbers.map_partitions_with_index(lambda index, records: [(index, *records)]).collect()

    assert engine(job) == ([3, 12, 30], [(0, 0, 1, 2), (1, 3, 4, 5), (2, 6, 7, 8, 9)])


def test_glom_gives_a_list_per_partition_and_key_by_pairs(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = parallelize(sc, [1, 2, 3], 2)
        return await numbers.glom().collect(), await numbers.key_by(str).collect()

    assert engine(job) == ([[1], [2, 3]], [("1", 1), ("2", 2), ("3", 3)])


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS, RECORDS, PARTS)
def test_union_and_index_keep_the_order_of_lists(left: list[int], right: list[int], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        both = parallelize(sc, left, parts) + parallelize(sc, right, 2)
        return await both.collect(), await both.zip_with_index().collect(), both.get_num_partitions()

    everything = left + right
    indexed = [(record, index) for index, record in enumerate(everything)]
    assert on_serial(job) == (everything, indexed, parts + 2)


RDD_SUITE = pytest.mark.scenario("HIS-007", "RDDSuite")


def test_union_of_many_is_one_step(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        one = parallelize(sc, [1], 1)
        many = one.union(*[parallelize(sc, [n], 1) for n in range(5)])
        return len(many.node.dependencies), await many.collect()

    assert serial(job) == (6, [1, 0, 1, 2, 3, 4])


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_union_of_rdds_with_one_partitioner_keeps_it_and_pairs_partitions(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        left = parallelize(sc, [(n, "l") for n in range(4)], 3).partition_by(2)
        both = left.union(parallelize(sc, [(n, "r") for n in range(4)], 1).partition_by(2))
        return both.partitioner == left.partitioner, await both.glom().map(sorted).collect()

    expected = [[(0, "l"), (0, "r"), (2, "l"), (2, "r")], [(1, "l"), (1, "r"), (3, "l"), (3, "r")]]
    assert engine(job) == (True, expected)


def test_index_of_several_partitions_takes_one_counting_job_before_the_first(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        letters = parallelize(sc, "abcdef", 3).zip_with_index()
        return await letters.filter(lambda pair: pair[1] > 3).collect(), await letters.count()

    assert engine(job) == ([("e", 4), ("f", 5)], 6)


@given(RECORDS, PARTS, PARTS)
def test_coalesce_joins_neighbours_and_never_makes_more(records: list[int], parts: int, fewer: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, records, parts)
        return await rdd.glom().collect(), await rdd.coalesce(fewer).glom().collect()

    before, after = on_serial(job)
    assert [record for part in after for record in part] == records
    assert len(after) == min(parts, fewer)
    assert {len(part) for part in after} <= {
        sum(map(len, before[i:j])) for i in range(parts) for j in range(parts + 1)
    }


def test_repartition_spreads_the_records_evenly(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        lopsided = range_rdd(sc, 1000, num_slices=4).filter(lambda n: n < 300)
        return await lopsided.repartition(3).glom().collect()

    parts = engine(job)
    assert sorted(record for part in parts for record in part) == list(range(300))
    assert max(map(len, parts)) - min(map(len, parts)) <= 4


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(st.lists(st.one_of(st.integers(-3, 3), st.text("ab", max_size=2), st.none(), st.just(1.0))), PARTS)
def test_distinct_keeps_what_a_set_keeps(records: list[Any], parts: int) -> None:
    async def job(sc: JobRunner) -> list[Any]:
        return await parallelize(sc, records, 3).distinct(parts).collect()

    found = on_serial(job)
    assert len(found) == len(set(records))
    assert set(found) == set(records)


def test_group_by_collects_the_records_of_each_key(engine: Engine) -> None:
    async def job(sc: JobRunner) -> dict[int, list[int]]:
        return await range_rdd(sc, 7, num_slices=2).group_by(lambda n: n % 3, 2).collect_as_map()

    assert {key: sorted(group) for key, group in engine(job).items()} == {0: [0, 3, 6], 1: [1, 4], 2: [2, 5]}


@pytest.mark.parametrize("operation", ["map", "filter", "flat_map", "map_values"])
def test_stop_iteration_in_a_function_does_not_end_a_partition_quietly(engine: Engine, operation: str) -> None:
    async def job(sc: JobRunner) -> Any:
        def stop_at_the_last(record: Any) -> Any:
            return next(iter(())) if record == 3 else [record]

        pairs = parallelize(sc, [(n, n) for n in range(4)], 1)
        rdd: Any = pairs if operation == "map_values" else pairs.keys()
        return await getattr(rdd, operation)(stop_at_the_last).count()

    with pytest.raises(RuntimeError, match="StopIteration"):
        engine(job)


def test_a_reader_that_stops_early_is_no_error(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 100, num_slices=1).map(abs)
        return await numbers.map_partitions(lambda records: [next(records)]).map(str).collect(), await numbers.take(2)

    assert engine(job) == (["0"], [0, 1])


def test_what_a_function_of_partitions_returns_must_be_iterable(serial: Engine) -> None:
    def returns_nothing(records: Iterator[int]) -> Any:
        list(records)

    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, 3).map_partitions(returns_nothing).collect()

    with pytest.raises(
        TypeError, match=r"map_partitions .* must return an iterable of records, and returned NoneType"
    ):
        serial(job)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "2"])
def test_a_wrong_number_of_partitions_is_refused_at_once(serial: Engine, wrong: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return parallelize(sc, [1]).coalesce(wrong)

    with pytest.raises(ConfigurationError, match="a whole number of at least 1 is needed"):
        serial(job)


def test_what_is_no_function_or_rdd_is_refused_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        rdd: Any = parallelize(sc, [1])
        for method in (rdd.map, rdd.filter, rdd.flat_map, rdd.map_partitions, rdd.key_by, rdd.group_by):
            with pytest.raises(TypeError, match=rf"{method.__name__} needs a function, not 5"):
                method(5)
        with pytest.raises(TypeError, match=r"union needs another RDD, not \[1\]"):
            rdd.union([1])

    serial(job)


def test_a_name_is_shown_where_the_operation_was(serial: Engine) -> None:
    async def job(sc: JobRunner) -> str:
        rdd = parallelize(sc, [1])
        assert rdd.set_name("numbers") is rdd
        return repr(rdd)

    assert "numbers" in serial(job)


@given(RECORDS, PARTS)
def test_records_that_are_declared_indeterminate_are_the_same_records(records: list[int], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, records, parts).declare_indeterminate().collect()

    assert on_serial(job) == records


@RDD_SUITE
def test_a_union_with_an_empty_rdd_keeps_the_partitioner(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        placed, nothing = parallelize(sc, [(1, True)]).partition_by(1), empty(sc)
        both, other_way, loose = (
            nothing.union(placed),
            placed.union(nothing),
            placed.union(parallelize(sc, [(2, 1)], 1)),
        )
        partitioners = [rdd.partitioner == placed.partitioner for rdd in (both, other_way, loose)]
        counts = [await rdd.count() for rdd in (both, other_way, loose, nothing.union(nothing))]
        return partitioners, counts, nothing.union(nothing).get_num_partitions()

    assert serial(job) == ([True, True, False], [1, 1, 2, 0], 0)


@RDD_SUITE
@given(st.lists(st.tuples(st.sampled_from([0, 1, True, 1.0, "a", None]), st.integers(0, 2)), max_size=30), PARTS)
def test_distinct_pairs_stay_where_their_keys_are(pairs: list[tuple[Any, int]], parts: int) -> None:
    async def job(sc: SerialJobRunner) -> Any:
        placed = parallelize(sc, pairs, 2).partition_by(parts)
        once, moved = placed.distinct(), placed.distinct(parts + 1)
        assert once.partitioner == placed.partitioner
        assert moved.partitioner is None
        shuffles = next(sc.shuffle_ids)
        return await once.collect(), await moved.collect(), shuffles

    once, moved, shuffles = on_serial(job)  # type: ignore[arg-type]  # the serial runner counts them
    assert len(once) == len(moved) == len(set(pairs))
    assert set(once) == set(moved) == set(pairs)
    assert shuffles == 2


@RDD_SUITE
def test_distinct_pairs_that_were_placed_are_found_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        placed = parallelize(sc, [(n % 4, n % 2) for n in range(40)], 3).partition_by(2)
        by_parity = parallelize(sc, [(n % 4, 0) for n in range(40)], 3).partition_by(2, lambda key: key // 2)
        return await placed.distinct().glom().map(sorted).collect(), sorted(await by_parity.distinct().collect())

    assert engine(job) == ([[(0, 0), (2, 0)], [(1, 1), (3, 1)]], [(n, 0) for n in range(4)])


@RDD_SUITE
@pytest.mark.parametrize(
    ("fewer", "expected"),
    [
        (2, [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]),
        (3, [[1, 2, 3], [4, 5, 6], [7, 8, 9, 10]]),
        (10, [[n] for n in range(1, 11)]),
        (20, [[n] for n in range(1, 11)]),
    ],
)
def test_coalesced_partitions_are_runs_of_neighbours(serial: Engine, fewer: int, expected: list[list[int]]) -> None:
    async def job(sc: JobRunner) -> Any:
        data = range_rdd(sc, 1, 11, num_slices=10)
        return await data.coalesce(fewer).glom().collect(), await data.coalesce(20, shuffle=True).glom().collect()

    found, spread = serial(job)
    assert found == expected
    assert (len(spread), sorted(n for part in spread for n in part)) == (20, list(range(1, 11)))


@RDD_SUITE
@pytest.mark.parametrize(
    ("size", "before", "after"), [(1000, 10, 2), (100, 10, 20), (20_000, 20, 100), (1000, 250, 128)]
)
def test_repartitioned_partitions_are_balanced(serial: Engine, size: int, before: int, after: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, size, num_slices=before).repartition(after).glom().collect()

    parts = serial(job)
    assert sorted(n for part in parts for n in part) == list(range(size))
    assert len(parts) == after
    assert all(0 < len(part) <= size // after + before for part in parts)


@RDD_SUITE
def test_very_many_empty_partitions_are_no_trouble(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        few = range_rdd(sc, 10, num_slices=100).repartition(201)
        return sorted(await few.collect()), await few.zip_with_index().repartition(4).count()

    assert serial(job) == (list(range(10)), 10)
