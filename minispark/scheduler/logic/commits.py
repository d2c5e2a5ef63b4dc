"""Which attempt of a task puts its output in place: the first that asks. Source: Spark's OutputCommitCoordinator.

The DAG scheduler tells the table of stages and ends of tasks (it is a `StageWatch`), the OutputCommitCoordinator
endpoint brings the questions. Keyed by stage, not by attempt of a stage: a zombie of an old attempt competes with
the new attempt's.
"""

from minispark.ids import StageId
from minispark.messages.coordination import AskPermissionToCommit
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import Success, TaskCommitDenied

__all__ = ["OutputCommits"]

Attempt = tuple[int, int]
"""Stage attempt and task attempt."""


class StageCommits:
    """What is known of one stage: partition → the attempt that may commit, and those that failed."""

    __slots__ = ("failed", "permitted")

    def __init__(self) -> None:
        self.permitted: dict[int, Attempt] = {}
        self.failed: dict[int, set[Attempt]] = {}


class OutputCommits:
    """The permissions of all stages that run, or will run again."""

    def __init__(self) -> None:
        self.stages: dict[StageId, StageCommits] = {}

    def may_commit(self, asked: AskPermissionToCommit) -> bool:
        """Decide whether an attempt may put its output in place; asking twice gives the same answer.

        No for an attempt that has failed as far as the driver knows (its output would be nobody's), and for one of a
        stage that has ended.
        """
        stage = self.stages.get(asked.stage_id)
        attempt = asked.stage_attempt, asked.attempt_number
        if stage is None or attempt in stage.failed.get(asked.partition, ()):
            return False
        return stage.permitted.setdefault(asked.partition, attempt) == attempt

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """Let a stage's tasks ask; what was permitted in an earlier attempt stays so."""
        if stage_id not in self.stages:
            self.stages[stage_id] = StageCommits()

    def task_ended(self, ended: TaskEnded) -> None:
        """Take the permission back from an attempt that failed with it."""
        stage = self.stages.get(ended.stage_id)
        if stage is None or isinstance(ended.reason, Success | TaskCommitDenied):
            return
        attempt = ended.stage_attempt, ended.attempt_number
        stage.failed.setdefault(ended.partition, set()).add(attempt)
        if stage.permitted.get(ended.partition) == attempt:
            del stage.permitted[ended.partition]

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        """Forget a stage that is done; one that failed may run again, against what is left of this attempt."""
        if is_done:
            self.stages.pop(stage_id, None)

    def stage_gone(self, stage_id: StageId) -> None:
        """Forget a stage that nobody needs any more."""
        self.stages.pop(stage_id, None)

    def check(self) -> None:
        """Assert what always holds."""
        for stage in self.stages.values():
            for partition, attempt in stage.permitted.items():
                assert attempt not in stage.failed.get(partition, ()), f"a failed attempt may commit {partition}"

    def assert_empty(self) -> None:
        """Assert that no stage is left."""
        assert not self.stages, f"left over: {list(self.stages)}"
