"""minispark.scheduler.task_news: what the DAGScheduler is told."""

from minispark.ids import ExecutorId, StageId, TaskId
from minispark.scheduler.logic.task_set import Abort, TaskSet
from minispark.scheduler.task_news import task_ended, task_set_failed
from minispark.testing.builders import exception_failure, task_set


def make() -> TaskSet:
    return TaskSet(task_set([7, 8], stage_id=3, attempt=1), max_failures=4, max_result_bytes=0)


def test_the_end_of_an_attempt_says_which_and_where_and_why() -> None:
    tasks = make()
    task = tasks.launched(1, TaskId(5), ExecutorId("e"), "h", 2.5)
    ended = task_ended(tasks, task, exception_failure("boom"))
    assert (ended.stage_id, ended.stage_attempt, ended.task_id, ended.index, ended.partition) == (3, 1, 5, 1, 8)
    assert (ended.executor_id, ended.host, ended.launched_s) == ("e", "h", 2.5)
    assert ended.reason == exception_failure("boom")


def test_a_set_that_is_given_up_names_the_task_that_was_the_last_straw_if_any() -> None:
    tasks = make()
    task = tasks.launched(0, TaskId(5), ExecutorId("e"), "h", 2.5)
    failed = task_set_failed(tasks, Abort("task failures", "why", exception_failure(), task))
    assert (failed.stage_id, failed.stage_attempt) == (StageId(3), 1)
    assert (failed.partition, failed.attempt_number, failed.executor_id) == (7, 0, "e")
    nobody = task_set_failed(tasks, Abort("aborted", "why"))
    assert (nobody.partition, nobody.attempt_number, nobody.executor_id) == (-1, 0, "")
