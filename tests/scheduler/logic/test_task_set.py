from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import ExecutorLostFailure, TaskCommitDenied, TaskFailure, TaskKilled, TaskResultLost
from minispark.scheduler.logic.failures import failure_text
from minispark.scheduler.logic.task_set import RunningTask, TaskSet
from minispark.testing.builders import exception_failure, fetch_failed, task_set

DRIVER = ExecutorId("driver")


def make(count: int, *, max_failures: int = 4, max_result_bytes: int = 0, is_map_stage: bool = False) -> TaskSet:
    submitted = task_set(range(count), is_map_stage=is_map_stage)
    return TaskSet(submitted, max_failures=max_failures, max_result_bytes=max_result_bytes)


def launch(tasks: TaskSet, task_id: int) -> RunningTask:
    taken = tasks.take(DRIVER, "localhost", 0.0)
    assert taken is not None
    return tasks.launched(taken[0], TaskId(task_id), DRIVER, "localhost", 0.0)


@pytest.mark.scenario("TSM-001")
def test_any_offer_takes_a_task_and_the_set_is_finished_with_the_last() -> None:
    tasks = make(2)
    first, second = launch(tasks, 0), launch(tasks, 1)
    assert [first.index, second.index] == [0, 1]
    assert tasks.take(DRIVER, "localhost", 0.0) is None
    tasks.succeeded(TaskId(0))
    assert not tasks.is_finished
    tasks.succeeded(TaskId(1))
    assert tasks.is_finished


def test_a_failed_task_runs_again_with_the_next_attempt_number() -> None:
    tasks = make(1)
    launch(tasks, 0)
    assert tasks.failed(TaskId(0), exception_failure())[1] is None
    again = launch(tasks, 1)
    assert (again.index, again.attempt_number) == (0, 1)
    tasks.check()


@pytest.mark.scenario("TSM-020")
def test_the_last_failure_tolerated_gives_the_set_up_and_is_named() -> None:
    tasks = make(1, max_failures=2)
    launch(tasks, 0)
    tasks.failed(TaskId(0), exception_failure("first"))
    launch(tasks, 1)
    _, abort = tasks.failed(TaskId(1), exception_failure("second"))
    assert abort is not None
    assert "failed 2 times" in abort.message
    assert "ValueError: second" in abort.message
    assert tasks.is_finished


@pytest.mark.parametrize(
    "reason",
    [
        TaskKilled("another attempt succeeded"),
        TaskCommitDenied(0, 0, 0),  # type: ignore[arg-type]
        ExecutorLostFailure(DRIVER, False, "preempted"),
    ],
)
def test_some_ends_are_no_failures_of_the_task(reason: TaskFailure) -> None:
    tasks = make(1, max_failures=1)
    launch(tasks, 0)
    assert tasks.failed(TaskId(0), reason)[1] is None
    assert tasks.has_pending()


@pytest.mark.scenario("TSM-019")
def test_a_lost_result_is_computed_again_and_counts() -> None:
    tasks = make(1, max_failures=2)
    launch(tasks, 0)
    assert tasks.failed(TaskId(0), TaskResultLost("gone"))[1] is None
    launch(tasks, 1)
    assert tasks.failed(TaskId(1), TaskResultLost("gone"))[1] is not None


def test_a_fetch_failure_makes_the_set_start_nothing_more() -> None:
    tasks = make(3, max_failures=1)
    launch(tasks, 0)
    launch(tasks, 1)
    assert tasks.failed(TaskId(0), fetch_failed(0, 0))[1] is None
    assert not tasks.has_pending()
    assert not tasks.is_finished
    tasks.succeeded(TaskId(1))
    assert tasks.is_finished


@pytest.mark.scenario("TSM-025")
def test_results_that_are_too_large_together_give_the_set_up_but_not_map_outputs() -> None:
    tasks = make(2, max_result_bytes=100)
    assert tasks.can_fetch(60) is None
    abort = tasks.can_fetch(60)
    assert abort is not None
    assert "take 120 bytes, and minispark.driver.maxResultSize allows 100" in abort.message
    assert "to_local_iterator()" in abort.message
    maps = make(2, max_result_bytes=100, is_map_stage=True)
    assert maps.can_fetch(1000) is None


def test_results_that_just_fit_are_fetched() -> None:
    tasks = make(2, max_result_bytes=100)
    assert tasks.can_fetch(40) is None
    assert tasks.can_fetch(60) is None
    assert tasks.can_fetch(1) is not None


@pytest.mark.scenario("TSM-035")
def test_a_success_forgets_the_failures_of_its_task() -> None:
    tasks = make(1, max_failures=3)
    launch(tasks, 0)
    tasks.failed(TaskId(0), exception_failure())
    launch(tasks, 1)
    tasks.succeeded(TaskId(1))
    assert tasks.failures[0] == 0


def test_chunks_run_in_the_order_in_which_they_came() -> None:
    tasks = TaskSet(task_set([5, 6], is_last=False, num_tasks=4), max_failures=1, max_result_bytes=0)
    tasks.add(task_set([7, 8], num_tasks=4))
    tasks.check()
    assert [launch(tasks, number).partition for number in range(4)] == [5, 6, 7, 8]
    for number in range(4):
        tasks.succeeded(TaskId(number))
    assert tasks.is_finished


def test_a_partition_that_another_attempt_delivered_is_not_run() -> None:
    tasks = make(2)
    tasks.partition_completed(0)
    assert launch(tasks, 0).partition == 1
    tasks.succeeded(TaskId(0))
    assert tasks.is_finished


@pytest.mark.parametrize("partitions", [[3, 5, 8], [8, 3, 5], [5, 8, 3], [8, 5, 3]])
def test_a_partition_that_another_attempt_delivered_is_found_in_any_order(partitions: list[int]) -> None:
    tasks = TaskSet(task_set(partitions), max_failures=1, max_result_bytes=0)
    for partition in (5, 4, 9, 5):
        tasks.partition_completed(partition)
    assert list(tasks.successful) == [partition == 5 for partition in partitions]
    tasks.check()


def test_each_failure_can_be_put_into_a_line() -> None:
    assert failure_text(exception_failure("boom")) == "ValueError: boom"
    assert failure_text(ExecutorLostFailure(DRIVER, True, "killed")) == "executor driver lost: killed"
    assert failure_text(TaskKilled("enough")) == "killed: enough"


def test_a_set_keeps_what_its_tasks_are_launched_with() -> None:
    submitted = replace(
        task_set([4], stage_id=2, attempt=1, job_id=3), epoch=7, shuffle_ids=(ShuffleId(5),), properties={"pool": "p"}
    )
    tasks = TaskSet(submitted, max_failures=1, max_result_bytes=0, task_cpus=2)
    assert (tasks.stage_id, tasks.stage_attempt, tasks.job_id, tasks.name) == (2, 1, 3, "task set 2.1")
    assert (tasks.binary_id, tasks.epoch, tasks.shuffle_ids) == (3, 7, (5,))
    assert (tasks.task_cpus, tasks.properties) == (2, {"pool": "p"})
    assert not tasks.warned_of_size


def test_a_task_that_runs_or_is_done_is_not_pushed() -> None:
    tasks = make(2)
    launch(tasks, 0)
    launch(tasks, 1)
    tasks.succeeded(TaskId(1))
    tasks.push(0)
    tasks.push(1)
    assert not tasks.has_pending()
    tasks.ended(TaskId(0))
    tasks.push(0)
    assert launch(tasks, 2).index == 0


@given(st.lists(st.sampled_from(["launch", "succeed", "fail", "kill"]), max_size=60), st.integers(1, 5))
def test_whatever_the_order_of_events_no_task_is_forgotten(steps: list[str], count: int) -> None:
    tasks = make(count, max_failures=3)
    next_id = 0
    for step in steps:
        running = list(tasks.running)
        if step == "launch" and tasks.has_pending():
            taken = tasks.take(DRIVER, "localhost", 0.0)
            if taken is not None:
                tasks.launched(taken[0], TaskId(next_id), DRIVER, "localhost", 0.0)
                next_id += 1
        elif running and step == "succeed":
            tasks.succeeded(running[0])
        elif running and step == "fail":
            tasks.failed(running[-1], exception_failure())
        elif running and step == "kill":
            tasks.failed(running[0], TaskKilled("moved"))
        tasks.check()
    assert tasks.is_zombie or tasks.running or tasks.has_pending()
