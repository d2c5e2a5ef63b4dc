"""What numbers are told to be is what plain Python finds."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize, range_rdd
from tests.rdd.conftest import Engine, on_serial

NUMBERS = st.lists(st.integers(-100, 100), max_size=40)
PARTS = st.integers(1, 6)


def test_statistics_come_from_one_job(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = parallelize(sc, [3, 1, 4, 1, 5, 9, 2, 6], 3)
        stats = await numbers.stats()
        others = [
            await numbers.mean(), await numbers.variance(), await numbers.stdev(),
            await numbers.sample_variance(), await numbers.sample_stdev(),
        ]  # fmt: skip
        return stats.as_dict(), others

    told, others = engine(job)
    numbers = [3, 1, 4, 1, 5, 9, 2, 6]
    assert (told["count"], told["min"], told["max"], told["sum"]) == (8, 1, 9, 31)
    functions: list[Callable[..., float]] = [
        statistics.fmean, statistics.pvariance, statistics.pstdev, statistics.variance, statistics.stdev,
    ]  # fmt: skip
    assert others == pytest.approx([function(numbers) for function in functions])


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=40), PARTS)
def test_partitions_do_not_change_the_statistics(numbers: list[float], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, numbers, parts)
        return await rdd.mean(), await rdd.variance()

    assert on_serial(job) == pytest.approx((statistics.fmean(numbers), statistics.pvariance(numbers)), abs=1e-6)


@pytest.mark.parametrize("action", ["mean", "variance", "stdev", "sample_variance", "sample_stdev"])
def test_nothing_has_no_mean(serial: Engine, action: str) -> None:
    async def job(sc: JobRunner) -> Any:
        assert (await parallelize(sc, [], 2).stats()).count == 0
        return await getattr(parallelize(sc, [], 2), action)()

    with pytest.raises(ValueError, match=rf"is empty: {action} needs at least one number"):
        serial(job)


@given(NUMBERS, st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True).map(sorted), PARTS)
def test_a_histogram_counts_what_lies_between_bounds(numbers: list[int], bounds: list[int], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, numbers, parts).histogram(bounds)

    expected = [sum(low <= n < high for n in numbers) for low, high in pairwise(bounds)]
    expected[-1] += numbers.count(bounds[-1])
    assert on_serial(job) == (bounds, expected)


@given(NUMBERS.filter(bool), st.integers(1, 7), PARTS)
def test_even_buckets_hold_every_number(numbers: list[int], count: int, parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, numbers, parts).histogram(count)

    bounds, counts = on_serial(job)
    assert sum(counts) == len(numbers)
    assert (bounds[0], bounds[-1]) == (min(numbers), max(numbers))
    assert len(counts) == len(bounds) - 1 == (1 if min(numbers) == max(numbers) else count)


@pytest.mark.scenario("HIS-007", "DoubleRDD")
@pytest.mark.parametrize(
    ("records", "buckets", "expected"),
    [
        (range(51), 2, ([0, 25, 50], [25, 26])),
        (range(51), [0, 5, 25, 50], ([0, 5, 25, 50], [5, 20, 26])),
        (["ab", "ac", "b", "bd", "ef"], ["a", "b", "c"], (["a", "b", "c"], [2, 2])),
        ([1, None, math.nan, 2.5], 3, ([1, 1.5, 2.0, 2.5], [1, 0, 1])),
        ([1, None, math.nan, 9], [0, 5], ([0, 5], [1])),
        (["x", "y"], 1, (["x", "y"], [2])),
        ([7, 7, 7], 5, ([7, 7], [3])),
        ([1, math.inf], [0, 2, math.inf], ([0, 2, math.inf], [1, 1])),
        ([], [0, 1], ([0, 1], [0])),
    ],
)
def test_histograms_of_all_kinds(engine: Engine, records: Any, buckets: Any, expected: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, records, 2).histogram(buckets)

    assert engine(job) == expected


@pytest.mark.parametrize(
    ("buckets", "records", "error", "text"),
    [
        (0, [1], ConfigurationError, "at least one bucket"),
        ([1], [1], ConfigurationError, "at least two bounds"),
        ([2, 1], [1], ConfigurationError, "ascending"),
        ([1, 1], [1], ConfigurationError, "differ"),
        ([1, "a"], [1], ConfigurationError, "one kind"),
        ([None, 1], [1], ConfigurationError, "no None or NaN"),
        ("ab", [1], ConfigurationError, "a number of buckets, or their bounds"),
        (2, [], ValueError, "is empty"),
        (2, [1, math.inf], ValueError, "infinite"),
        (2, ["a", "b"], TypeError, "needs numbers"),
    ],
)
def test_buckets_that_cannot_be_are_refused(
    serial: Engine, buckets: Any, records: Any, error: type[Exception], text: str
) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, records, 2).histogram(buckets)

    with pytest.raises(error, match=text):
        serial(job)


def test_about_how_many_records_differ(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        words = range_rdd(sc, 6000, num_slices=3).map(lambda n: f"word {n % 2000}")
        return await words.count_approx_distinct(0.02), await parallelize(sc, [], 2).count_approx_distinct()

    found, nothing = engine(job)
    assert found == pytest.approx(2000, rel=0.06)
    assert nothing == 0


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_about_how_many_values_of_each_key_differ(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, [(key, n % key) for key in range(1, 60) for n in range(2 * key)], 3)
        return await pairs.count_approx_distinct_by_key(0.01, 4).collect_as_map()

    found = engine(job)
    assert found == {key: pytest.approx(key, rel=0.05) for key in range(1, 60)}


def test_an_error_that_cannot_be_reached_for_keys_is_refused_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return parallelize(sc, [(1, 1)]).count_approx_distinct_by_key(0.0)

    with pytest.raises(ConfigurationError, match="relative_sd is a number above"):
        serial(job)


@pytest.mark.scenario("HIS-007", "RDDSuite")
@pytest.mark.parametrize(("relative_sd", "within"), [(0.5, 0.22), (0.065, 0.2), (0.02, 0.1), (0.0163, 0.1)])
def test_a_rougher_number_of_different_records_is_within_its_error(
    serial: Engine, relative_sd: float, within: float
) -> None:
    async def job(sc: JobRunner) -> int:
        return await range_rdd(sc, 5000, num_slices=10).map(lambda n: n % 1000).count_approx_distinct(relative_sd)

    assert serial(job) == pytest.approx(1000, rel=within)
