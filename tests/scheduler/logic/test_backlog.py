"""minispark.scheduler.logic.backlog: what waits and runs, counted from events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import StageId, TaskId
from minispark.messages.task import Resubmitted, TaskEndReason, TaskKilled
from minispark.scheduler.logic.backlog import Backlog, StageKey
from minispark.testing.builders import exception_failure, map_success

ONE: StageKey = (StageId(1), 0)
TWO: StageKey = (StageId(2), 0)
DONE, FAILED = map_success(0), exception_failure()


def counts(backlog: Backlog) -> tuple[int, int, int]:
    """Return what waits, the second attempts that wait, and what runs."""
    backlog.check()
    return backlog.num_pending, backlog.num_pending_copies, backlog.num_running


def start(backlog: Backlog, *indices: int, key: StageKey = ONE, first_id: int = 0) -> None:
    for index in indices:
        backlog.task_started(key, TaskId(first_id + index), index)


def test_tasks_wait_until_they_are_launched_and_run_until_they_end() -> None:
    backlog = Backlog()
    backlog.stage_submitted(ONE, 3)
    start(backlog, 0, 1)
    assert counts(backlog) == (1, 0, 2)
    assert not backlog.task_ended(ONE, TaskId(0), 0, DONE)
    assert counts(backlog) == (1, 0, 1)
    start(backlog, 2)
    assert counts(backlog) == (0, 0, 2)
    assert not backlog.has_pending


@pytest.mark.scenario("DYN-011", "8366 failed tasks counted")
def test_a_task_that_failed_waits_again_and_one_that_was_killed_does_not() -> None:
    backlog = Backlog()
    backlog.stage_submitted(ONE, 2)
    start(backlog, 0, 1)
    assert backlog.task_ended(ONE, TaskId(0), 0, FAILED)
    assert counts(backlog) == (1, 0, 1)
    assert not backlog.task_ended(ONE, TaskId(1), 1, TaskKilled("enough"))
    assert counts(backlog) == (1, 0, 0)


def test_a_finished_task_whose_output_is_lost_waits_again_and_nothing_less_runs() -> None:
    backlog = Backlog()
    backlog.stage_submitted(ONE, 2)
    start(backlog, 0, 1)
    backlog.task_ended(ONE, TaskId(0), 0, DONE)
    assert backlog.task_ended(ONE, TaskId(0), 0, Resubmitted())
    assert counts(backlog) == (1, 0, 1)


def test_a_second_attempt_waits_runs_and_its_failure_makes_nothing_wait() -> None:
    backlog = Backlog()
    backlog.stage_submitted(ONE, 2)
    start(backlog, 0, 1)
    backlog.copy_wanted(ONE, 1)
    assert counts(backlog) == (0, 1, 2)
    start(backlog, 1, first_id=10)
    assert counts(backlog) == (0, 0, 3)
    backlog.task_ended(ONE, TaskId(11), 1, FAILED)
    assert counts(backlog) == (0, 0, 2)


@pytest.mark.scenario("DYN-005")
def test_ends_of_attempts_of_a_stage_that_is_over_are_counted_and_nothing_else() -> None:
    backlog = Backlog()
    backlog.stage_submitted(ONE, 3)
    start(backlog, 0, 1)
    backlog.stage_completed(ONE)
    backlog.stage_submitted((ONE[0], 1), 3)
    assert counts(backlog) == (3, 0, 2)
    for index, reason in ((0, FAILED), (1, DONE), (2, FAILED)):  # of the third nobody heard that it started
        assert not backlog.task_ended(ONE, TaskId(index), index, reason)
    assert counts(backlog) == (3, 0, 0)
    start(backlog, 2, first_id=20)  # late news of the old attempt
    assert counts(backlog) == (3, 0, 1)


def test_unschedulable_sets_are_noted_until_they_can_go_on_or_end() -> None:
    backlog = Backlog()
    for key in (ONE, TWO):
        backlog.stage_submitted(key, 1)
        backlog.set_unschedulable(key, True)
    backlog.set_unschedulable(ONE, False)
    assert list(backlog.unschedulable) == [TWO]
    backlog.stage_completed(TWO)
    assert not backlog.unschedulable


REASONS: list[TaskEndReason] = [DONE, FAILED, TaskKilled("enough"), Resubmitted()]


@given(st.lists(st.tuples(st.sampled_from("sce+w"), st.integers(0, 3), st.sampled_from(REASONS)), max_size=30))
def test_counts_agree_whatever_comes_in_whatever_order(steps: list[tuple[str, int, TaskEndReason]]) -> None:
    backlog = Backlog()
    for kind, number, reason in steps:
        key = (StageId(number % 2), 0)
        match kind:
            case "s":
                backlog.stage_submitted(key, 4)
            case "c":
                backlog.stage_completed(key)
            case "+":
                start(backlog, number, key=key)
            case "w":
                backlog.copy_wanted(key, number)
            case _:
                backlog.task_ended(key, TaskId(number), number, reason)
        assert min(counts(backlog)) >= 0
