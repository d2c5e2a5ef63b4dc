"""Values that the conversations carry: what a task is, how it ended, and the shape of a job's lineage. Tags 1–49."""

import enum
from typing import Literal

from minispark.ids import (
    AccumulatorId,
    BinaryId,
    BlockId,
    ExecutorId,
    JobId,
    RddId,
    ShuffleId,
    StageId,
    TaskId,
)
from minispark.rpc.message import Attachment, Message, message

__all__ = [
    "AccumulatorUpdate",
    "BlockManagerId",
    "DirectResult",
    "ExceptionFailure",
    "ExecutorLostFailure",
    "FetchFailed",
    "IndirectResult",
    "Lineage",
    "LineageNode",
    "MapStatus",
    "NarrowDependency",
    "Preferences",
    "Resubmitted",
    "RunnerLost",
    "ShuffleDependencyInfo",
    "Success",
    "TaskCommitDenied",
    "TaskDescription",
    "TaskEndReason",
    "TaskFailure",
    "TaskKilled",
    "TaskLocation",
    "TaskMetrics",
    "TaskOutcome",
    "TaskResult",
    "TaskResultLost",
    "TaskState",
    "UnknownReason",
]


class TaskState(enum.IntEnum):
    """Where an attempt is; from FINISHED on it has ended."""

    LAUNCHING = 0
    RUNNING = 1
    FINISHED = 2
    FAILED = 3
    KILLED = 4
    LOST = 5

    @property
    def is_finished(self) -> bool:
        """Whether the attempt has ended, well or not."""
        return self >= TaskState.FINISHED


@message(1)
class TaskDescription(Message):
    """Everything an executor needs to run one attempt of one task.

    `partition_data` is the pickled partition (empty: a plain `Partition(partition)`); `shuffle_ids` are the shuffles
    whose map outputs the task reads, which the executor fetches before the task starts.
    """

    task_id: TaskId
    attempt_number: int
    executor_id: ExecutorId
    job_id: JobId
    stage_id: StageId
    stage_attempt: int
    index: int
    partition: int
    binary_id: BinaryId
    epoch: int
    cpus: int
    shuffle_ids: tuple[ShuffleId, ...]
    properties: dict[str, str]
    partition_data: Attachment

    @property
    def name(self) -> str:
        """The attempt's name in logs and errors, as Spark prints it."""
        return f"task {self.index}.{self.attempt_number} in stage {self.stage_id}.{self.stage_attempt}"


@message(2)
class TaskMetrics(Message):
    """What one attempt used; durations in nanoseconds.

    `peak_memory_bytes` is the most that its runner process has held in memory since it was forked: of several
    attempts the largest counts, not the sum.
    """

    run_time_ns: int = 0
    cpu_time_ns: int = 0
    deserialize_time_ns: int = 0
    result_size_bytes: int = 0
    records_read: int = 0
    shuffle_read_bytes: int = 0
    shuffle_read_records: int = 0
    shuffle_write_bytes: int = 0
    shuffle_write_records: int = 0
    spilled_bytes: int = 0
    peak_memory_bytes: int = 0


@message(3)
class AccumulatorUpdate(Message):
    """What one attempt added to one accumulator; `value` is pickled."""

    accumulator_id: AccumulatorId
    value: Attachment


@message(4)
class BlockManagerId(Message):
    """Where blocks live: the executor, its host, its port for block transfer (0: none), its session directory.

    A reader that can read the file named `token` inside `directory` is on the same host and opens the files itself.
    """

    executor_id: ExecutorId
    host: str
    port: int
    directory: str


@message(5)
class DirectResult(Message):
    """A result that travels with the status update.

    With `rows`, each batch unpickles to a list and the result is their concatenation; otherwise there is one batch,
    the pickled result.
    """

    rows: bool
    batches: tuple[Attachment, ...]


@message(6)
class IndirectResult(Message):
    """A result that stayed with the executor as a block, in a file of its session directory.

    `batch_sizes` are the lengths of the batches that follow each other in the file (see `DirectResult`). An empty
    `path` means that the result exceeded `minispark.driver.maxResultSize` and was dropped: only its size is told.
    """

    block_id: BlockId
    size_bytes: int
    rows: bool
    path: str
    batch_sizes: tuple[int, ...]


@message(7)
class MapStatus(Message):
    """Where the output of one map task is and how much each reducer finds there.

    `map_id` is the task id under which the files are written, so that attempts do not collide. `sizes` holds one byte
    per reducer: the size in bytes on a logarithmic scale of base 1.1, 0 for empty (`shuffle.logic.sizes`).
    """

    location: BlockManagerId
    map_id: TaskId
    map_index: int
    sizes: bytes
    total_bytes: int
    records: int


TaskResult = DirectResult | IndirectResult | MapStatus


@message(10)
class Success(Message):
    """The attempt gave its result."""

    result: TaskResult
    metrics: TaskMetrics
    accumulators: tuple[AccumulatorUpdate, ...] = ()


@message(11)
class FetchFailed(Message):
    """A map output could not be read: the map task must run again. Never counted as the task's own failure.

    `map_index` is −1 and `location` None when the locations themselves are missing. `only_this_output` says that the
    reader opened the writer's directory itself and found this one file missing or damaged: the writer's other outputs
    stay trusted.
    """

    location: BlockManagerId | None
    shuffle_id: ShuffleId
    map_id: TaskId
    map_index: int
    reduce_id: int
    message: str
    only_this_output: bool = False


@message(12)
class ExceptionFailure(Message):
    """User code raised.

    `exception` is the pickled exception, empty if it cannot travel; `traceback` is its remote traceback cut to the
    user's frames; `full_traceback` is all of it.
    """

    class_name: str
    description: str
    traceback: str
    full_traceback: str
    exception: Attachment
    metrics: TaskMetrics
    accumulators: tuple[AccumulatorUpdate, ...] = ()


@message(13)
class TaskResultLost(Message):
    """The attempt succeeded, but its result could not be fetched."""

    message: str = ""


@message(14)
class TaskKilled(Message):
    """The attempt was killed on request; not counted as a failure."""

    reason: str
    metrics: TaskMetrics = TaskMetrics()  # a message is never changed
    accumulators: tuple[AccumulatorUpdate, ...] = ()


@message(15)
class TaskCommitDenied(Message):
    """The driver let another attempt commit the output of this partition; not counted as a failure."""

    job_id: JobId
    partition: int
    attempt_number: int


@message(16)
class ExecutorLostFailure(Message):
    """The executor went away while it ran the attempt; counted if the application caused it."""

    executor_id: ExecutorId
    exit_caused_by_app: bool
    reason: str


@message(17)
class RunnerLost(Message):
    """The runner process died while it ran the attempt (crash, `os._exit`, signal, memory limit); counted.

    `exit_code` is None if a signal ended it; `signal` is 0 if it exited; `text` is what faulthandler wrote.
    """

    exit_code: int | None
    signal: int
    text: str


@message(18)
class Resubmitted(Message):
    """A finished map task must run again because its executor, and with it its output, went away."""


@message(19)
class UnknownReason(Message):
    """The attempt ended and nobody knows why."""

    message: str = ""


TaskFailure = (
    FetchFailed
    | ExceptionFailure
    | TaskResultLost
    | TaskKilled
    | TaskCommitDenied
    | ExecutorLostFailure
    | RunnerLost
    | UnknownReason
)
TaskOutcome = Success | TaskFailure
TaskEndReason = TaskOutcome | Resubmitted


@message(34)
class TaskLocation(Message):
    """Where a task finds its data: on a host, or held by one executor there (empty: by any, or by none)."""

    host: str
    executor_id: ExecutorId = ExecutorId("")


@message(35)
class Preferences(Message):
    """Where each of several tasks would like to run.

    Row i is `locations[k] for k in places[starts[i]:starts[i + 1]]`; `starts` (one more than there are rows) and
    `places` are packed numbers. All empty: nobody prefers anything.
    """

    locations: tuple[TaskLocation, ...] = ()
    starts: bytes = b""
    places: bytes = b""


@message(30)
class NarrowDependency(Message):
    """Each partition needs few partitions of that parent.

    Partition i needs `parents[starts[i]:starts[i + 1]]`, both packed numbers; both empty: partition i needs
    i − `shift`, if the parent has such a one.
    """

    rdd_id: RddId
    starts: bytes = b""
    parents: bytes = b""
    shift: int = 0


@message(31)
class ShuffleDependencyInfo(Message):
    """Every partition needs a slice of all map outputs of the parent.

    `binary_id` names the pickled map side (`rdd.tasks.ShuffleMapTask`).
    """

    rdd_id: RddId
    shuffle_id: ShuffleId
    num_reducers: int
    binary_id: BinaryId


@message(32)
class LineageNode(Message):
    """One RDD as the scheduler sees it: no code, no data. `call_site` is the user's line, `name` what made it.

    `preferences` are the RDD's own, a row a partition. `is_cached` says that its blocks may be kept by executors, so
    that the block locations are worth asking for.
    """

    rdd_id: RddId
    name: str
    num_partitions: int
    dependencies: tuple[NarrowDependency | ShuffleDependencyInfo, ...]
    call_site: str
    is_barrier: bool = False
    determinism: Literal["determinate", "unordered", "indeterminate"] = "determinate"
    preferences: Preferences = Preferences()  # a message is never changed
    is_cached: bool = False


@message(33)
class Lineage(Message):
    """A job's RDDs, parents before children; the last one is the RDD the job runs on."""

    nodes: tuple[LineageNode, ...]
