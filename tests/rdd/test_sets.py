"""Set operations on RDDs are those on lists."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from tests.rdd.conftest import Engine, on_serial

RECORDS = st.lists(st.integers(-4, 4), max_size=20)
PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.text("ab", max_size=1)), max_size=20)
PARTS = st.integers(1, 5)


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS, RECORDS, PARTS, PARTS)
def test_intersection_and_subtraction_are_those_of_lists(
    left: list[int], right: list[int], parts: int, others: int
) -> None:
    async def job(sc: JobRunner) -> Any:
        one, other = parallelize(sc, left, parts), parallelize(sc, right, others)
        return await one.intersection(other).collect(), await one.subtract(other, 2).collect()

    both, rest = on_serial(job)
    assert sorted(both) == sorted(set(left) & set(right))
    assert sorted(rest) == sorted(record for record in left if record not in right)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
@given(PAIRS, PAIRS, PARTS)
def test_subtraction_by_key_keeps_the_pairs_of_keys_that_are_not_there(
    left: list[tuple[int, str]], right: list[tuple[int, str]], parts: int
) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, left, parts).subtract_by_key(parallelize(sc, right, 2), 3).collect()

    keys = {key for key, _ in right}
    assert Counter(on_serial(job)) == Counter(pair for pair in left if pair[0] not in keys)


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS, RECORDS, PARTS, PARTS)
def test_a_product_has_every_pair(left: list[int], right: list[int], parts: int, others: int) -> None:
    async def job(sc: JobRunner) -> Any:
        product = parallelize(sc, left, parts).cartesian(parallelize(sc, right, others))
        return await product.collect(), product.get_num_partitions()

    pairs, partitions = on_serial(job)
    assert Counter(pairs) == Counter((one, other) for one in left for other in right)
    assert partitions == parts * others


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS, PARTS)
def test_zip_pairs_records_of_equal_rank_and_unique_ids_differ(records: list[int], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, records, parts)
        return await rdd.zip(rdd.map(str)).collect(), await rdd.zip_with_unique_id().glom().collect()

    zipped, numbered = on_serial(job)
    assert zipped == [(record, str(record)) for record in records]
    ids = [[number for _, number in part] for part in numbered]
    assert ids == [[index + parts * rank for rank in range(len(part))] for index, part in enumerate(ids)]


def test_the_operations_run_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        one, other = parallelize(sc, [1, 1, 2, 3], 2), parallelize(sc, [3, 3, 4], 2)
        placed = one.key_by(abs).partition_by(2)
        return [
            sorted(await one.intersection(other).collect()),
            sorted(await one.subtract(other).collect()),
            sorted(await placed.subtract_by_key(other.key_by(abs)).collect()),
            await one.cartesian(one.map(lambda n: -n)).map(sum).sum(),
            await one.cartesian(other).coalesce(2).count(),
            await one.zip(one.zip_with_unique_id().values()).collect(),
        ]

    pairs = [(1, 0), (1, 2), (2, 1), (3, 3)]
    assert engine(job) == [[3], [1, 1, 2], [(1, 1), (1, 1), (2, 2)], 0, 12, pairs]


@pytest.mark.scenario("HIS-007", "RDDSuite")
@pytest.mark.parametrize(("left", "right"), [([1, 2, 3], [1, 2]), ([1], [1, 2]), ([], [1])])
def test_sides_of_unequal_length_cannot_be_zipped(serial: Engine, left: list[int], right: list[int]) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, left, 1).zip(parallelize(sc, right, 1)).count()

    with pytest.raises(ValueError, match="as many records on both sides"):
        serial(job)


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_numbers_of_partitions_must_be_equal_to_zip(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1, 2], 2).zip(parallelize(sc, [1, 2], 1)).count()

    with pytest.raises(ConfigurationError, match=r"zip needs RDDs with as many partitions: .* has 2, and .* has 1"):
        serial(job)


def test_what_is_no_rdd_is_refused(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        rdd: Any = parallelize(sc, [(1, 1)])
        for method in (rdd.intersection, rdd.subtract, rdd.subtract_by_key, rdd.cartesian, rdd.zip):
            with pytest.raises(TypeError, match=rf"{method.__name__} needs another RDD, not \[1\]"):
                method([1])

    serial(job)


def test_pairs_stay_where_their_keys_are(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, [(n, n) for n in range(6)], 2).partition_by(3)
        rest = pairs.subtract_by_key(parallelize(sc, [(1, 1)], 1))
        before = await rest.count()
        return rest.partitioner == pairs.partitioner, before

    assert serial(job) == (True, 5)


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_what_is_left_of_placed_pairs_stays_placed_and_has_as_many_partitions(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs, others = parallelize(sc, [(1, "a"), (1, "a"), (2, "b")], 2), parallelize(sc, [(2, 20), (4, 40)], 2)
        placed = pairs.partition_by(5, abs)
        by_key, whole = placed.subtract_by_key(others), pairs.subtract(others)
        return await by_key.collect(), by_key.partitioner is not None, whole.partitioner, whole.get_num_partitions()

    assert serial(job) == ([(1, "a"), (1, "a")], True, None, 2)
