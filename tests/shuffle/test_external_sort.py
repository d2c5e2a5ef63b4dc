"""Sorting what does not fit: exactly what `sorted` gives, whatever spills when."""

import os
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minispark.shuffle import external_sort
from minispark.shuffle.external_sort import sort_records
from tests.shuffle.outputs import session, task_memory

anywhere = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Odd:
    """A key that is below nothing and above nothing, or below everything, as it likes."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: "Odd") -> bool:
        return (self.number * 7 + other.number * 3) % 5 < 2


@pytest.fixture
def memory(tmp_path: Path) -> Callable[..., Any]:
    return partial(task_memory, session(tmp_path))


@pytest.mark.scenario("EXT-004", "sorter: empty stream")
@pytest.mark.scenario("EXT-005", "forced spill")
@given(
    numbers=st.lists(st.integers(0, 9), max_size=120),
    force=st.integers(1, 30),
    reverse=st.booleans(),
)
@anywhere
def test_records_come_as_from_sorted_and_equal_ones_keep_their_order(
    memory: Callable[..., Any], numbers: list[int], force: int, reverse: bool
) -> None:
    records = [(number, place) for place, number in enumerate(numbers)]

    found = list(sort_records(memory(force_records=force), iter(records), itemgetter(0), reverse=reverse))

    assert found == sorted(records, key=itemgetter(0), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_runs_of_many_batches_are_merged_in_order(memory: Callable[..., Any], reverse: bool) -> None:
    share = memory(share_bytes=1_000_000)
    records = [(number * 7919 % 10_007, number) for number in range(60_000)]

    found = list(sort_records(share, iter(records), itemgetter(0), reverse=reverse))

    assert share.metrics.spilled_bytes > 100_000
    assert found == sorted(records, key=itemgetter(0), reverse=reverse)


def test_many_runs_are_merged_a_few_at_a_time(memory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[int] = []
    original = external_sort.Sorting.merged

    def counting(self: external_sort.Sorting, runs: Any) -> Any:
        merged.append(len(runs))
        return original(self, runs)

    monkeypatch.setattr(external_sort.Sorting, "merged", counting)

    found = list(sort_records(memory(force_records=10, share_bytes=1 << 20), iter(range(500)), lambda n: n % 50))

    assert found == sorted(range(500), key=lambda n: n % 50)
    assert max(merged) <= 4
    assert len(merged) > 10


def test_one_file_is_open_however_many_runs_there_are(memory: Callable[..., Any]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    found = sort_records(memory(force_records=10), iter(range(1000)), lambda n: -n)

    next(found)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del found
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.scenario("EXT-005", "sort does not break comparator contract")
@given(numbers=st.lists(st.integers(0, 40), max_size=80), force=st.integers(1, 20), reverse=st.booleans())
@anywhere
def test_keys_that_compare_inconsistently_lose_no_record(
    memory: Callable[..., Any], numbers: list[int], force: int, reverse: bool
) -> None:
    found = sort_records(memory(force_records=force), iter(numbers), Odd, reverse=reverse)

    assert sorted(found) == sorted(numbers)


def test_keys_that_cannot_be_compared_are_the_users_error(memory: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="not supported between"):
        list(sort_records(memory(force_records=2), iter([1, "a", 2, "b", 3]), lambda record: record))


def test_sorted_records_that_wait_are_spilled_when_another_container_needs_the_memory(
    memory: Callable[..., Any],
) -> None:
    share = memory(share_bytes=2_000_000)
    waiting = sort_records(share, iter(range(20_000, 0, -1)), lambda number: number)
    first = next(waiting)

    assert not share.must_spill(share.open(), 1_500_000)

    assert share.metrics.spilled_bytes > 0
    assert [first, *waiting] == list(range(1, 20_001))
