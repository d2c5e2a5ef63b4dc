"""What became of the jobs and stages that ended lately, for whoever asks for their status.

A part of `dag.DagState`, which tells of the ends of jobs, and a `StageWatch` of its own: stages that run are counted
in the machine's own tables, and only what those forget is kept here, as numbers. Source: Spark's AppStatusStore.
"""

from array import array
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

from minispark.ids import JobId, StageId
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import Resubmitted, Success, TaskKilled
from minispark.record import Record, record
from minispark.scheduler.logic.job import group_of, tags_of
from minispark.scheduler.logic.stage import MapStage, ResultStage, Stage

__all__ = ["EndedJob", "Recent", "StageCounts"]

RETAINED: Final = 1000
"""Ended jobs, and ended stages, that are remembered."""

K = TypeVar("K")
V = TypeVar("V")


@record
class EndedJob(Record):
    """A job that ended: how, in which group, with which tags, and the packed ids of the stages that it needed."""

    result: Literal["succeeded", "failed", "cancelled"]
    group: str | None
    tags: tuple[str, ...]
    stage_ids: bytes

    def stages(self) -> list[StageId]:
        """Return the stages that it needed, in the order of their ids."""
        numbers = array("q")
        numbers.frombytes(self.stage_ids)
        return [StageId(number) for number in numbers]


@record
class StageCounts(Record):
    """How far an attempt of a stage is, or was when it ended."""

    attempt: int
    name: str
    num_tasks: int
    num_completed: int
    num_failed: int


class Recent:
    """The jobs and stages that ended last.

    Args:
        needed: the stages that active jobs need; read only.
    """

    def __init__(self, needed: Mapping[StageId, Stage]) -> None:
        self.needed = needed
        self.jobs: dict[JobId, EndedJob] = {}
        self.stages: dict[StageId, StageCounts] = {}
        self.failures: dict[StageId, int] = {}  # of the latest attempt of stages that are needed

    def job_ended(
        self,
        job_id: JobId,
        properties: Mapping[str, str],
        stage_ids: Iterable[StageId],
        result: Literal["succeeded", "failed", "cancelled"],
    ) -> None:
        """Remember a job.

        Args:
            job_id: its number.
            properties: those it was submitted with.
            stage_ids: the stages it needed, in order.
            result: how it ended.
        """
        packed = array("q", stage_ids).tobytes()
        tags = tuple(tag for tag in tags_of(properties) if tag) if properties else ()
        keep(self.jobs, job_id, EndedJob(result, group_of(properties), tags, packed))

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """Count failures anew."""
        self.failures.pop(stage_id, None)

    def task_ended(self, ended: TaskEnded) -> None:
        """Count a failure of the latest attempt; what was killed, or lost after its success, did not fail."""
        stage = self.needed.get(ended.stage_id)
        if stage is None or stage.attempt is None or stage.attempt.number != ended.stage_attempt:
            return
        if not isinstance(ended.reason, Success | TaskKilled | Resubmitted):
            self.failures[ended.stage_id] = self.failures.get(ended.stage_id, 0) + 1

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        """Remember how far the attempt has come."""
        keep(self.stages, stage_id, self.counts(self.needed[stage_id]))

    def stage_gone(self, stage_id: StageId) -> None:
        """Forget what was counted while the stage was needed."""
        self.failures.pop(stage_id, None)

    def counts(self, stage: Stage) -> StageCounts:
        """Return how far the latest attempt of a stage is that an active job needs."""
        if stage.attempt is None:
            return StageCounts(0, stage.name, stage.num_partitions, 0, 0)
        done = stage.attempt.num_tasks - num_missing(stage)
        return StageCounts(
            stage.attempt.number, stage.name, stage.attempt.num_tasks, done, self.failures.get(stage.stage_id, 0)
        )

    def assert_empty(self) -> None:
        """Assert that nothing is counted for a stage that is gone."""
        assert not self.failures, f"left over: {self.failures}"


def num_missing(stage: Stage) -> int:
    """Return how many partitions of the latest attempt have not come."""
    if isinstance(stage, MapStage):
        return len(stage.pending)
    assert isinstance(stage, ResultStage)
    return len(stage.finished) - stage.num_finished


def keep(table: dict[K, V], key: K, value: V) -> None:
    """Put a value in as the newest; the oldest makes room for it."""
    table.pop(key, None)
    table[key] = value
    if len(table) > RETAINED:
        del table[next(iter(table))]
