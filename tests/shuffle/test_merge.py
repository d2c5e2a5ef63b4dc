import operator
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from minispark.rdd.aggregator import Aggregator, FirstAggregator, ListAggregator, ReduceAggregator
from minispark.shuffle.merge import combine_into

ADD: ReduceAggregator[Any] = ReduceAggregator(operator.add)
MEAN: Aggregator[float, tuple[float, int]] = Aggregator(
    lambda value: (value, 1),
    lambda mean, value: (mean[0] + value, mean[1] + 1),
    lambda left, right: (left[0] + right[0], left[1] + right[1]),
)


def combine_values(aggregator: Aggregator[Any, Any], records: Iterable[Any]) -> dict[Any, Any]:
    combined: dict[Any, Any] = {}
    combine_into(aggregator.combine_values, records, combined)
    return combined


def combine_combiners(aggregator: Aggregator[Any, Any], records: Iterable[Any]) -> dict[Any, Any]:
    combined: dict[Any, Any] = {}
    combine_into(aggregator.combine_combiners, records, combined)
    return combined


def test_values_are_combined_by_key_in_the_order_of_the_keys() -> None:
    assert list(combine_values(ADD, [("b", 1), ("a", 2), ("b", 3)]).items()) == [("b", 4), ("a", 2)]


def test_a_combined_value_may_be_of_another_type() -> None:
    assert combine_values(MEAN, [("a", 1.0), ("a", 3.0)]) == {"a": (4.0, 2)}
    assert combine_combiners(MEAN, [("a", (4.0, 2)), ("a", (1.0, 1))]) == {"a": (5.0, 3)}


def test_none_is_a_value_like_any_other() -> None:
    keep: Aggregator[Any, Any] = Aggregator(lambda value: None, lambda _, value: None, lambda left, right: None)

    assert combine_values(keep, [("a", None), ("a", 1)]) == {"a": None}


@pytest.mark.parametrize("aggregator", [ADD, MEAN, ListAggregator(), FirstAggregator()])
def test_a_key_that_cannot_be_hashed_is_a_clear_error(aggregator: Aggregator[Any, Any]) -> None:
    with pytest.raises(TypeError, match=r"a key must be hashable: .*'list'.*use a tuple"):
        combine_values(aggregator, [("a", 1), ([1], 1)])


@pytest.mark.parametrize("record", [1, (1, 2, 3), (1,)])
@pytest.mark.parametrize("aggregator", [ADD, FirstAggregator()])
def test_a_record_that_is_no_pair_is_a_clear_error(aggregator: Aggregator[Any, Any], record: Any) -> None:
    with pytest.raises(TypeError, match=r"the records of a shuffle are \(key, value\) pairs"):
        combine_values(aggregator, [("a", 1), record])


def bad_merge(left: Any, right: Any) -> Any:
    return {[]: left}


def test_what_the_users_functions_raise_passes_through() -> None:
    with pytest.raises(TypeError, match=r"^unhashable type: 'list'$"):
        combine_values(ReduceAggregator(bad_merge), [("a", 1), ("a", 2)])
    with pytest.raises(TypeError, match="unsupported operand"):
        combine_values(ADD, [("a", 1), ("a", None)])
    with pytest.raises(ZeroDivisionError):
        combine_values(ReduceAggregator(lambda left, right: left // right), [("a", 1), ("a", 0)])


def test_what_the_parents_records_raise_passes_through() -> None:
    def records() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise ValueError("not enough values to unpack")

    with pytest.raises(ValueError, match=r"^not enough values to unpack$"):
        combine_values(ADD, records())
