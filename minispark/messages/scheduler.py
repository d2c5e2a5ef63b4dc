"""The driver's own conversations: caller → DAGScheduler → TaskScheduler → backend. Tags 170–199.

Source: Spark's DAGSchedulerEvent and the local backend's messages.
"""

from array import array
from collections.abc import Sequence
from typing import Literal

from minispark.ids import BinaryId, ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.task import (
    BlockManagerId,
    DirectResult,
    Lineage,
    Preferences,
    ShuffleDependencyInfo,
    TaskEndReason,
    TaskOutcome,
)
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "AllJobsCancelled",
    "AttemptsProgressed",
    "BarrierJobDue",
    "CheckSpeculation",
    "ComponentFailed",
    "ContinueSubmission",
    "DirectRunEnded",
    "ExecutorAdded",
    "ExecutorDecommissioned",
    "ExecutorLossPending",
    "ExecutorRemoved",
    "JobCancelled",
    "JobGroupCancelled",
    "JobSubmitted",
    "JobTagCancelled",
    "KillTaskAttempt",
    "KillTaskSet",
    "MapOutputMigrated",
    "PartitionCompleted",
    "ResubmitFailedStages",
    "ResultFetched",
    "ReviveOffers",
    "ShuffleForgotten",
    "StageCancelled",
    "SubmitTaskSet",
    "TaskAttemptKilled",
    "TaskEnded",
    "TaskSetFailed",
    "TaskStarted",
    "ToBackend",
    "ToDagScheduler",
    "ToTaskScheduler",
    "UnschedulableExpired",
    "WorkerLost",
    "pack_integers",
    "unpack_integers",
]


def pack_integers(numbers: Sequence[int]) -> bytes:
    """Pack partition numbers, 4 bytes each, so that a message with many of them stays small."""
    return (numbers if isinstance(numbers, array) else array("i", numbers)).tobytes()


def unpack_integers(data: bytes) -> "array[int]":
    """Undo `pack_integers`."""
    numbers = array("i")
    numbers.frombytes(data)
    return numbers


@message(170)
class JobSubmitted(Message):
    """Caller → DAGScheduler: run the binary over these partitions of the lineage's last RDD.

    `partitions` are packed numbers, in the order in which the results are wanted. With `map_side` the job is to write
    that shuffle of the last RDD, all its partitions, and its one result are the sizes (`shuffle.logic.statistics`).
    With `allow_local` a single task may go straight to an idle runner (`scheduler.logic.direct`).
    """

    job_id: JobId
    lineage: Lineage
    partitions: bytes
    binary_id: BinaryId
    name: str
    call_site: str
    properties: dict[str, str]
    map_side: ShuffleDependencyInfo | None = None
    allow_local: bool = False


@message(171)
class JobCancelled(Message):
    """Caller → DAGScheduler: end this job and stop its tasks."""

    job_id: JobId
    reason: str


@message(172)
class JobGroupCancelled(Message):
    """Caller → DAGScheduler: end all jobs of a group, and those that are submitted in it later if asked."""

    group: str
    reason: str
    cancel_future_jobs: bool = False


@message(189)
class JobTagCancelled(Message):
    """Caller → DAGScheduler: end all jobs that have a tag."""

    tag: str
    reason: str


@message(184)
class StageCancelled(Message):
    """Caller → DAGScheduler: end all jobs that need a stage."""

    stage_id: StageId
    reason: str


@message(173)
class AllJobsCancelled(Message):
    """Context → DAGScheduler: end everything."""

    reason: str


@message(174)
class ResubmitFailedStages(Message):
    """DAGScheduler → itself, a moment after fetch failures, so that one resubmission serves many."""


@message(196)
class DirectRunEnded(Message):
    """Backend → DAGScheduler: the only task of a job ended. No outcome: no runner was idle, or it says nothing."""

    job_id: JobId
    executor_id: ExecutorId
    outcome: TaskOutcome | None


@message(197)
class ContinueSubmission(Message):
    """DAGScheduler → itself: submit more tasks of this attempt; a stage of very many takes several turns."""

    stage_id: StageId
    stage_attempt: int


@message(198)
class BarrierJobDue(Message):
    """DAGScheduler → itself: see whether there are slots by now for a job with a barrier stage."""

    job_id: JobId


@message(180)
class ShuffleForgotten(Message):
    """Context → DAGScheduler: no RDD refers to this shuffle any more."""

    shuffle_id: ShuffleId


@message(181)
class ComponentFailed(Message):
    """Driver → DAGScheduler: an endpoint that jobs depend on failed in a way it does not know how to settle."""

    name: str
    error: str


@message(175)
class TaskStarted(Message):
    """TaskScheduler → DAGScheduler: an attempt was launched."""

    stage_id: StageId
    stage_attempt: int
    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str


@message(176)
class TaskEnded(Message):
    """TaskScheduler → DAGScheduler: an attempt ended; `epoch` is that of its task set's creation."""

    stage_id: StageId
    stage_attempt: int
    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str
    epoch: int
    launched_s: float
    reason: TaskEndReason


@message(177)
class TaskSetFailed(Message):
    """TaskScheduler → DAGScheduler: a task set was given up; `failure` is what ended it, if a task did."""

    stage_id: StageId
    stage_attempt: int
    message: str
    kind: Literal["task failures", "result too large", "executor lost", "aborted"]
    failure: TaskEndReason | None
    partition: int
    attempt_number: int
    executor_id: ExecutorId


@message(178)
class ExecutorAdded(Message):
    """Backend → DAGScheduler and TaskScheduler: an executor can take tasks; `cores` is 0 where nobody tells."""

    executor_id: ExecutorId
    host: str
    cores: int = 0


@message(179)
class ExecutorRemoved(Message):
    """Backend → DAGScheduler and TaskScheduler: an executor is gone; `caused_by_app` counts its tasks as failed.

    `worker_lost` says that its whole host went with it, and with the host what a shuffle service kept there;
    `in_order`, that it was decommissioned and left when it was done.
    """

    executor_id: ExecutorId
    host: str
    reason: str
    caused_by_app: bool
    worker_lost: bool = False
    in_order: bool = False


@message(192)
class WorkerLost(Message):
    """Backend → DAGScheduler: a worker is gone, and with it what its shuffle service kept on that host."""

    host: str
    text: str


@message(182)
class ExecutorDecommissioned(Message):
    """Backend → DAGScheduler and TaskScheduler: an executor will go away; it finishes what runs and takes no more.

    `host_too` says that its host goes, and with the host what a shuffle service keeps there.
    """

    executor_id: ExecutorId
    host: str
    reason: str
    host_too: bool = False


@message(185)
class SubmitTaskSet(Message):
    """DAGScheduler → TaskScheduler: tasks of one stage attempt.

    A large set comes in chunks of at most 2,048 tasks; `first` tells how many tasks earlier ones had, and `is_last`
    closes it. `partitions` are packed numbers; `shuffle_ids` are the shuffles that the tasks read; `preferences` has
    a row a task of the chunk. The tasks of a barrier stage start together or not at all.
    """

    stage_id: StageId
    stage_attempt: int
    job_id: JobId
    is_map_stage: bool
    binary_id: BinaryId
    epoch: int
    shuffle_ids: tuple[ShuffleId, ...]
    partitions: bytes
    num_tasks: int
    is_last: bool
    properties: dict[str, str]
    preferences: Preferences = Preferences()  # a message is never changed
    is_barrier: bool = False
    first: int = 0


@message(186)
class KillTaskSet(Message):
    """DAGScheduler → TaskScheduler: no attempt of this stage shall run any more."""

    stage_id: StageId
    interrupt: bool
    reason: str


@message(187)
class PartitionCompleted(Message):
    """DAGScheduler → TaskScheduler: an older attempt of the stage delivered this partition; the live one need not."""

    stage_id: StageId
    partition: int


@message(188)
class ResultFetched(Message):
    """TaskScheduler → itself: the result that an attempt had left with its executor is here; None: it is lost."""

    task_id: TaskId
    result: DirectResult | None


@message(191)
class ExecutorLossPending(Message):
    """Backend → TaskScheduler: an executor does not answer; it gets no tasks until `ExecutorRemoved` says why."""

    executor_id: ExecutorId


@message(190)
class ReviveOffers(Message):
    """TaskScheduler → backend: there may be tasks for free slots."""


@message(193)
class CheckSpeculation(Message):
    """TaskScheduler → itself, again and again while there are task sets: look for tasks that are slow."""


@message(194)
class UnschedulableExpired(Message):
    """TaskScheduler → itself: a task set that no executor may run has waited long enough for another one."""

    stage_id: StageId
    stage_attempt: int


@message(195)
class AttemptsProgressed(Message):
    """HeartbeatReceiver → TaskScheduler, where slow tasks are looked for: how far running attempts are.

    For each attempt the records it has read, and the seconds it has run, by its executor's clock.
    """

    task_ids: tuple[TaskId, ...]
    records: tuple[int, ...]
    run_times_s: tuple[float, ...]


@message(363)
class MapOutputMigrated(Message):
    """MapOutputTracker → DAGScheduler: an executor that goes handed this output over; it is found there now."""

    shuffle_id: ShuffleId
    map_id: TaskId
    location: BlockManagerId


@message(366)
class TaskAttemptKilled(Message):
    """TaskScheduler → SparkContext: whether the attempt was running, and is being ended."""

    was_running: bool


@message(365)
class KillTaskAttempt(Ask[TaskAttemptKilled]):
    """SparkContext → TaskScheduler: end one attempt; its task is tried again, and this counts as no failure."""

    task_id: TaskId
    interrupt: bool
    reason: str


ToDagScheduler = (
    JobSubmitted
    | JobCancelled
    | JobGroupCancelled
    | JobTagCancelled
    | StageCancelled
    | AllJobsCancelled
    | ResubmitFailedStages
    | BarrierJobDue
    | ContinueSubmission
    | DirectRunEnded
    | TaskStarted
    | TaskEnded
    | TaskSetFailed
    | ExecutorAdded
    | ExecutorDecommissioned
    | ExecutorRemoved
    | WorkerLost
    | ShuffleForgotten
    | ComponentFailed
    | MapOutputMigrated
)
ToTaskScheduler = (
    SubmitTaskSet
    | KillTaskSet
    | KillTaskAttempt
    | PartitionCompleted
    | ResultFetched
    | ExecutorAdded
    | ExecutorDecommissioned
    | ExecutorLossPending
    | ExecutorRemoved
    | CheckSpeculation
    | UnschedulableExpired
    | AttemptsProgressed
)
ToBackend = ReviveOffers
