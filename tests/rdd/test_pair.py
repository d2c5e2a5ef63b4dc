"""Methods for pairs mean what the same words mean on a dict of lists, on every engine."""

import operator
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import KeyHashError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, Scatter, on_serial

KEYS = st.one_of(st.integers(-2, 2), st.sampled_from(["", "a", "b"]), st.none(), st.tuples(st.booleans(), st.none()))
PAIRS = st.lists(st.tuples(KEYS, st.integers(-9, 9)), max_size=30)
PARTS = st.integers(1, 5)
LETTERS = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)]


def grouped(pairs: list[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_keys_values_and_their_maps(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, LETTERS[:3], 2)
        mapped = await pairs.map_values(lambda value: value * 10).collect()
        flat = await pairs.flat_map_values(range).collect()
        return await pairs.keys().collect(), await pairs.values().collect(), mapped, flat

    keys, values, mapped, flat = engine(job)

    assert (keys, values, mapped) == (["a", "b", "a"], [1, 2, 3], [("a", 10), ("b", 20), ("a", 30)])
    assert flat == [("a", 0), ("b", 0), ("b", 1), ("a", 0), ("a", 1), ("a", 2)]


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
@given(PAIRS, PARTS, PARTS)
def test_reduce_and_group_by_key_see_every_value_once(pairs: list[Any], before: int, after: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, pairs, before)
        sums = await rdd.reduce_by_key(operator.add, after).collect()
        return sums, await rdd.group_by_key(after).collect()

    sums, groups = on_serial(job)

    assert len(sums) == len(groups) == len(grouped(pairs))
    assert dict(sums) == {key: sum(values) for key, values in grouped(pairs).items()}
    assert dict(groups) == grouped(pairs)


def test_shuffles_give_the_same_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, LETTERS, 3)
        groups = await rdd.group_by_key().map_values(sorted).collect_as_map()
        return groups, await rdd.reduce_by_key(max, 2).collect_as_map()

    assert engine(job) == ({"a": [1, 3, 5], "b": [2], "c": [4]}, {"a": 5, "b": 2, "c": 4})


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_combine_by_key_uses_its_three_functions(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, LETTERS, 3)
        return await rdd.combine_by_key(str, lambda text, value: text + str(value), operator.add, 2).collect_as_map()

    assert {key: sorted(text) for key, text in engine(job).items()} == {"a": ["1", "3", "5"], "b": ["2"], "c": ["4"]}


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_each_key_aggregates_into_its_own_copy_of_zero(engine: Engine) -> None:
    def add(values: list[int], value: int) -> list[int]:
        values.append(value)
        return values

    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, LETTERS, 1).aggregate_by_key([0], add, operator.iadd)
        return await rdd.collect_as_map(), await rdd.collect_as_map()

    expected = {"a": [0, 1, 3, 5], "b": [0, 2], "c": [0, 4]}
    assert engine(job) == (expected, expected)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_fold_by_key_starts_from_zero_in_each_partition(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, [("a", 1), ("a", 1), ("b", 1)], 2)
        return await rdd.fold_by_key(10, operator.add).collect_as_map()

    assert engine(job) == {"a": 22, "b": 11}


def test_partition_by_places_keys_and_is_idle_when_they_are_placed(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        placed = parallelize(sc, [(n, n) for n in range(6)], 3).partition_by(2)
        assert placed.partition_by(2) is placed
        assert placed.filter(bool).map_values(str).partition_by(2).node.dependencies[0].node.name == "filter"
        return await placed.keys().glom().collect()

    assert engine(job) == [[0, 2, 4], [1, 3, 5]]


def test_a_function_of_the_user_places_keys(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return (
            await parallelize(sc, [("x", 1), ("yy", 2), ("zzz", 3)], 2).partition_by(2, len).keys().glom().collect()
        )

    assert engine(job) == [["yy"], ["x", "zzz"]]


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_placed_pairs_are_combined_without_another_shuffle() -> None:
    async def job(sc: Any) -> Any:
        placed = parallelize(sc, LETTERS, 3).partition_by(2)
        sums = placed.reduce_by_key(operator.add)
        assert sums.partitioner == placed.partitioner
        return await sums.map_values(str).group_by_key().collect_as_map(), next(sc.shuffle_ids)

    assert on_serial(job) == ({"a": ["9"], "b": ["2"], "c": ["4"]}, 1)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
@pytest.mark.parametrize(("setting", "expected"), [({}, 7), ({"default__parallelism": 3}, 3)])
def test_without_a_number_a_shuffle_has_as_many_partitions_as_its_parent(setting: Any, expected: int) -> None:
    async def job(sc: JobRunner) -> int:
        return parallelize(sc, LETTERS, 7).group_by_key().get_num_partitions()

    assert on_serial(job, **setting) == expected


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
@pytest.mark.parametrize("placed", [True, False])
def test_lookup_finds_the_values_of_a_key(engine: Engine, placed: bool) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, [*LETTERS, ((None, 1), 6)], 3)
        rdd = rdd.partition_by(4) if placed else rdd
        return await rdd.lookup("a"), await rdd.lookup((None, 1)), await rdd.lookup("nobody")

    assert engine(job) == ([1, 3, 5], [6], [])


def test_lookup_of_placed_pairs_computes_one_partition() -> None:
    async def job(sc: SerialJobRunner) -> Any:
        assert await parallelize(sc, [(n, n) for n in range(8)], 2).partition_by(4).lookup(6) == [6]
        return sc.jobs

    assert on_serial(job) == [[0], [2]]  # type: ignore[arg-type]  # the serial runner says which


def test_lookup_in_sorted_pairs(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        ordered = parallelize(sc, [(n % 10, n) for n in range(40)], 3).sort_by_key(num_partitions=4)
        return sorted(await ordered.lookup(7))

    assert engine(job) == [7, 17, 27, 37]


def test_a_function_that_places_equal_keys_apart_does_not_keep_them_apart_later(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        salted = parallelize(sc, [(n % 3, n) for n in range(30)], 3).partition_by(4, Scatter())
        return sorted(await salted.map_values(lambda n: 1).reduce_by_key(operator.add).collect())

    assert engine(job) == [(0, 10), (1, 10), (2, 10)]


def test_a_key_without_a_portable_hash_fails_the_job_and_says_why(engine: Engine) -> None:
    class Anything:
        pass

    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1, 2], 1).map(lambda n: (Anything(), n)).group_by_key().count()

    with pytest.raises(KeyHashError, match="Anything cannot be a key"):
        engine(job)


def test_counting_by_key_and_value(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, LETTERS, 2)
        return await rdd.count_by_key(), await rdd.keys().count_by_value()

    counts = Counter("abaca")
    assert engine(job) == (counts, counts)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_folding_into_a_value_changes_no_value_that_is_kept(engine: Engine) -> None:
    async def job(sc: Any) -> Any:
        lists = parallelize(sc, LETTERS, 2).map_values(lambda value: [value])
        kept = lists.cache() if hasattr(sc, "persist") else lists
        sums = await kept.fold_by_key([], operator.iadd).map_values(sorted).collect_as_map()
        return sums, await kept.values().collect()

    assert engine(job) == ({"a": [1, 3, 5], "b": [2], "c": [4]}, [[1], [2], [3], [4], [5]])
