"""minispark.scheduler.logic.allocation: how many executors are wanted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, StageId, TaskId
from minispark.scheduler.logic.allocation import AllocationRules, AllocationTarget, Request
from minispark.scheduler.logic.backlog import Backlog, StageKey
from minispark.testing.builders import map_success

STAGE: StageKey = (StageId(0), 0)


def target(rules: AllocationRules | None = None, tasks_per_executor: int = 1) -> AllocationTarget:
    """Return a target that follows what it is told."""
    made = AllocationTarget(rules or AllocationRules(), tasks_per_executor)
    made.begun()
    return made


def waiting(num_tasks: int, *, running: int = 0, copies: int = 0) -> Backlog:
    """Return a backlog of a stage with so many tasks that wait, and further ones that run."""
    backlog = Backlog()
    backlog.stage_submitted(STAGE, num_tasks + running)
    for index in range(running):
        backlog.task_started(STAGE, TaskId(index), index)
    for index in range(copies):
        backlog.copy_wanted(STAGE, index)
    return backlog


def totals(wanted: AllocationTarget, need: int, rounds: int, num_executors: int = 0) -> list[int]:
    """Return the numbers that are asked for while tasks go on waiting."""
    wanted.backlogged(0.0)
    found = []
    for second in range(1, rounds + 1):
        wanted.update(need, num_executors, float(second))
        wanted.check()
        found.append(wanted.total)
    return found


@pytest.mark.scenario("DYN-001", "starting state")
def test_at_first_the_initial_number_is_wanted_and_nothing_waits() -> None:
    wanted = AllocationTarget(AllocationRules(1, 9, 3), 1)
    assert (wanted.total, wanted.step, wanted.add_s) == (3, 1, math.inf)
    assert wanted.update(0, 0, 100.0) is None


@pytest.mark.scenario("DYN-002", "exponential add (1,2,4…), capped by max and by need")
@pytest.mark.parametrize(
    ("most", "need", "expected"),
    [(100, 50, [1, 3, 7, 15, 31, 50, 50]), (10, 50, [1, 3, 7, 10, 10, 10, 10]), (100, 4, [1, 3, 4, 4, 4, 4, 4])],
)
def test_each_time_twice_as_many_are_added_up_to_what_is_needed_and_allowed(
    most: int, need: int, expected: list[int]
) -> None:
    wanted = target(AllocationRules(max_executors=most))
    assert totals(wanted, need, 7) == expected
    assert wanted.step == 1  # having reached it, the next increase begins anew


@pytest.mark.scenario("DYN-002", "by pending tasks")
def test_what_waits_and_runs_is_what_is_needed() -> None:
    assert target(tasks_per_executor=4).need(waiting(5, running=4), 0) == 3
    assert target(tasks_per_executor=1).need(waiting(0, running=4), 0) == 4
    assert target().need(Backlog(), 7) == 0


@pytest.mark.scenario("DYN-002", "allocation ratio")
def test_a_share_of_what_all_tasks_at_once_would_fill_may_be_enough() -> None:
    assert target(AllocationRules(ratio=0.5)).need(waiting(9), 0) == 5
    assert target(AllocationRules(ratio=1 / 3), 2).need(waiting(9), 0) == 2


@pytest.mark.scenario("DYN-002", "speculative tasks counted (+1 executor for locality)")
def test_second_attempts_need_executors_and_not_the_one_that_the_first_ones_fill() -> None:
    assert target(tasks_per_executor=4).need(waiting(0, running=2, copies=1), 1) == 2
    assert target(tasks_per_executor=4).need(waiting(0, running=4, copies=1), 1) == 2
    assert target(tasks_per_executor=1).need(waiting(0, running=1, copies=1), 1) == 2
    assert target(tasks_per_executor=4).need(waiting(0, running=8, copies=3), 2) == 3


@pytest.mark.scenario("DYN-004")
def test_a_second_attempt_that_is_wanted_no_more_or_ended_needs_no_executor() -> None:
    backlog = waiting(0, running=2, copies=2)
    wanted = target()
    assert wanted.need(backlog, 2) == 4
    backlog.task_ended(STAGE, TaskId(0), 0, map_success(0))  # before its second attempt was launched
    assert wanted.need(backlog, 2) == 2
    backlog.task_started(STAGE, TaskId(11), 1)
    assert wanted.need(backlog, 2) == 2
    backlog.task_ended(STAGE, TaskId(11), 1, map_success(0))
    assert wanted.need(backlog, 2) == 1
    wanted.total = 4
    request = wanted.update(1, 4, 0.0)
    assert request is not None
    assert request.total == 1


@pytest.mark.scenario("DYN-003")
def test_sets_that_no_executor_may_run_need_others_than_there_are_until_they_end() -> None:
    backlog, wanted = waiting(3), target(tasks_per_executor=2)
    backlog.set_unschedulable(STAGE, True)
    assert wanted.need(backlog, 5) == 6
    other = (StageId(1), 0)
    for number in (1, 2):
        backlog.stage_submitted((StageId(number), 0), 1)
        backlog.set_unschedulable((StageId(number), 0), True)
    assert wanted.need(backlog, 5) == 7  # three sets, two tasks an executor
    backlog.stage_completed(other)
    backlog.set_unschedulable((StageId(2), 0), False)
    backlog.set_unschedulable(STAGE, False)
    assert wanted.need(backlog, 5) == 2  # four tasks of two stages


@pytest.mark.scenario("DYN-006")
def test_requests_are_taken_back_as_soon_as_fewer_would_do_but_not_below_the_least() -> None:
    wanted = target(AllocationRules(min_executors=2, initial_executors=2))
    assert totals(wanted, 20, 4) == [3, 5, 9, 17]
    assert wanted.update(7, 0, 4.1) == Request(7, 17, 16)
    assert wanted.step == 1
    assert wanted.update(0, 0, 4.2) == Request(2, 7, 1)
    assert wanted.update(0, 0, 4.3) is None


@pytest.mark.scenario("DYN-009", "backlog timer start/cancel")
def test_the_wait_begins_once_and_ends_when_nothing_waits() -> None:
    wanted = target(AllocationRules(backlog_s=2.0, sustained_s=0.5))
    wanted.backlogged(10.0)
    wanted.backlogged(11.0)
    assert wanted.add_s == 12.0
    assert wanted.update(9, 0, 11.9) is None
    assert wanted.update(9, 0, 12.0) == Request(1, 0, 1)
    assert (wanted.add_s, wanted.step) == (12.5, 2)
    wanted.queue_empty()
    assert (wanted.add_s, wanted.step) == (math.inf, 1)
    assert wanted.update(9, 0, 20.0) is None
    wanted.backlogged(20.0)
    assert wanted.add_s == 22.0


@pytest.mark.scenario("DYN-010", "no ramp-up when target < running")
def test_more_are_wanted_than_there_are_whatever_was_wanted_before() -> None:
    assert totals(target(), 50, 2, num_executors=20) == [21, 22]


@pytest.mark.scenario("DYN-010", "no ramp-down before first job or before first idle timeout")
def test_the_first_number_stands_until_something_runs_or_was_idle() -> None:
    wanted = AllocationTarget(AllocationRules(initial_executors=4), 1)
    assert wanted.update(0, 4, 1000.0) is None
    wanted.begun()
    assert wanted.update(0, 4, 1000.1) == Request(0, 4, 1)


def test_a_request_that_was_not_taken_is_made_again() -> None:
    wanted = target()
    totals(wanted, 50, 2)
    request = wanted.update(50, 0, 3.0)
    assert request == Request(7, 3, 4)
    assert request is not None
    wanted.refused(request)
    assert (wanted.total, wanted.step) == (3, 4)
    assert wanted.update(50, 0, 4.0) == request


def test_after_a_refusal_the_number_is_said_again_also_if_nothing_more_is_needed() -> None:
    wanted = target()
    wanted.begun()
    wanted.backlogged(0.0)
    request = wanted.update(9, 0, 1.0)
    assert request is not None
    wanted.refused(request)
    wanted.queue_empty()
    assert wanted.update(0, 0, 2.0) == Request(0, 0, 1), "nobody knows whether the cluster has heard of 1"
    assert wanted.update(0, 0, 3.0) is None


@pytest.mark.scenario("DYN-007", "not below min, nor below target")
@pytest.mark.parametrize(("least", "total", "expected"), [(0, 0, 4), (3, 0, 2), (0, 4, 1), (5, 1, 0), (0, 9, 0)])
def test_idle_executors_go_as_long_as_enough_stay(least: int, total: int, expected: int) -> None:
    wanted = target(AllocationRules(min_executors=least))
    wanted.total = total
    idle = [ExecutorId(str(number)) for number in range(4)]
    assert wanted.removable(idle, 5) == idle[:expected]


@given(
    st.integers(0, 3), st.integers(3, 12), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12)), max_size=20)
)
def test_the_number_stays_within_its_bounds(least: int, most: int, steps: list[tuple[int, int]]) -> None:
    wanted = target(AllocationRules(least, most, least))
    for second, (need, num_executors) in enumerate(steps):
        wanted.backlogged(float(second))
        wanted.update(need, num_executors, second + 1.0)
        wanted.check()
        assert least <= wanted.total <= most
