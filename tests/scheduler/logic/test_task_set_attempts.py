"""minispark.scheduler.logic.task_set: second attempts of tasks, map outputs that are lost, what a failure ends."""

from dataclasses import replace

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.messages.task import ExecutorLostFailure, RunnerLost, TaskFailure, TaskKilled
from minispark.scheduler.logic.attempts import FinishedTask, RunningTask
from minispark.scheduler.logic.task_set import TaskSet
from minispark.testing.builders import exception_failure, fetch_failed, task_set

A, B, C = ExecutorId("a"), ExecutorId("b"), ExecutorId("c")


def make(count: int, *, max_failures: int = 4, is_map_stage: bool = False, is_barrier: bool = False) -> TaskSet:
    submitted = replace(task_set(range(count), is_map_stage=is_map_stage), is_barrier=is_barrier)
    return TaskSet(submitted, max_failures=max_failures, max_result_bytes=0)


def make_begun(*, max_failures: int = 4, is_map_stage: bool = False) -> TaskSet:
    """Make a set of two tasks, of which one is still to come."""
    submitted = task_set([0], is_last=False, num_tasks=2, is_map_stage=is_map_stage)
    return TaskSet(submitted, max_failures=max_failures, max_result_bytes=0)


def launch(tasks: TaskSet, task_id: int, executor_id: ExecutorId) -> RunningTask:
    """Launch what the set has for an executor, each of which has a host of its own."""
    host = f"host of {executor_id}"
    taken = tasks.take(executor_id, host, 0.0)
    assert taken is not None
    index, locality, is_second = taken
    task = tasks.launched(index, TaskId(task_id), executor_id, host, 0.0, locality, is_second)
    tasks.check()
    return task


def launch_twice(tasks: TaskSet) -> tuple[RunningTask, RunningTask]:
    """Launch a task on executor a, as task 0, and its second attempt on b, as task 1."""
    first = launch(tasks, 0, A)
    assert tasks.add_speculatable(first)
    second = launch(tasks, 1, B)
    assert second.is_speculative
    return first, second


# -- second attempts -------------------------------------------------------------------------------------------------


def test_a_task_that_runs_once_is_wanted_a_second_time_and_not_a_third() -> None:
    tasks = make(1)
    first = launch(tasks, 0, A)
    assert not tasks.has_pending()
    assert tasks.add_speculatable(first)
    assert not tasks.add_speculatable(first)
    assert tasks.has_pending()
    second = launch(tasks, 1, B)
    assert (second.index, second.attempt_number, second.is_speculative) == (0, 1, True)
    assert not tasks.has_pending()
    assert not tasks.add_speculatable(first)


def test_the_siblings_of_an_attempt_that_ended_are_those_that_still_run() -> None:
    tasks = make(1)
    first, second = launch_twice(tasks)
    tasks.succeeded(TaskId(0))
    assert tasks.siblings(first) == [second]
    tasks.succeeded(TaskId(1))
    assert tasks.siblings(second) == []


def test_tasks_of_a_chunk_that_comes_after_a_second_attempt_may_get_one_too() -> None:
    tasks = make_begun()
    launch_twice(tasks)
    tasks.add(task_set([1], num_tasks=2))
    later = launch(tasks, 2, A)
    assert later.index == 1
    assert tasks.add_speculatable(later)
    assert launch(tasks, 3, B).index == 1


def test_a_task_whose_first_attempt_succeeds_gets_no_second_one() -> None:
    tasks = make(2)
    assert tasks.add_speculatable(launch(tasks, 0, A))
    tasks.succeeded(TaskId(0))
    assert launch(tasks, 1, B).index == 1
    assert tasks.take(C, "host of c", 0.0) is None


def test_a_task_waits_again_only_when_its_last_attempt_has_failed() -> None:
    tasks = make(1)
    launch_twice(tasks)
    tasks.failed(TaskId(0), exception_failure())
    assert not tasks.has_pending()
    tasks.failed(TaskId(1), exception_failure())
    assert tasks.has_pending()
    tasks.check()


def test_a_failure_after_another_attempt_succeeded_counts_for_nothing() -> None:
    tasks = make_begun(max_failures=1)
    launch_twice(tasks)
    assert tasks.succeeded(TaskId(0))[1]
    assert tasks.failed(TaskId(1), exception_failure())[1] is None
    assert not tasks.is_zombie
    assert not tasks.has_pending()


def test_a_second_attempt_that_succeeds_after_a_fetch_failure_is_no_first_success() -> None:
    tasks = make(1)
    launch_twice(tasks)
    tasks.failed(TaskId(0), fetch_failed(0, 0))
    assert tasks.is_zombie
    assert not tasks.is_finished
    assert not tasks.succeeded(TaskId(1))[1]
    assert tasks.is_finished


def test_a_fetch_failure_of_a_task_that_is_done_does_not_count_it_twice() -> None:
    tasks = make_begun()
    launch_twice(tasks)
    tasks.succeeded(TaskId(0))
    tasks.failed(TaskId(1), fetch_failed(0, 0))
    assert tasks.num_successful == 1
    tasks.check()


# -- map outputs that are lost ---------------------------------------------------------------------------------------


def test_map_outputs_that_went_with_an_executor_are_made_again() -> None:
    tasks = make(4, is_map_stage=True)
    for number, executor_id in enumerate((A, A, B, C)):
        launch(tasks, number, executor_id)
    for number in range(3):
        tasks.succeeded(TaskId(number))
    assert tasks.outputs_lost(A) == [FinishedTask(TaskId(0), 0), FinishedTask(TaskId(1), 1)]
    assert tasks.outputs_lost(A) == []
    assert [launch(tasks, 4 + number, B).index for number in range(2)] == [1, 0]
    for number in (3, 4):
        tasks.succeeded(TaskId(number))
        assert not tasks.is_zombie
    tasks.succeeded(TaskId(5))
    assert tasks.is_finished


@pytest.mark.scenario("TSM-023")
def test_map_outputs_that_were_handed_over_are_not_made_again() -> None:
    tasks = make(3, is_map_stage=True)
    for number in range(3):
        launch(tasks, number, A)
    for number in range(2):
        tasks.succeeded(TaskId(number))
    lost = tasks.outputs_lost(A, {TaskId(0)}.__contains__)
    assert lost == [FinishedTask(TaskId(1), 1)]
    assert list(tasks.successful) == [1, 0, 0]
    tasks.check()


def test_results_went_to_the_driver_and_stay_when_their_executor_goes() -> None:
    tasks = make(2)
    launch(tasks, 0, A)
    tasks.succeeded(TaskId(0))
    assert tasks.outputs_lost(A) == []
    assert list(tasks.successful) == [1, 0]


def test_a_set_that_is_done_makes_no_output_again() -> None:
    tasks = make(1, is_map_stage=True)
    launch(tasks, 0, A)
    tasks.succeeded(TaskId(0))
    assert tasks.outputs_lost(A) == []
    assert tasks.is_finished


@pytest.mark.parametrize("is_superseded", [False, True])
def test_the_output_of_an_attempt_that_was_superseded_is_missed_by_nobody(is_superseded: bool) -> None:
    tasks = make_begun(is_map_stage=True)
    _, second = launch_twice(tasks)
    tasks.succeeded(TaskId(0))
    second.is_superseded = is_superseded
    tasks.succeeded(TaskId(1))
    assert tasks.outputs_lost(B) == ([] if is_superseded else [FinishedTask(TaskId(1), 0)])
    tasks.check()


# -- what a failure ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (ExecutorLostFailure(A, True, "crashed"), "executor lost"),
        (RunnerLost(None, 9, ""), "executor lost"),
        (exception_failure(), "task failures"),
    ],
)
def test_the_last_failure_says_whether_the_task_or_its_process_was_to_blame(reason: TaskFailure, kind: str) -> None:
    tasks = make(1, max_failures=1)
    task = launch(tasks, 0, A)
    _, abort = tasks.failed(TaskId(0), reason)
    assert abort is not None
    assert (abort.kind, abort.failure, abort.task) == (kind, reason, task)
    assert "task 0 in stage 0.0 failed once, the last time (attempt 0 on executor a)" in abort.message


def test_a_failure_that_no_attempt_can_mend_gives_the_set_up_at_once() -> None:
    tasks = make(2)
    task = launch(tasks, 0, A)
    reason = replace(exception_failure(), class_name="minispark.errors.PicklingError")
    _, abort = tasks.failed(TaskId(0), reason)
    assert abort is not None
    assert (abort.kind, abort.task) == ("task failures", task)
    assert "another attempt cannot mend (attempt 0 on executor a)" in abort.message
    assert tasks.is_finished


@pytest.mark.parametrize("reason", [exception_failure(), TaskKilled("moved")])
def test_a_barrier_set_starts_nothing_more_once_a_task_of_it_failed(reason: TaskFailure) -> None:
    tasks = make(2, is_barrier=True)
    launch(tasks, 0, A)
    launch(tasks, 1, B)
    assert tasks.failed(TaskId(0), reason)[1] is None
    assert not tasks.has_pending()
    assert not tasks.is_finished
    tasks.ended(TaskId(1))
    assert tasks.is_finished


def test_a_barrier_task_runs_even_if_another_attempt_delivered_its_partition() -> None:
    tasks = make(1, is_barrier=True)
    tasks.partition_completed(0)
    assert launch(tasks, 0, A).partition == 0
