"""What the DAG scheduler's machine wants done; the endpoint does it."""

from minispark.ids import JobId, ShuffleId, StageId, TaskId
from minispark.messages.listener import ListenerEvent
from minispark.messages.scheduler import JobSubmitted, KillTaskSet, PartitionCompleted, SubmitTaskSet
from minispark.messages.task import BlockManagerId, DirectResult
from minispark.record import Record, record
from minispark.scheduler.logic.job import JobFailure

__all__ = [
    "CheckSlotsLater",
    "DeliverResult",
    "Effect",
    "FailJob",
    "KillDirectRun",
    "Post",
    "RemoveMapOutput",
    "RemoveShuffleFiles",
    "ResubmitLater",
    "RunDirectly",
    "SubmitMoreTasks",
    "SucceedJob",
    "Warn",
]


@record
class DeliverResult(Record):
    """Give the job's owner the result at this position."""

    job_id: JobId
    position: int
    result: DirectResult


@record
class SucceedJob(Record):
    """Tell the job's owner that all results were delivered."""

    job_id: JobId


@record
class FailJob(Record):
    """Tell the job's owner that there is nothing more to come, and why."""

    job_id: JobId
    failure: JobFailure


@record
class Post(Record):
    """Tell the listeners."""

    event: ListenerEvent


@record
class ResubmitLater(Record):
    """Send `ResubmitFailedStages` to the DAG scheduler after a delay."""

    delay_s: float


@record
class CheckSlotsLater(Record):
    """Send `BarrierJobDue` to the DAG scheduler after a delay: there may be slots for the job then."""

    job_id: JobId
    delay_s: float


@record
class RunDirectly(Record):
    """Give this job's only task to an idle runner; `DirectRunEnded` tells of its end, or that there is none."""

    job: JobSubmitted


@record
class KillDirectRun(Record):
    """End that task; nobody waits for it any more."""

    job_id: JobId
    interrupt: bool
    reason: str


@record
class SubmitMoreTasks(Record):
    """Send `ContinueSubmission` to the DAG scheduler: there are more tasks of this attempt than fit a turn."""

    stage_id: StageId
    stage_attempt: int


@record
class RemoveShuffleFiles(Record):
    """Delete what is left of a shuffle that was forgotten; `locations` are those that held its outputs, each once."""

    shuffle_id: ShuffleId
    locations: tuple[BlockManagerId, ...]


@record
class RemoveMapOutput(Record):
    """Delete a map output that came when nobody needed its stage any more."""

    location: BlockManagerId
    map_id: TaskId


@record
class Warn(Record):
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
    | RunDirectly
    | KillDirectRun
    | SubmitTaskSet
    | KillTaskSet
    | PartitionCompleted
)
