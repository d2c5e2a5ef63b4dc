"""What the TaskScheduler tells the DAGScheduler of its tasks and task sets, made of what it knows of them."""

from minispark.ids import ExecutorId
from minispark.messages.scheduler import TaskEnded, TaskSetFailed
from minispark.messages.task import TaskEndReason
from minispark.scheduler.logic.task_set import Abort, RunningTask, TaskSet

__all__ = ["task_ended", "task_set_failed"]


def task_ended(task_set: TaskSet, task: RunningTask, reason: TaskEndReason) -> TaskEnded:
    """Return the news that an attempt ended."""
    return TaskEnded(
        task_set.stage_id,
        task_set.stage_attempt,
        task.task_id,
        task.index,
        task.attempt_number,
        task.partition,
        task.executor_id,
        task.host,
        task_set.epoch,
        task.launched_s,
        reason,
    )


def task_set_failed(task_set: TaskSet, abort: Abort) -> TaskSetFailed:
    """Return the news that a task set was given up."""
    task = abort.task
    return TaskSetFailed(
        task_set.stage_id,
        task_set.stage_attempt,
        abort.message,
        abort.kind,
        abort.failure,
        task.partition if task is not None else -1,
        task.attempt_number if task is not None else 0,
        task.executor_id if task is not None else ExecutorId(""),
    )
