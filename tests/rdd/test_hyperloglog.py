import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError, KeyHashError
from minispark.rdd.hyperloglog import HyperLogLog, precision_for, sigma, tau


@pytest.mark.parametrize("count", [0, 1, 10, 200, 1000, 5000, 40_000])
@pytest.mark.parametrize("relative_sd", [0.1, 0.02])
def test_the_error_is_within_three_standard_deviations(count: int, relative_sd: float) -> None:
    sketch = HyperLogLog(precision_for(relative_sd)).add_all(range(count))
    assert sketch.estimate() == pytest.approx(count, rel=3 * relative_sd, abs=0.5)


def test_records_that_come_again_change_nothing() -> None:
    once = HyperLogLog(9).add_all(range(3000))
    again = HyperLogLog(9).add_all([*range(3000), *range(3000)])
    assert once.estimate() == again.estimate()


@given(st.lists(st.integers(0, 10_000), max_size=300), st.lists(st.integers(0, 10_000), max_size=3), st.booleans())
def test_merging_two_is_putting_all_into_one(left: list[int], right: list[int], swap: bool) -> None:
    if swap:
        left, right = right, left
    merged = HyperLogLog(8).add_all(left).merge(HyperLogLog(8).add_all(right))
    assert merged.estimate() == HyperLogLog(8).add_all(left + right).estimate()


def test_few_registers_are_kept_as_a_dict() -> None:
    sketch = HyperLogLog(20).add_all(range(100))
    assert sketch.dense is None
    assert len(pickle.dumps(sketch)) < 2000
    assert HyperLogLog(9).add_all(range(1000)).dense is not None


def test_records_of_all_kinds_that_have_a_portable_hash_count() -> None:
    records = [None, 1, 1.0, True, "a", ("a", None), 2.5, frozenset((1,))]
    assert round(HyperLogLog(12).add_all(records).estimate()) == 6
    with pytest.raises(KeyHashError):
        HyperLogLog(12).add_all([object()])


@pytest.mark.parametrize(("relative_sd", "precision"), [(0.05, 9), (0.5, 4), (3.0, 4), (0.001, 21)])
def test_a_smaller_error_takes_more_registers(relative_sd: float, precision: int) -> None:
    assert precision_for(relative_sd) == precision


@pytest.mark.parametrize("wrong", [0.000017, 0, -1, float("nan"), float("inf")])
def test_an_error_that_cannot_be_reached_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigurationError, match=r"relative_sd is a number above 0\.000017"):
        precision_for(wrong)


def test_the_corrections_are_those_of_the_paper_at_their_ends() -> None:
    assert (sigma(0.0), sigma(1.0), tau(0.0), tau(1.0)) == (0.0, float("inf"), 0.0, 0.0)
