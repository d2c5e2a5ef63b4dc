"""Jobs as data. Source: Spark's ActiveJob."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from minispark.ids import ExecutorId, JobId, StageId
from minispark.messages.task import TaskEndReason
from minispark.record import Record, record
from minispark.scheduler.logic.stage import MapStage, ResultStage

__all__ = ["ActiveJob", "JobFailure", "group_of", "tags_of"]


@dataclass(slots=True, eq=False)
class ActiveJob:
    """A job that has not ended.

    Attributes:
        stage: its last stage; a map stage if the job is to write a shuffle.
        stage_ids: all stages it needs.
    """

    job_id: JobId
    stage: ResultStage | MapStage
    call_site: str
    properties: dict[str, str]
    stage_ids: set[StageId]

    @property
    def group(self) -> str | None:
        """The job group, if it has one."""
        return group_of(self.properties)

    @property
    def tags(self) -> list[str]:
        """The job's tags."""
        return tags_of(self.properties)


def group_of(properties: Mapping[str, str]) -> str | None:
    """Return the group that a job's properties put it into, if they do."""
    return properties.get("minispark.jobGroup.id")


def tags_of(properties: Mapping[str, str]) -> list[str]:
    """Return the tags that a job's properties give it."""
    return properties.get("minispark.job.tags", "").split(",")


@record
class JobFailure(Record):
    """Why a job was given up.

    Attributes:
        kind: what ended it.
        message: for people.
        task_failure: the last failure of the task that ended it, if one did; the fields below say which.
        call_site: the user's line where the failing stage's RDD, or else the job, was defined.
    """

    kind: Literal["task failures", "result too large", "executor lost", "aborted", "cancelled"]
    message: str
    task_failure: TaskEndReason | None = None
    stage_id: StageId = StageId(-1)
    partition: int = -1
    attempt_number: int = 0
    executor_id: ExecutorId = ExecutorId("")
    call_site: str = ""
