import math
import pickle
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.stat_counter import StatCounter

NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=50)


@given(NUMBERS.filter(lambda numbers: len(numbers) > 1))
def test_statistics_are_those_of_the_standard_library(numbers: list[float]) -> None:
    stats = StatCounter(numbers)
    assert (stats.count, stats.min, stats.max) == (len(numbers), min(numbers), max(numbers))
    assert stats.mean == pytest.approx(statistics.fmean(numbers), abs=1e-6)
    assert stats.sum == pytest.approx(math.fsum(numbers), abs=1e-4)
    assert stats.variance == pytest.approx(statistics.pvariance(numbers), rel=1e-6, abs=1e-6)
    assert stats.sample_variance == pytest.approx(statistics.variance(numbers), rel=1e-6, abs=1e-6)
    assert stats.stdev == pytest.approx(math.sqrt(stats.variance))
    assert stats.sample_stdev == pytest.approx(math.sqrt(stats.sample_variance))


@given(NUMBERS, NUMBERS)
def test_merging_two_is_counting_all(left: list[float], right: list[float]) -> None:
    merged, whole = StatCounter(left).merge(StatCounter(right)), StatCounter(left + right)
    assert (merged.count, merged.min, merged.max) == (whole.count, whole.min, whole.max)
    assert merged.mean == pytest.approx(whole.mean, abs=1e-6)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(("few", "many"), [(1, 30), (30, 1), (5, 5)])
def test_unequal_sides_merge_as_well(few: int, many: int) -> None:
    merged = StatCounter(range(few)).merge(StatCounter(range(few, few + many)))
    assert merged.mean == pytest.approx((few + many - 1) / 2)


def test_a_counter_may_be_merged_with_itself() -> None:
    stats = StatCounter([1.0, 2.0])
    stats.merge(stats)
    assert (stats.count, stats.mean, stats.variance) == (4, 1.5, 0.25)


def test_nothing_has_no_variance() -> None:
    stats = StatCounter()
    assert (stats.count, stats.mean, stats.sum, stats.min, stats.max) == (0, 0, 0, math.inf, -math.inf)
    assert math.isnan(stats.variance)
    assert math.isnan(StatCounter([1]).sample_variance)
    assert StatCounter([1]).variance == 0


def test_large_numbers_that_differ_little_keep_their_variance() -> None:
    assert StatCounter([1e9 + n for n in (4, 7, 13, 16)]).sample_variance == 30


def test_a_copy_goes_its_own_way_and_travels() -> None:
    stats = StatCounter([1, 2])
    copied = pickle.loads(pickle.dumps(stats.copy())).add(3)
    assert (stats.count, copied.count, copied.max) == (2, 3, 3)


def test_all_is_told_by_name() -> None:
    stats = StatCounter([1, 2, 3, 4])
    expected = {"count": 4, "mean": 2.5, "sum": 10.0, "min": 1, "max": 4}
    assert stats.as_dict() == expected | {"stdev": math.sqrt(1.25), "variance": 1.25}
    assert stats.as_dict(sample=True) == expected | {"stdev": math.sqrt(5 / 3), "variance": 5 / 3}
    assert repr(StatCounter([2])) == "(count: 1, mean: 2.0, stdev: 0.0, max: 2.0, min: 2.0)"
