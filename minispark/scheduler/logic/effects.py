"""What the DAG scheduler's machine wants done; the endpoint does it."""

from dataclasses import dataclass

from minispark.ids import JobId, ShuffleId, StageId, TaskId
from minispark.messages.listener import ListenerEvent
from minispark.messages.scheduler import KillTaskSet, PartitionCompleted, SubmitTaskSet
from minispark.messages.task import DirectResult
from minispark.scheduler.logic.job import JobFailure

__all__ = [
    "CheckSlotsLater",
    "DeliverResult",
    "Effect",
    "FailJob",
    "Post",
    "RemoveMapOutput",
    "RemoveShuffleFiles",
    "ResubmitLater",
    "SubmitMoreTasks",
    "SucceedJob",
    "Warn",
]


@dataclass(frozen=True, slots=True)
class DeliverResult:
    """Give the job's owner the result at this position."""

    job_id: JobId
    position: int
    result: DirectResult


@dataclass(frozen=True, slots=True)
class SucceedJob:
    """Tell the job's owner that all results were delivered."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class FailJob:
    """Tell the job's owner that there is nothing more to come, and why."""

    job_id: JobId
    failure: JobFailure


@dataclass(frozen=True, slots=True)
class Post:
    """Tell the listeners."""

    event: ListenerEvent


@dataclass(frozen=True, slots=True)
class ResubmitLater:
    """Send `ResubmitFailedStages` to the DAG scheduler after a delay."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class CheckSlotsLater:
    """Send `BarrierJobDue` to the DAG scheduler after a delay: there may be slots for the job then."""

    job_id: JobId
    delay_s: float


@dataclass(frozen=True, slots=True)
class SubmitMoreTasks:
    """Send `ContinueSubmission` to the DAG scheduler: there are more tasks of this attempt than fit a turn."""

    stage_id: StageId
    stage_attempt: int


@dataclass(frozen=True, slots=True)
class RemoveShuffleFiles:
    """Delete what is left of a shuffle that was forgotten; `directories` are those that held its outputs."""

    shuffle_id: ShuffleId
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveMapOutput:
    """Delete a map output that came when nobody needed its stage any more."""

    directory: str
    map_id: TaskId


@dataclass(frozen=True, slots=True)
class Warn:
    """Log a warning."""

    message: str


Effect = (
    RemoveShuffleFiles
    | RemoveMapOutput
    | DeliverResult
    | SucceedJob
    | FailJob
    | Post
    | Warn
    | ResubmitLater
    | CheckSlotsLater
    | SubmitMoreTasks
    | SubmitTaskSet
    | KillTaskSet
    | PartitionCompleted
)
