import asyncio
import operator
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.merging import (
    COPIED,
    HASHED,
    MERGED,
    WIDE,
    added_up,
    as_dict,
    in_order,
    joined,
    merged_by_key,
    reduced,
)
from minispark.testing.virtual_loop import run_virtual


def with_turns(function: Callable[[Any], Awaitable[Any]], parts: list[Any]) -> tuple[Any, int]:
    """Return what a function makes of the parts, and how many turns others had meanwhile."""

    async def count(turns: list[int]) -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def main() -> tuple[Any, int]:
        turns: list[int] = []
        counting = asyncio.ensure_future(count(turns))
        result = await function(parts)
        counting.cancel()
        return result, len(turns)

    return run_virtual(main())


def test_long_parts_are_joined_with_turns_for_the_loop() -> None:
    parts = [[0], list(range(2 * COPIED + 1)), [], [1], list(range(COPIED + 1))]
    records = [record for part in parts for record in part]

    assert with_turns(joined, parts) == (records, 6)  # three to copy, three to let go
    assert parts == []


def test_many_short_parts_are_joined_with_turns_for_the_loop() -> None:
    parts = [list(range(COPIED // 10)) for _ in range(31)]

    records, turns = with_turns(joined, parts)

    assert records == list(range(COPIED // 10)) * 31
    assert turns == 3


@pytest.mark.parametrize("parts", [[], [[]], [[1, 2]]])
def test_what_needs_no_copy_is_not_copied(parts: list[list[int]]) -> None:
    first = parts[0] if parts else []

    records, turns = with_turns(joined, parts)

    assert (records == first, records is first or not parts, turns) == (True, True, 0)


def test_pairs_become_a_dict_in_slices_and_the_last_of_a_key_stays() -> None:
    parts = [[(number, "first") for number in range(3 * HASHED)], [(7, "last")]]

    pairs, turns = with_turns(as_dict, parts)

    assert pairs == dict.fromkeys(range(3 * HASHED), "first") | {7: "last"}
    assert turns >= 3


def test_counts_are_added_up_in_slices() -> None:
    parts = [[(number, 1) for number in range(2 * HASHED)], [(7, 2), (None, 3)]]

    counts, turns = with_turns(added_up, parts)

    assert (len(counts), counts[7], counts[None], counts[8]) == (2 * HASHED + 1, 3, 3, 1)
    assert turns >= 2


@given(st.lists(st.lists(st.integers(-9, 9))), st.integers(0, 30), st.booleans(), st.sampled_from([None, abs]))
def test_sorted_parts_are_merged_as_one_sort_would(parts: list[list[int]], num: int, reverse: bool, key: Any) -> None:
    records = [record for part in parts for record in part]
    ordered = [sorted(part, key=key, reverse=reverse)[:num] for part in parts]

    merged = run_virtual(in_order(ordered, num, key, reverse))

    assert merged == sorted(records, key=key, reverse=reverse)[:num]


def test_long_sorted_parts_are_merged_with_turns_for_the_loop() -> None:
    parts = [list(range(start, 10 * MERGED, 4)) for start in range(4)]

    merged, turns = with_turns(lambda parts: in_order(parts, 5 * MERGED), parts)

    assert merged == list(range(5 * MERGED))
    assert (turns >= 5, parts) == (True, [])


def test_many_sorted_parts_are_merged_with_turns_for_the_loop() -> None:
    parts = [[number, number + 1] for number in reversed(range(40 * WIDE))]

    merged, turns = with_turns(lambda parts: in_order(parts, 3), parts)

    assert merged == [0, 1, 1]
    assert turns >= 2


def test_a_merging_function_is_called_from_left_to_right_with_turns_for_the_loop() -> None:
    assert with_turns(lambda parts: reduced(operator.add, parts), ["a", "b", "c"]) == ("abc", 2)


def test_values_are_merged_by_key_with_turns_for_the_loop() -> None:
    parts = [[(n % 5, 1) for n in range(HASHED)] for _ in range(4)]
    merged, turns = with_turns(lambda parts: merged_by_key(operator.add, parts), parts)
    assert merged == dict.fromkeys(range(5), 4 * HASHED // 5)
    assert turns >= 4
