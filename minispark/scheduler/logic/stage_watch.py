"""Who is told, at once, of the lives of stages: the tables of commits and barriers.

The DAG scheduler's machine tells a `StageWatchers` what happens, before any task can hear of it; listeners, which are
told later, cannot keep such tables. Must not decide anything itself.
"""

from typing import Protocol

from minispark.ids import StageId
from minispark.messages.scheduler import TaskEnded

__all__ = ["StageWatch", "StageWatchers"]


class StageWatch(Protocol):
    """Keeps something for as long as a stage, or an attempt of it, lives; called on the driver's loop."""

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """An attempt of a stage is about to be submitted, with so many tasks."""

    def task_ended(self, ended: TaskEnded) -> None:
        """A task ended; its stage may be gone."""

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        """An attempt of a stage ended; unless it is done, the stage may be attempted again."""

    def stage_gone(self, stage_id: StageId) -> None:
        """No job needs that stage any more; it may not have run at all."""


class StageWatchers:
    """Tells several what happens, in the order in which they were added."""

    def __init__(self, *watches: StageWatch) -> None:
        self.watches = list(watches)

    def add(self, watch: StageWatch) -> None:
        """Tell one more from now on."""
        self.watches.append(watch)

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """See `StageWatch`."""
        for watch in self.watches:
            watch.attempt_started(stage_id, stage_attempt, num_tasks)

    def task_ended(self, ended: TaskEnded) -> None:
        """See `StageWatch`."""
        for watch in self.watches:
            watch.task_ended(ended)

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        """See `StageWatch`."""
        for watch in self.watches:
            watch.attempt_ended(stage_id, stage_attempt, is_done)

    def stage_gone(self, stage_id: StageId) -> None:
        """See `StageWatch`."""
        for watch in self.watches:
            watch.stage_gone(stage_id)
