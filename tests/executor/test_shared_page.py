"""Tests of the page that a runner writes and its executor reads."""

import os
from collections.abc import Iterator

import pytest

from minispark.executor.shared_page import SharedPage
from minispark.ids import TaskId

TASK = TaskId(7)


@pytest.fixture
def pages() -> Iterator[tuple[SharedPage, SharedPage]]:
    """The executor's and the runner's view of one page."""
    ours, fd = SharedPage.create()
    theirs = SharedPage(fd)
    os.close(fd)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_fresh_page_runs_nothing(pages: tuple[SharedPage, SharedPage]) -> None:
    ours, _ = pages

    assert ours.task_id is None
    assert ours.begun == -1


def test_the_other_side_sees_what_runs(pages: tuple[SharedPage, SharedPage]) -> None:
    ours, theirs = pages

    theirs.begin(TASK)
    assert (ours.task_id, ours.begun) == (TASK, TASK)

    theirs.end()
    assert (ours.task_id, ours.begun) == (None, TASK)


def test_counters_are_those_of_the_running_attempt(pages: tuple[SharedPage, SharedPage]) -> None:
    ours, theirs = pages
    theirs.begin(TASK)
    theirs.words[SharedPage.place_of("records_read")] += 5
    theirs.words[SharedPage.place_of("records_read")] += 6

    found = ours.counters(TASK)
    assert found is not None
    assert found["records_read"] == 11
    assert ours.counters(TaskId(8)) is None

    theirs.begin(TaskId(8))
    found = ours.counters(TaskId(8))
    assert found is not None
    assert not any(found.values())


def test_a_detached_page_is_seen_by_nobody(pages: tuple[SharedPage, SharedPage]) -> None:
    ours, theirs = pages

    theirs.detach()
    theirs.begin(TASK)

    assert ours.task_id is None
