import os
from collections.abc import Iterator

import pytest

from minispark.executor.progress import PageMetrics, counters_of
from minispark.executor.shared_page import COUNTERS, SHARE, SharedPage
from minispark.ids import TaskId
from minispark.messages.task import TaskMetrics
from minispark.rdd.ports import MutableTaskMetrics


@pytest.fixture
def page() -> Iterator[SharedPage]:
    page, fd = SharedPage.create()
    os.close(fd)
    yield page
    page.close()


def test_what_a_runner_counts_is_seen_in_its_page_at_once(page: SharedPage) -> None:
    page.begin(TaskId(1))
    metrics = PageMetrics(page)
    for number, name in enumerate(COUNTERS):
        setattr(metrics, name, number)
        setattr(metrics, name, getattr(metrics, name) + 100)

    expected = {name: number + 100 for number, name in enumerate(COUNTERS)}
    assert page.counters(TaskId(1)) == expected
    assert metrics.snapshot() == TaskMetrics(**expected)


def test_each_attempt_counts_from_zero_and_what_is_no_counter_is_kept_aside(page: SharedPage) -> None:
    first = PageMetrics(page)
    first.records_read = 5
    first.run_time_ns = 7
    page.begin(TaskId(2))

    assert PageMetrics(page).snapshot() == TaskMetrics()
    assert first.run_time_ns == 7


def test_a_forked_child_of_user_code_counts_for_itself(page: SharedPage) -> None:
    metrics = PageMetrics(page)
    with page.words as words:
        page.detach()
        metrics.records_read = 5

        assert words[SharedPage.place_of("records_read")] == 0


def test_in_the_executors_own_process_the_metrics_are_read_themselves() -> None:
    metrics = MutableTaskMetrics()
    metrics.spilled_bytes = 3

    assert counters_of(metrics) == dict.fromkeys(COUNTERS, 0) | {"spilled_bytes": 3}


def test_what_an_attempt_holds_and_may_hold_goes_through_the_page(page: SharedPage) -> None:
    page.begin(TaskId(1))
    metrics = PageMetrics(page)
    assert (page.held_bytes, metrics.memory_share()) == (0, 0)

    metrics.holds(70)
    page.words[SHARE] = 100

    assert (page.held_bytes, metrics.memory_share()) == (70, 100)
    page.end()
    assert page.held_bytes == 0
    page.begin(TaskId(2))
    assert (page.held_bytes, metrics.memory_share()) == (0, 100)
