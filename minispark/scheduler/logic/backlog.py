"""How many tasks wait and run, as dynamic allocation counts them: from the events that listeners see.

`executor_allocation` tells it; the TaskScheduler's own tables know more, but walking them ten times a second costs
more than counting. Source: ExecutorAllocationListener of Spark's ExecutorAllocationManager.
"""

from dataclasses import dataclass, field

from minispark.ids import StageId, TaskId
from minispark.messages.task import Resubmitted, Success, TaskEndReason, TaskKilled

__all__ = ["Backlog", "StageKey"]

StageKey = tuple[StageId, int]
"""A stage and the number of its attempt."""


@dataclass(slots=True, eq=False)
class StageLoad:
    """The tasks of a stage attempt that is not over.

    Attributes:
        num_tasks: all of them.
        started: the indices that were launched and need not be launched again.
        wanted_copies: the indices whose slow attempts are to get a second one.
        copies: the second attempts that run.
    """

    num_tasks: int
    started: set[int] = field(default_factory=set)
    wanted_copies: set[int] = field(default_factory=set)
    copies: set[TaskId] = field(default_factory=set)


class Backlog:
    """The tasks of all stages.

    Attributes:
        stages: the attempts that are not over.
        running: the attempts of tasks that run, by stage attempt; some of those may be over.
        unschedulable: the stage attempts with a task that may run on no executor there is.
        num_running: all that run.
        num_pending: tasks that wait for their first attempt, or their next one.
        num_pending_copies: second attempts that wait.
    """

    def __init__(self) -> None:
        self.stages: dict[StageKey, StageLoad] = {}
        self.running: dict[StageKey, int] = {}
        self.unschedulable: dict[StageKey, None] = {}
        self.num_running = 0
        self.num_pending = 0
        self.num_pending_copies = 0

    # -- what happens ------------------------------------------------------------------------------------------------

    def stage_submitted(self, key: StageKey, num_tasks: int) -> None:
        """Take a stage attempt whose tasks all wait."""
        self.stage_completed(key)
        self.stages[key] = StageLoad(num_tasks)
        self.num_pending += num_tasks

    def stage_completed(self, key: StageKey) -> None:
        """Let a stage attempt go; what still runs of it is counted until it ends."""
        self.unschedulable.pop(key, None)
        stage = self.stages.pop(key, None)
        if stage is not None:
            self.num_pending -= stage.num_tasks - len(stage.started)
            self.num_pending_copies -= len(stage.wanted_copies)

    def task_started(self, key: StageKey, task_id: TaskId, index: int) -> None:
        """Count an attempt; one of a task that was started before and has not failed is its second one."""
        self.running[key] = self.running.get(key, 0) + 1
        self.num_running += 1
        stage = self.stages.get(key)
        if stage is None:
            return
        if index in stage.started:
            stage.copies.add(task_id)
            self.want_no_copy(stage, index)
        else:
            stage.started.add(index)
            self.num_pending -= 1

    def task_ended(self, key: StageKey, task_id: TaskId, index: int, reason: TaskEndReason) -> bool:
        """Take the end of an attempt; tell whether its task has to run again."""
        if not isinstance(reason, Resubmitted):  # whose attempt ended long ago, and is void now
            self.stop_running(key)
        stage = self.stages.get(key)
        if stage is None:
            return False
        is_copy = task_id in stage.copies
        stage.copies.discard(task_id)
        if isinstance(reason, Success):
            self.want_no_copy(stage, index)
            return False
        if isinstance(reason, TaskKilled):
            return False
        if not is_copy and index in stage.started:
            stage.started.discard(index)
            self.num_pending += 1
        return True

    def stop_running(self, key: StageKey) -> None:
        """Count an attempt no more; one of which nobody heard is passed over."""
        count = self.running.get(key, 0)
        if count:
            self.num_running -= 1
            self.running[key] = count - 1
        if count == 1:
            del self.running[key]

    def copy_wanted(self, key: StageKey, index: int) -> None:
        """Count that a slow task is to get a second attempt."""
        stage = self.stages.get(key)
        if stage is not None and index not in stage.wanted_copies:
            stage.wanted_copies.add(index)
            self.num_pending_copies += 1

    def want_no_copy(self, stage: StageLoad, index: int) -> None:
        """Take that a second attempt was launched, or is of no use any more."""
        if index in stage.wanted_copies:
            stage.wanted_copies.discard(index)
            self.num_pending_copies -= 1

    def set_unschedulable(self, key: StageKey, is_unschedulable: bool) -> None:
        """Note that a stage attempt has a task that may run on no executor there is, or has none any more."""
        if is_unschedulable:
            self.unschedulable[key] = None
        else:
            self.unschedulable.pop(key, None)

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        """Whether anything waits."""
        return self.num_pending > 0 or self.num_pending_copies > 0

    def check(self) -> None:
        """Assert the invariants."""
        assert self.num_running == sum(self.running.values())
        assert all(self.running.values()), "a stage that runs nothing is not listed"
        for stage in self.stages.values():
            assert len(stage.started) <= stage.num_tasks
        stages = self.stages.values()
        assert self.num_pending == sum(stage.num_tasks - len(stage.started) for stage in stages)
        assert self.num_pending_copies == sum(len(stage.wanted_copies) for stage in stages)
