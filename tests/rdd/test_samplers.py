"""Samples: as large as they should be, the same for the same seed, and made of the records."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.samplers import fraction_for
from minispark.rdd.sources import parallelize, range_rdd
from tests.rdd.conftest import Engine, on_serial

PARTS = st.integers(1, 6)
SEEDS = st.integers(0, 1 << 40)


def test_a_sample_is_about_the_fraction_and_the_same_for_the_same_seed(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 4000, num_slices=4)
        drawn = [await numbers.sample(False, 0.25, seed).collect() for seed in (1, 1, 2)]
        return drawn, await numbers.sample(True, 2.5, 1).collect()

    (first, again, other), replaced = engine(job)
    assert first == again != other
    assert len(set(first)) == len(first) == pytest.approx(1000, abs=150)
    assert len(replaced) == pytest.approx(10_000, abs=500)
    assert set(first) | set(replaced) <= set(range(4000))


@pytest.mark.parametrize(
    ("with_replacement", "fraction"), [(False, -0.1), (True, -1), (False, 1.5), (True, float("inf"))]
)
def test_a_fraction_that_cannot_be_is_refused(with_replacement: bool, fraction: float) -> None:
    async def job(sc: JobRunner) -> None:
        with pytest.raises(ConfigurationError, match="sample takes a fraction"):
            range_rdd(sc, 4).sample(with_replacement, fraction)
        with pytest.raises(ConfigurationError, match="sample_by_key takes a fraction"):
            parallelize(sc, [(1, 1)]).sample_by_key(with_replacement, {1: 0.5, 2: fraction})

    assert on_serial(job) is None


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.floats(0, 5), min_size=1, max_size=4), PARTS, SEEDS)
def test_a_split_gives_each_record_to_one_part(
    records: list[int], weights: list[float], parts: int, seed: int
) -> None:
    async def job(sc: JobRunner) -> Any:
        split = parallelize(sc, records, parts).random_split([*weights, 1.0], seed)
        return [await rdd.collect() for rdd in split]

    found = on_serial(job)
    assert len(found) == len(weights) + 1
    assert sorted(record for part in found for record in part) == sorted(records)
    assert all(not part for part, weight in zip(found[:-1], weights, strict=True) if weight == 0)


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_the_parts_of_a_split_are_about_as_large_as_their_weights(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        split = range_rdd(sc, 3000, num_slices=3).random_split([1, 2], 17)
        return [await rdd.count() for rdd in split], [rdd.get_num_partitions() for rdd in split]

    (small, large), partitions = engine(job)
    assert small + large == 3000
    assert small == pytest.approx(1000, abs=130)
    assert partitions == [3, 3]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [float("nan")], [float("inf"), 1]])
def test_weights_that_cannot_be_are_refused(serial: Engine, weights: list[float]) -> None:
    async def job(sc: JobRunner) -> Any:
        return range_rdd(sc, 4).random_split(weights)

    with pytest.raises(ConfigurationError, match="random_split takes weights"):
        serial(job)


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 60), st.booleans(), PARTS, SEEDS)
def test_a_taken_sample_has_the_size_that_was_asked_for(
    records: list[int], num: int, with_replacement: bool, parts: int, seed: int
) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, records, parts).take_sample(with_replacement, num, seed)

    found = on_serial(job)
    if with_replacement:
        assert len(found) == (num if records else 0)
        assert set(found) <= set(records)
    else:
        assert len(found) == min(num, len(records))
        assert Counter(found) <= Counter(records)
    assert on_serial(job) == found


def test_every_record_is_taken_about_as_often(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Counter[int]:
        numbers = range_rdd(sc, 10, num_slices=3)
        return Counter([n for seed in range(300) for n in await numbers.take_sample(False, 3, seed)])

    found = serial(job)
    assert sum(found.values()) == 900
    assert all(count == pytest.approx(90, abs=32) for count in found.values())


def test_a_size_that_cannot_be_is_refused(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, 4).take_sample(False, -1)

    with pytest.raises(ConfigurationError, match="num = -1"):
        serial(job)


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.booleans())
def test_the_fraction_draws_enough_nearly_always(num: int, total: int, with_replacement: bool) -> None:
    num = min(num, total)
    fraction = fraction_for(num, total, with_replacement)
    mean, deviation = fraction * total, math.sqrt(fraction * total)
    assert mean >= num or fraction == 1
    if not with_replacement:
        assert fraction <= 1
    if fraction < 1 and num > 20:
        assert mean - 3 * deviation >= num - 1


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_each_key_has_its_own_fraction(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = range_rdd(sc, 3000, num_slices=3).map(lambda n: ("abc"[n % 3], n))
        fractions = {"a": 0.0, "b": 0.3, "c": 1.0}
        once = await pairs.sample_by_key(False, fractions, 5).count_by_key()
        again = await pairs.sample_by_key(True, {"a": 0.0, "b": 0.5, "c": 2.0}, 5).count_by_key()
        return once, again

    once, again = engine(job)
    assert once["b"] == pytest.approx(300, abs=70)
    assert once["c"] == 1000
    assert again["b"] == pytest.approx(500, abs=100)
    assert again["c"] == pytest.approx(2000, abs=200)
    assert "a" not in {**once, **again}


def test_a_key_without_a_fraction_fails_the_job(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [("a", 1), ("b", 2)], 1).sample_by_key(False, {"a": 0.5}).collect()

    with pytest.raises(KeyError, match="b"):
        serial(job)


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_samples_keep_the_partitioner(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, [(n, n) for n in range(10)], 2).partition_by(3)
        samples = [pairs.sample(False, 0.5), pairs.sample_by_key(False, {}), *pairs.random_split([1, 1])]
        return [sample.partitioner == pairs.partitioner for sample in samples]

    assert serial(job) == [True] * 4
