"""Pools: in which order task sets get the slots. Source: Spark's Pool and SchedulingAlgorithm."""

from bisect import insort

from minispark.scheduler.logic.task_set import TaskSet

__all__ = ["Pool"]


class Pool:
    """A FIFO pool: the older job first, then the earlier stage.

    Task sets are kept in their order, so that an offer costs what it launches. A fair pool takes its place behind the
    same methods.
    """

    def __init__(self) -> None:
        self.task_sets: list[TaskSet] = []

    def add(self, task_set: TaskSet) -> None:
        """Take a task set in."""
        insort(self.task_sets, task_set, key=priority)

    def remove(self, task_set: TaskSet) -> None:
        """Let a task set go."""
        self.task_sets.remove(task_set)

    def sorted(self) -> list[TaskSet]:
        """Return the task sets, the one to be served first in front."""
        return self.task_sets


def priority(task_set: TaskSet) -> tuple[int, int]:
    """Return the FIFO order of a task set."""
    return task_set.job_id, task_set.stage_id
