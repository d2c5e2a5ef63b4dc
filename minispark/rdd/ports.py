"""What computation needs from above: protocols that the executor and the context fulfil.

A task gets its `TaskContext` as an argument; there is no global environment to look things up in.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple

from minispark.conf import SparkConf
from minispark.ids import RddId, ShuffleId
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import MapStatus, TaskMetrics

if TYPE_CHECKING:
    import asyncio

    from minispark.rdd.accumulators import Accumulator, AccumulatorParam
    from minispark.rdd.aggregator import Aggregator
    from minispark.rdd.dependency import ShuffleDependency
    from minispark.rdd.files import JobOutput
    from minispark.rdd.node import Node

__all__ = ["BlockAccess", "JobRunner", "MutableTaskMetrics", "ShuffleAccess", "TaskContext"]

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")


class MutableTaskMetrics:
    """The metrics of a running attempt, counted up where the work is done; see `messages.task.TaskMetrics`."""

    __slots__ = tuple(TaskMetrics.__dataclass_fields__)

    def __init__(self) -> None:
        # Written out, like `snapshot`: a loop over the names takes three times as long, in every task.
        self.run_time_ns = 0
        self.cpu_time_ns = 0
        self.deserialize_time_ns = 0
        self.result_size_bytes = 0
        self.records_read = 0
        self.shuffle_read_bytes = 0
        self.shuffle_read_records = 0
        self.shuffle_write_bytes = 0
        self.shuffle_write_records = 0
        self.spilled_bytes = 0
        self.peak_memory_bytes = 0

    def memory_share(self) -> int:
        """Return how many bytes the executor lets the attempt's containers hold now; 0: what the settings say."""
        return 0

    def holds(self, size_bytes: int) -> None:
        """Tell the executor how many bytes they hold now, if it wants to know."""

    def snapshot(self) -> TaskMetrics:
        """Return the values of now as a message."""
        return TaskMetrics(
            self.run_time_ns,
            self.cpu_time_ns,
            self.deserialize_time_ns,
            self.result_size_bytes,
            self.records_read,
            self.shuffle_read_bytes,
            self.shuffle_read_records,
            self.shuffle_write_bytes,
            self.shuffle_write_records,
            self.spilled_bytes,
            self.peak_memory_bytes,
        )


class TaskContext(Protocol):
    """What a running attempt knows and may do. Source: Spark's TaskContext."""

    metrics: MutableTaskMetrics

    @property
    def stage_id(self) -> int:
        """The stage this task belongs to."""

    @property
    def stage_attempt_number(self) -> int:
        """How many times the stage was attempted before."""

    @property
    def partition_id(self) -> int:
        """The partition this task computes."""

    @property
    def attempt_number(self) -> int:
        """How many times this task was attempted before."""

    @property
    def task_attempt_id(self) -> int:
        """The attempt's id, unique in the application."""

    def get_local_property(self, key: str) -> str | None:
        """Return a property of the job (group, description, pool, …)."""

    def is_interrupted(self) -> bool:
        """Tell whether the attempt was asked to stop."""

    def is_completed(self) -> bool:
        """Tell whether the attempt has ended."""

    def is_failed(self) -> bool:
        """Tell whether the attempt has failed."""

    def request_commit(self) -> None:
        """Ask to put this attempt's output in place; one attempt of each task may.

        Raises:
            CommitDenied: another attempt does.
        """

    def add_task_completion_listener(self, listener: "Callable[[TaskContext], object]") -> None:
        """Have a function run at the end, whatever it is; last registered first. Runs now if the task has ended."""

    def add_task_failure_listener(self, listener: "Callable[[TaskContext, BaseException], object]") -> None:
        """Have a function run if the attempt fails, before the completion listeners. Runs now if it has failed."""

    @property
    def shuffle(self) -> "ShuffleAccess":
        """The shuffle, as this attempt sees it."""

    blocks: "BlockAccess | None"


class BlockAccess(Protocol):
    """Persisted partitions, given to tasks; implemented by `storage.runner_blocks`."""

    def get_or_compute(
        self, rdd: "Node[Any]", partition: int, compute: Callable[[], Iterator[Any]], task: TaskContext
    ) -> Iterator[Any]:
        """Return the records of a persisted partition; one that is not kept is computed, and kept if there is room.

        Args:
            rdd: the persisted RDD's node.
            partition: its partition.
            compute: computes it.
            task: the attempt.
        """


class ShuffleAccess(Protocol):
    """The two ends of a shuffle, given to tasks; implemented by `shuffle.access`."""

    def write(
        self,
        dependency: "ShuffleDependency[Any, Any, Any]",
        map_index: int,
        records: Iterable[tuple[Any, Any]],
    ) -> MapStatus:
        """Write one map output (combining first if the dependency says so) and return where it is.

        Args:
            dependency: partitioner, aggregator and shuffle id.
            map_index: the map partition.
            records: (key, value) pairs.
        """

    def read(
        self, dependency: "ShuffleDependency[Any, Any, Any]", reduce_partition: int
    ) -> Iterator[tuple[Any, Any]]:
        """Yield one reducer's pairs: combined if the dependency has an aggregator, else as written.

        Raises:
            FetchFailedError: a map output is missing or damaged.
        """

    def combined(
        self,
        aggregator: "Aggregator[Any, Any]",
        sources: Sequence[tuple[Callable[[Any, dict[Any, Any]], None], Iterable[tuple[Any, Any]]]],
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the combined value of each key of pairs that are in this partition already, in bounded memory.

        Args:
            aggregator: merges combined values.
            sources: one after the other: pairs, and the loop of the aggregator that combines them into a dict.
        """

    def in_order(self, records: Iterable[Any], key: Callable[[Any], Any], *, reverse: bool = False) -> Iterator[Any]:
        """Yield records sorted, equal ones in the order in which they come, in bounded memory.

        Args:
            records: what is sorted.
            key: what of a record is compared.
            reverse: the greatest first.
        """


class JobRunner(Protocol):
    """What the fluent RDD needs of its context; implemented by `context.SparkContext`."""

    @property
    def conf(self) -> SparkConf:
        """The application's settings."""

    @property
    def default_parallelism(self) -> int:
        """Partitions of parallelize and of shuffles when not said otherwise."""

    def new_rdd_id(self) -> RddId:
        """Return the next RDD id."""

    def new_shuffle_id(self) -> ShuffleId:
        """Return the next shuffle id."""

    def run_job(
        self,
        rdd: Any,
        function: "Callable[[TaskContext, Iterator[T]], U]",
        partitions: Sequence[int] | None = None,
        allow_local: bool = False,
    ) -> Coroutine[Any, Any, list[U]]:
        """Run a function over partitions (all by default) and return its results in their order.

        With `allow_local` a single one may go straight to an idle runner.
        """

    def persist(self, node: "Node[Any]", level: StorageLevel) -> None:
        """Have the partitions of an RDD kept, when a job computes them."""

    def unpersist(self, node: "Node[Any]") -> None:
        """Have the partitions of an RDD dropped."""

    def checkpoint(self, node: "Node[Any]", is_local: bool) -> None:
        """Have an RDD kept by a checkpoint, after the next job that computes it."""

    def accumulator(self, initial: T, param: "AccumulatorParam[T] | None" = None) -> "Accumulator[T]":
        """Make a value that tasks add to."""

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        """Run a coroutine that the context owns until it ends; whoever spawned it may cancel it."""

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a blocking function off the loop and return its result; also while the context stops."""

    async def give_up(self, output: "JobOutput") -> None:
        """Remove what a job that failed has written, as far as its file system answers in time."""
