"""Stages as data: what the DAG scheduler knows of each, and nothing of how it is run. Source: Spark's Stage."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from minispark.ids import BinaryId, JobId, RddId, ShuffleId, StageId
from minispark.messages.listener import StageInfo
from minispark.messages.task import TaskMetrics
from minispark.scheduler.logic.lineage import CutLineage

VALUES_OF = attrgetter(*TaskMetrics.__dataclass_fields__)
BATCH = 64  # metrics that are added up together: column by column takes half as long as one by one

__all__ = ["MapStage", "PartitionSet", "ResultStage", "Stage", "StageAttempt"]


@dataclass(slots=True)
class StageAttempt:
    """What is told to listeners about one attempt of a stage, and the sums of its tasks' metrics."""

    number: int
    num_tasks: int
    submitted_s: float
    completed_s: float = 0.0
    failure: str = ""
    totals: TaskMetrics = TaskMetrics()  # a message is never changed
    batch: list[TaskMetrics] = field(default_factory=list)

    def add(self, metrics: TaskMetrics) -> None:
        """Count a successful task's metrics in."""
        self.batch.append(metrics)
        if len(self.batch) == BATCH:
            self.metrics()

    def metrics(self) -> TaskMetrics:
        """Return the sums so far; of peaks, the largest."""
        if self.batch:
            rows = map(VALUES_OF, (self.totals, *self.batch))
            *counts, peaks = zip(*rows, strict=True)
            self.totals = TaskMetrics(*[*map(sum, counts), max(peaks)])
            self.batch.clear()
        return self.totals


@dataclass(slots=True, eq=False)
class Stage:
    """A set of tasks that run the same work over the partitions of one RDD, cut from its neighbours at shuffles.

    Attributes:
        stage_id: parents have lower ids than their children.
        rdd_id: the last RDD of the stage.
        name: for people, "map at app.py:7".
        call_site: the user's line that made that RDD.
        num_partitions: partitions of that RDD.
        binary_id: the pickled work.
        parents: the map stages it reads.
        shuffle_ids: the shuffles it reads, which are its parents' outputs.
        lineage: that of the latest job that needs it.
        job_ids: the active jobs that need it.
        next_attempt: number of the next attempt.
        attempt: the latest attempt, if there was one.
        failed_attempts: attempts that failed by fetch failures since the last success.
        is_indeterminate: another attempt may write other records.
        is_barrier: its tasks start together and fail together.
        first_valid_attempt: what attempts before this one deliver is out of date, see `rollback`.
    """

    stage_id: StageId
    rdd_id: RddId
    name: str
    call_site: str
    num_partitions: int
    binary_id: BinaryId
    parents: "list[MapStage]"
    shuffle_ids: tuple[ShuffleId, ...]
    first_job_id: JobId
    lineage: CutLineage
    job_ids: set[JobId] = field(default_factory=set)
    next_attempt: int = 0
    attempt: StageAttempt | None = None
    failed_attempts: set[int] = field(default_factory=set)
    is_indeterminate: bool = False
    is_barrier: bool = False
    first_valid_attempt: int = 0

    def info(self) -> StageInfo:
        """Describe the latest attempt, or the stage before its first one, for listeners."""
        attempt = self.attempt or StageAttempt(0, self.num_partitions, 0.0)
        return StageInfo(
            self.stage_id,
            attempt.number,
            self.name,
            attempt.num_tasks,
            tuple(parent.stage_id for parent in self.parents),
            isinstance(self, MapStage),
            attempt.submitted_s,
            attempt.completed_s,
            attempt.failure,
            attempt.metrics(),
            self.shuffle_id if isinstance(self, MapStage) else ShuffleId(-1),
        )


class PartitionSet:
    """A set of partition numbers, a byte each, made in no time for a very large stage."""

    __slots__ = ("count", "flags")

    def __init__(self, partitions: Sequence[int] = (), num_partitions: int = 0) -> None:
        self.count = len(partitions)
        if self.count == num_partitions:
            self.flags = bytearray(b"\1") * num_partitions
        else:
            self.flags = bytearray(num_partitions)
            for partition in partitions:
                self.flags[partition] = 1

    def add(self, partition: int) -> None:
        """Put a number in."""
        self.count += not self.flags[partition]
        self.flags[partition] = 1

    def discard(self, partition: int) -> None:
        """Take a number out, if it is there."""
        self.count -= self.flags[partition]
        self.flags[partition] = 0

    def __len__(self) -> int:
        return self.count

    def __contains__(self, partition: int) -> bool:
        return bool(self.flags[partition])


@dataclass(slots=True, eq=False)
class MapStage(Stage):
    """A stage that writes map outputs.

    Attributes:
        shuffle_id: the shuffle it writes.
        num_reducers: partitions on the other side.
        pending: partitions of the latest attempt without an end yet.
        map_jobs: the active jobs whose last stage this is.
    """

    shuffle_id: ShuffleId = ShuffleId(-1)
    num_reducers: int = 0
    pending: PartitionSet = field(default_factory=PartitionSet)
    map_jobs: dict[JobId, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class ResultStage(Stage):
    """The stage that applies an action's function.

    Attributes:
        partitions: the partitions the job wants, each once, in the order of its results.
        position_of: partition → position in `partitions`; None when they are 0 … n − 1 in order.
        finished: one byte per position, 1 when its result was delivered.
        num_finished: how many are.
    """

    partitions: "array[int]" = field(default_factory=lambda: array("i"))
    position_of: dict[int, int] | None = None
    finished: bytearray = field(default_factory=bytearray)
    num_finished: int = 0

    def position(self, partition: int) -> int:
        """Return the position of a partition's result."""
        return partition if self.position_of is None else self.position_of[partition]

    def missing(self) -> Sequence[int]:
        """Return the partitions without a result, in order."""
        if not self.num_finished:
            return self.partitions
        return [partition for partition, done in zip(self.partitions, self.finished, strict=True) if not done]
