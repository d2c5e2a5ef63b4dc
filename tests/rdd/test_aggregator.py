"""The loops that combine give what the three functions give one by one, whatever form they take."""

import operator
from collections import defaultdict
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.aggregator import Aggregator, CoGroupAggregator, FirstAggregator, ListAggregator, ReduceAggregator

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers()))


def grouped(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    groups = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


def subtract(left: int, right: int) -> int:
    return left - right


@pytest.mark.parametrize("function", [operator.add, subtract])
@given(PAIRS, PAIRS)
def test_reducing_values_and_combined_values_is_a_reduce(function: Any, first: Any, second: Any) -> None:
    combined: dict[int, int] = {}
    aggregator = ReduceAggregator(function)

    aggregator.combine_values(first, combined)
    aggregator.combine_combiners(second, combined)

    assert combined == {key: reduce(function, values) for key, values in grouped(first + second).items()}


@given(PAIRS, PAIRS)
def test_lists_hold_all_values_in_order(first: Any, second: Any) -> None:
    left: dict[int, list[int]] = {}
    right: dict[int, list[int]] = {}
    aggregator: ListAggregator[int] = ListAggregator()

    aggregator.combine_values(first, left)
    aggregator.combine_values(second, right)
    aggregator.combine_combiners(right.items(), left)

    assert left == grouped(first + second)


@given(PAIRS)
def test_the_three_functions_of_a_list_are_what_its_loop_does(pairs: Any) -> None:
    aggregator: ListAggregator[int] = ListAggregator()
    plain = Aggregator(aggregator.create_combiner, aggregator.merge_value, aggregator.merge_combiners)
    combined: dict[int, list[int]] = {}

    plain.combine_values(pairs, combined)

    assert combined == grouped(pairs)


def test_first_keeps_one_key_of_equal_ones() -> None:
    combined: dict[float, None] = {}
    aggregator: FirstAggregator[None] = FirstAggregator()

    aggregator.combine_values([(1, None), (2, None)], combined)
    aggregator.combine_combiners([(1.0, None), (3, None)], combined)

    assert [repr(key) for key in combined] == ["1", "2", "3"]
    assert aggregator.merge_value("first", "other") == "first"  # type: ignore[arg-type]


@pytest.mark.parametrize("num_parents", [2, 3])
def test_groups_of_a_cogroup_have_a_list_for_each_parent(num_parents: int) -> None:
    aggregator = CoGroupAggregator(num_parents)
    others: tuple[list[int], ...] = ([],) * (num_parents - 2)
    groups: dict[str, Any] = {}

    aggregator.combine_parent(0, [("a", 1), ("a", 2)], groups)
    aggregator.combine_parent(1, [("b", 3), ("b", 4), ("a", 5)], groups)
    aggregator.combine_combiners([("a", ([6], [7], *others)), ("c", ([], [8], *others))], groups)

    assert groups == {"a": ([1, 2, 6], [5, 7], *others), "b": ([], [3, 4], *others), "c": ([], [8], *others)}
    assert (aggregator.count(groups.values()), aggregator.longest(groups.values())) == (8, 3)


def test_a_list_is_its_own_group() -> None:
    aggregator: ListAggregator[int] = ListAggregator()

    assert aggregator.group_of(aggregator.lists_of([1, 2])) == [1, 2]
    assert (aggregator.count([[1, 2], [3]]), aggregator.longest([[1, 2], [3]]), aggregator.longest([])) == (3, 2, 0)
