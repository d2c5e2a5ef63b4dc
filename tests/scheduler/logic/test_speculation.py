"""minispark.scheduler.logic.speculation: which tasks are slow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, TaskId
from minispark.scheduler.logic.speculation import Durations, SpeculationRules, TaskSetSpeculation

E1, E2 = ExecutorId("1"), ExecutorId("2")
PLAIN = SpeculationRules(quantile=0.5, multiplier=2.0, min_runtime_s=0.0, efficiency=False)


@dataclass
class Running:
    """An attempt that runs since a time; its task's index is its id."""

    index: int
    launched_s: float = 0.0
    executor_id: ExecutorId = E1

    @property
    def task_id(self) -> TaskId:
        return TaskId(self.index)


def make(
    rules: SpeculationRules, tasks: int, durations: Sequence[float] = (), records: int = 0
) -> TaskSetSpeculation:
    """Make a set whose last tasks succeeded with these durations, each reading so many records."""
    speculation = TaskSetSpeculation(rules, tasks)
    for number, duration_s in enumerate(durations):
        speculation.succeeded(TaskId(tasks - 1 - number), duration_s, records, duration_s)
    return speculation


def find(
    speculation: TaskSetSpeculation, running: Sequence[Running], now: float, *, slots: int = 4, alone: bool = True
) -> list[int]:
    return [attempt.index for attempt in speculation.find(running, lambda index: alone, now, slots, {})]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_median_is_that_of_the_sorted_durations(values: list[float]) -> None:
    durations = Durations()
    for number, value in enumerate(values):
        durations.add(value)
        assert durations.median() == sorted(values[: number + 1])[(number + 1) // 2]
    assert len(durations) == len(values)


@pytest.mark.scenario("TSM-048")
def test_without_a_duration_there_is_no_median_and_nothing_is_slow() -> None:
    assert Durations().median() is None
    speculation = make(replace(PLAIN, quantile=0.0, decommission_kill_interval_s=0.0), 3)
    assert speculation.find([Running(0)], lambda index: True, 1e9, 1, {E1: 0.0}) == []


def test_a_task_that_runs_longer_than_a_multiple_of_the_median_is_slow() -> None:
    speculation = make(PLAIN, 4, [1.0, 3.0])
    running = [Running(0), Running(1, launched_s=1.0)]
    assert find(speculation, running, 6.0) == []
    assert find(speculation, running, 6.5) == [0]
    assert find(speculation, running, 7.5) == [1]


def test_nothing_is_compared_before_the_quantile_has_succeeded() -> None:
    assert find(make(PLAIN, 4, [1.0]), [Running(0)], 1e9) == []
    assert find(make(replace(PLAIN, quantile=0.9), 10, [1.0] * 8), [Running(0)], 1e9) == []
    assert find(make(replace(PLAIN, quantile=0.9), 10, [1.0] * 9), [Running(0)], 1e9) == [0]


@pytest.mark.scenario("TSM-042", "26755: speculatable task submitted once")
def test_a_slow_task_is_found_once_until_its_attempts_are_gone() -> None:
    speculation = make(PLAIN, 2, [1.0])
    assert find(speculation, [Running(0)], 10.0) == [0]
    assert find(speculation, [Running(0)], 20.0) == []
    speculation.ended(TaskId(0), 0, is_last=False)
    assert find(speculation, [Running(0)], 20.0) == []
    speculation.ended(TaskId(0), 0, is_last=True)
    assert find(speculation, [Running(0)], 20.0) == [0]


def test_a_task_that_has_two_attempts_or_succeeded_is_let_be() -> None:
    assert find(make(PLAIN, 2, [1.0]), [Running(0)], 10.0, alone=False) == []


@pytest.mark.scenario("TSM-043", "29976: duration threshold speculates small sets without enough successes")
def test_a_small_set_with_a_duration_threshold_needs_no_successes() -> None:
    speculation = make(replace(PLAIN, duration_threshold_s=60.0, efficiency=True), 4)
    assert find(speculation, [Running(0)], 60.0) == []
    assert find(speculation, [Running(0)], 60.5) == [0]


@pytest.mark.scenario("TSM-043", "not without threshold")
def test_without_a_duration_threshold_a_small_set_needs_successes() -> None:
    assert find(make(PLAIN, 4), [Running(0)], 1e9) == []


@pytest.mark.scenario("TSM-043", "not when tasks > slots")
def test_the_duration_threshold_is_for_sets_no_larger_than_an_executor() -> None:
    rules = replace(PLAIN, duration_threshold_s=60.0)
    assert find(make(rules, 4), [Running(0)], 61.0, slots=3) == []
    assert find(make(rules, 4), [Running(0)], 61.0, slots=4) == [0]


@pytest.mark.scenario("TSM-043", "normal rule still works with threshold set")
def test_with_enough_successes_the_median_decides_whatever_the_duration_threshold() -> None:
    rules = replace(PLAIN, duration_threshold_s=60.0)
    assert find(make(rules, 4, [1.0, 1.0]), [Running(0)], 2.5) == [0]
    assert find(make(rules, 4, [100.0, 100.0]), [Running(0)], 61.0) == []


@pytest.mark.scenario("TSM-044")
def test_a_task_that_its_decommissioned_executor_will_not_live_to_finish_is_slow_at_once() -> None:
    rules = replace(PLAIN, decommission_kill_interval_s=5.0)
    speculation = make(rules, 6, [8.0, 8.0, 8.0])
    running = [Running(0, 0.0, E1), Running(1, 0.0, E2), Running(2, 8.0, E1)]

    def find_with(gone: dict[ExecutorId, float]) -> list[int]:
        return [attempt.index for attempt in speculation.find(running, lambda index: True, 9.0, 4, gone)]

    assert find_with({}) == []
    assert find_with({E1: 8.0}) == [2], "it would end at 16, the executor at 13; the first one ends at 8"
    assert find_with({E2: 1.0}) == [1], "it would end at 8, the executor at 6"


def test_without_a_kill_interval_a_decommission_changes_nothing() -> None:
    speculation = make(PLAIN, 2, [8.0])
    assert speculation.find([Running(0)], lambda index: True, 1.0, 4, {E1: 0.0}) == []


@pytest.mark.scenario("TSM-046")
def test_no_task_is_slow_before_the_minimum_runtime() -> None:
    speculation = make(replace(PLAIN, min_runtime_s=10.0), 2, [0.1])
    assert find(speculation, [Running(0)], 10.0) == []
    assert find(speculation, [Running(0)], 10.1) == [0]


@pytest.mark.scenario("TSM-047", "32170 (4): single-task set")
def test_a_set_of_one_task_has_nothing_to_compare_with_unless_there_is_a_duration_threshold() -> None:
    rules = replace(PLAIN, efficiency=True)
    assert find(make(rules, 1), [Running(0)], 1e9) == []
    assert find(make(rules, 1, [1.0]), [Running(0)], 1e9) == [], "it runs again"
    assert find(make(replace(rules, duration_threshold_s=1.0), 1), [Running(0)], 1.5) == [0]


@pytest.mark.scenario("TSM-047", "minimum threshold")
def test_an_inefficient_task_is_let_be_below_the_threshold() -> None:
    speculation = make(replace(PLAIN, efficiency=True, min_runtime_s=20.0), 4, [1.0, 1.0], records=100)
    speculation.progress(TaskId(0), 1, 5.0)
    assert find(speculation, [Running(0)], 20.0) == []
    assert find(speculation, [Running(0)], 20.5) == [0]


@pytest.mark.scenario("TSM-047", "inefficient by process rate")
def test_a_task_over_the_threshold_is_slow_if_it_processes_less_than_its_part_of_the_average() -> None:
    speculation = make(replace(PLAIN, efficiency=True), 4, [1.0, 1.0], records=100)
    speculation.progress(TaskId(0), 225, 3.0)
    speculation.progress(TaskId(1), 224, 3.0)
    assert find(speculation, [Running(0), Running(1)], 3.0) == [1]
    assert find(make(replace(PLAIN, efficiency=True), 4, [1.0, 1.0], records=100), [Running(0)], 3.0) == [0]


@pytest.mark.scenario("TSM-047", "by duration factor")
def test_a_task_far_over_the_threshold_is_slow_whatever_its_rate() -> None:
    speculation = make(replace(PLAIN, efficiency=True), 4, [1.0, 1.0], records=100)
    speculation.progress(TaskId(0), 1000, 4.0)
    assert find(speculation, [Running(0)], 4.0) == []
    assert find(speculation, [Running(0)], 4.1) == [0]


def test_a_task_without_any_run_time_has_no_rate() -> None:
    speculation = TaskSetSpeculation(replace(PLAIN, efficiency=True), 2)
    speculation.succeeded(TaskId(1), 1.0, 0, 0.0)
    speculation.progress(TaskId(0), 5, 0.0)
    assert speculation.rates == {}
    assert find(speculation, [Running(0)], 3.0) == [], "nothing is known to be faster"


def test_a_task_of_which_nothing_was_heard_has_read_nothing() -> None:
    speculation = make(replace(PLAIN, efficiency=True), 2, [1.0], records=1)
    assert find(speculation, [Running(0)], 3.0) == [0]


def test_the_rate_of_an_attempt_is_forgotten_when_it_ends() -> None:
    speculation = make(PLAIN, 3)
    for task_id in range(3):
        speculation.progress(TaskId(task_id), 5, 0.5)
    assert speculation.rates == {0: 10.0, 1: 10.0, 2: 10.0}
    speculation.succeeded(TaskId(0), 1.0, 5, 1.0)
    speculation.ended(TaskId(1), 1, is_last=True)
    assert speculation.rates == {2: 10.0}


def test_young_attempts_are_not_looked_at() -> None:
    asked: list[int] = []
    speculation = make(PLAIN, 1000, [1.0] * 500)
    running = [Running(index, launched_s=float(index)) for index in range(500)]

    def is_alone(index: int) -> bool:
        asked.append(index)
        return True

    found = speculation.find(running, is_alone, 12.5, 4, {})
    assert [attempt.index for attempt in found] == asked == list(range(11))


def test_so_many_tasks_are_found_slow_at_once_and_the_others_the_next_time() -> None:
    speculation = make(PLAIN, 10, [1.0] * 5)
    running = [Running(index) for index in range(5)]
    for expected in ([0, 1], [2, 3], [4], []):
        found = speculation.find(running, lambda index: True, 10.0, 4, {}, at_most=2)
        assert [attempt.index for attempt in found] == expected
