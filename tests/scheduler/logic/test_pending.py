from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId
from minispark.messages.task import Preferences
from minispark.scheduler.logic.locality import Locality
from minispark.scheduler.logic.pending import Pending, Places
from minispark.testing.builders import preferences
from tests.scheduler.logic.offers_harness import Place, where


def make(*chunks: Sequence[Sequence[Place]]) -> Pending:
    pending = Pending(Places())
    for rows in chunks:
        add(pending, rows)
    pending.check()
    return pending


def add(pending: Pending, rows: Sequence[Sequence[Place]]) -> None:
    packed = preferences([[where(place) for place in row] for row in rows])
    pending.extend(len(rows), pending.places.add(len(rows), packed))


def test_tasks_are_found_by_executor_by_host_and_without_preference() -> None:
    pending = make([[("a", "1")], ["a"], [], ["b"]])
    assert pending.waiting == [1, 3, 1, 3, 4]
    assert pending.from_executor(ExecutorId("1"), None) == 0
    assert pending.from_executor(ExecutorId("2"), None) == -1
    assert pending.from_host("a", None) == 0
    assert pending.from_host("b", None) == 3
    assert pending.top(pending.none, None) == 2


def test_low_indices_come_first_also_over_chunks() -> None:
    pending = make([["a"], ["a"], []], [["a"], []])
    taken = []
    while pending.hosts:
        taken.append(pending.from_host("a", None))
        pending.strike(taken[-1])
    assert taken == [0, 1, 3]
    assert list(pending.next_ones()) == [2]


def test_a_task_that_was_launched_elsewhere_is_dropped_when_it_is_met() -> None:
    pending = make([["a", "b"], ["b"]])
    pending.strike(pending.from_host("a", None))
    assert pending.from_host("b", None) == 1
    assert "b" not in pending.hosts


def test_tasks_that_start_over_wait_as_at_first() -> None:
    pending = make([["a", "b"], []], [[("a", "1")], ["b"]])
    for index in (pending.from_host("a", None), pending.top(pending.none, None)):
        pending.strike(index)
    pending.start_over()
    pending.check()
    first = make([["a", "b"], []], [[("a", "1")], ["b"]])
    assert (pending.hosts, pending.executors) == (first.hosts, first.executors)
    assert (pending.none, pending.placed, pending.waiting) == (first.none, first.placed, first.waiting)


def test_a_refused_task_stays_for_other_places() -> None:
    pending = make([["a"], ["a"]])
    assert pending.from_host("a", lambda index: index == 0) == 1
    pending.strike(1)
    assert pending.from_host("a", lambda index: index == 0) == -1
    assert pending.from_host("a", None) == 0


def test_a_task_that_must_run_again_comes_before_the_others_everywhere() -> None:
    pending = make([["a"], [("a", "1"), "b"], ["b"]])
    pending.strike(1)
    pending.push(1)
    assert pending.from_host("b", None) == 1
    assert pending.from_executor(ExecutorId("1"), None) == 1
    assert pending.waiting[Locality.ANY] == 3


def test_when_nothing_waits_nothing_is_kept() -> None:
    pending = make([["a"], []])
    pending.strike(0)
    pending.strike(1)
    assert not pending.hosts
    assert not pending.none + pending.placed


def test_later_chunks_may_be_the_first_with_preferences() -> None:
    pending = make([[], []], [["a"]])
    assert pending.places.of(0) == []
    assert pending.places.of(2) == [where("a")]
    assert pending.places.add(1, Preferences()) is False


@pytest.mark.parametrize("chunks", [1, 3])
def test_places_of_several_chunks_share_their_numbers(chunks: int) -> None:
    pending = make(*[[["a"], ["b", "a"]]] * chunks)
    assert len(pending.places.locations) == 2
    assert pending.places.of(2 * chunks - 1) == [where("b"), where("a")]


ROW = st.lists(st.sampled_from(["a", "b", ("a", "1"), ("b", "2")]), max_size=3, unique=True)


@given(st.lists(ROW, min_size=1, max_size=8), st.lists(st.integers(0, 20), max_size=30))
def test_whatever_is_taken_and_put_back_every_waiting_task_is_found_where_it_wants(
    rows: list[list[Place]], steps: list[int]
) -> None:
    pending = make(rows)
    for step in steps:
        index = step % len(rows)
        if step % 3:
            found = pending.from_host("ab"[step % 2], None)
            pending.strike(found if found >= 0 else index)
        else:
            pending.push(index)
        pending.check()
