from minispark.ids import ExecutorId, TaskId
from minispark.scheduler.logic.attempts import FinishedTask, RunningTask
from minispark.scheduler.logic.locality import Locality


def attempt() -> RunningTask:
    return RunningTask(TaskId(7), 3, 0, 5, ExecutorId("e1"), "h1", 0.0)


def test_a_new_attempt_has_not_said_that_it_runs_and_is_wanted() -> None:
    task = attempt()
    assert (task.has_started, task.is_superseded, task.is_speculative) == (False, False, False)
    assert task.locality == Locality.ANY


def test_attempts_are_told_apart_by_identity_and_finished_tasks_by_value() -> None:
    first, second = attempt(), attempt()
    assert len({first, second}) == 2
    assert FinishedTask(TaskId(7), 3) == FinishedTask(TaskId(7), 3)
