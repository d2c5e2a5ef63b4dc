"""One attempt of one task, from its description to its outcome: decode, run, serialise, classify.

`runner_main`, `thread_pool` and `inline_pool` call `TaskRunner.run`; it never raises. It is synchronous
and knows nothing of how its questions reach the executor. Source: Spark's `Executor.TaskRunner`.
"""

from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol

from minispark.conf import SparkConf
from minispark.errors import TaskKilled
from minispark.executor.barrier_context import BarrierTaskContext
from minispark.executor.current_task import current_task_context, set_current
from minispark.executor.failures import describe
from minispark.executor.known_outputs import KnownMapOutputs
from minispark.executor.metrics import SYSTEM, Clocks, TaskClock
from minispark.executor.results import ResultLimits, discard, serialise
from minispark.executor.task_context import TaskContextImpl
from minispark.executor.task_files import require_files
from minispark.ids import BinaryId, BlockId, BroadcastId
from minispark.messages import task as values
from minispark.messages.coordination import BARRIER_ADDRESSES
from minispark.messages.distribution import FILES_VERSION
from minispark.messages.runner import (
    Binary,
    BroadcastFile,
    NeedBinary,
    NeedBroadcast,
    RunnerReply,
    RunnerRequest,
)
from minispark.messages.task import (
    AccumulatorUpdate,
    BlockManagerId,
    MapStatus,
    Success,
    TaskDescription,
    TaskOutcome,
    TaskResult,
)
from minispark.rdd import closures, rdd, sources
from minispark.rdd.accumulators import Additions, has_additions, pack_additions, set_additions
from minispark.rdd.node import Partition
from minispark.rdd.ports import MutableTaskMetrics, ShuffleAccess
from minispark.rdd.runner_side import install_asker
from minispark.rdd.tasks import ShuffleMapTask, TaskWork
from minispark.shuffle.access import Shuffles
from minispark.shuffle.read_ahead import ReadAhead
from minispark.storage.broadcast_file import map_file, places_in
from minispark.storage.runner_blocks import RunnerBlocks

__all__ = ["RunnerServices", "TaskRunner", "UserCode"]

MAX_WORKS: Final = 64
MAX_WORK_BYTES: Final = 64 << 20

# What binaries refer to by name: all nodes and actions. Imported here, and so before runners are forked, it is
# imported once, not in the first task of each runner, and its pages are shared.
NAMED_BY_BINARIES: Final = (rdd, sources)

# Not masked by a fetch failure: rerunning the map tasks would not help.
FATAL: Final = (MemoryError,)


class UserCode(Protocol):
    """The bracket around user code: where a kill may strike.

    As a context manager it raises TaskKilled on entry if the attempt was killed before, and from then until exit
    wherever a kill reaches the code inside; at most once, and never after exit.
    """

    @property
    def killed(self) -> bool:
        """Whether the current attempt was asked to end."""

    @property
    def reason(self) -> str:
        """Why; empty if it was not."""

    def __enter__(self) -> object:
        """Let kills in."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let no kill in any more."""


class RunnerServices(Protocol):
    """What a runner gives to the tasks it runs."""

    @property
    def location(self) -> BlockManagerId:
        """Where the executor's blocks are: what the tasks write is found there."""

    @property
    def conf(self) -> SparkConf:
        """The application's settings."""

    @property
    def user_code(self) -> UserCode:
        """The bracket of this runner."""

    def new_metrics(self) -> MutableTaskMetrics:
        """Return the metrics of the attempt that begins; its executor sees their counters."""

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask the executor and wait for its answer.

        Raises:
            MiniSparkError: it could not answer; the text says why.
        """


class TaskRunner:
    """Runs attempts, one after another; keeps what the next ones can use again.

    Args:
        services: the runner's side.
        clocks: where durations come from.
    """

    def __init__(self, services: RunnerServices, clocks: Clocks = SYSTEM) -> None:
        self.services = services
        self.user_code = services.user_code
        self.clocks = clocks
        self.limits = ResultLimits.of(services.conf)
        self.max_additions_bytes = services.conf.rpc_message_max_size // 2
        self.works = Works()
        install_asker(self.ask)
        self.map_outputs = KnownMapOutputs(services.ask, self.large_binary)
        self.read_ahead = ReadAhead()
        self.blocks = RunnerBlocks(
            services.ask,
            closures.dumps_value,
            checks_records=services.conf.storage_check_mutation,
            has_added=has_additions,
        )

    def run(self, task: TaskDescription) -> TaskOutcome:
        """Run an attempt and say how it ended; nothing of it runs afterwards."""
        metrics = self.services.new_metrics()
        clock = TaskClock(self.clocks, metrics)
        kind = BarrierTaskContext if BARRIER_ADDRESSES in task.properties else TaskContextImpl
        context = kind(task, metrics, self.user_code, self.open_shuffle, self.services.ask)
        context.blocks = self.blocks
        additions: Additions = {}
        set_current(context)
        set_additions(additions)
        try:
            result, updates = self.result_of(task, context, clock, additions)
            if not self.user_code.killed:
                clock.stop()
                return Success(result, metrics.snapshot(), updates)
            raise TaskKilled(self.user_code.reason)  # it came too late to interrupt, not too late to count
        except BaseException as error:  # noqa: BLE001 — whatever user code does is an outcome
            self.works.forget(task.binary_id)  # what a failed attempt left behind in its closure is its own
            discard(task.task_id, self.services.location.directory)
            context.end_with(error)
            clock.stop()
            return self.classify(error, context, additions)
        finally:
            set_current(None)
            set_additions(None)

    def result_of(
        self, task: TaskDescription, context: TaskContextImpl, clock: TaskClock, additions: Additions
    ) -> tuple[TaskResult, tuple[AccumulatorUpdate, ...]]:
        """Decode, run and serialise; raises whatever user code raises.

        Decoding is outside of the bracket: a kill inside an import would leave half a module behind.
        """
        if FILES_VERSION in task.properties:
            require_files(task, self.services.ask)
        work = self.works.get(task.binary_id) or self.load(task.binary_id)
        closures.activate(work)
        partition = closures.loads_value(task.partition_data) if task.partition_data else Partition(task.partition)
        clock.decoded()
        with self.user_code:
            context.kill_task_if_interrupted()
            try:
                value = work.run(partition, context)
            except StopIteration as error:
                # Whoever iterates over this would take it for the end of its records.
                raise RuntimeError("user code raised StopIteration outside of an iterator") from error
            context.mark_completed()
            if context.fetch_failure is not None:
                raise context.fetch_failure
            updates = self.pack(additions) if additions else ()
            if isinstance(value, MapStatus) and isinstance(work, ShuffleMapTask):
                return value, updates
            result = serialise(value, task.task_id, self.limits, self.services.location.directory)
        context.metrics.result_size_bytes = size_of(result)
        return result, updates

    def drop_blocks(self, block_ids: Iterable[BlockId]) -> None:
        """Let go of the objects of persisted partitions."""
        self.blocks.drop(block_ids)

    def pack(self, additions: Additions) -> tuple[AccumulatorUpdate, ...]:
        """Pickle what an attempt that succeeds added to accumulators."""
        return pack_additions(additions.values(), limit_bytes=self.max_additions_bytes)

    def pack_of_failed(self, additions: Additions) -> tuple[AccumulatorUpdate, ...]:
        """Pickle what counts although the attempt failed, if it can be; never raises."""
        counted = [addition for addition in additions.values() if addition.accumulator.count_failed_values]
        with suppress(Exception):  # the user's __reduce__; the attempt's own failure is what is reported
            return pack_additions(counted, limit_bytes=self.max_additions_bytes)
        return ()

    def load(self, binary_id: BinaryId) -> TaskWork:
        """Get a stage's work from the executor and decode it."""
        data = self.binary(binary_id)
        work: TaskWork = self.prepare(closures.loads(data))
        self.works.put(binary_id, work, len(data))
        return work

    def binary(self, binary_id: BinaryId) -> bytes | bytearray | memoryview:
        """Ask for the content of a binary."""
        answer = self.services.ask(NeedBinary(binary_id))
        assert isinstance(answer, Binary)
        return answer.data if answer.broadcast_id is None else self.large_binary(answer.broadcast_id)

    def large_binary(self, broadcast_id: BroadcastId) -> memoryview:
        """Map bytes of the driver that are handed out as a broadcast."""
        answer = self.services.ask(NeedBroadcast(broadcast_id))
        assert isinstance(answer, BroadcastFile)
        content = memoryview(map_file(answer.path))
        return content[places_in(content)[0]]

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask for a value that is rebuilt, on behalf of the task of this thread."""
        context = current_task_context()
        ask = self.services.ask if context is None or context.ask is None else context.ask
        return ask(request)

    def prepare(self, work: TaskWork) -> TaskWork:
        """Change freshly decoded work before it is kept; for pools that watch their tasks from inside."""
        return work

    def open_shuffle(self, context: TaskContextImpl) -> ShuffleAccess:
        """Make an attempt's view of the shuffle."""
        services = self.services
        return Shuffles(services.location, services.conf, self.map_outputs.of, context, services.ask, self.read_ahead)

    def classify(self, error: BaseException, context: TaskContextImpl, additions: Additions) -> TaskOutcome:
        """Say what an exception means for the scheduler; the first that applies counts.

        What was asked of the attempt, or was noted by it, decides, never the class of the exception: user code may
        raise any, and an outcome that is nobody's fault would be tried again for ever.
        """
        metrics = context.metrics.snapshot()
        if self.user_code.killed:
            return values.TaskKilled(self.user_code.reason, metrics, self.pack_of_failed(additions))
        fetch = context.fetch_failure
        if fetch is not None and not isinstance(error, FATAL):
            assert isinstance(fetch.failure, values.FetchFailed)
            return fetch.failure
        if context.commit_denied:
            task = context.task
            return values.TaskCommitDenied(task.job_id, task.partition, task.attempt_number)
        return describe(error, metrics, self.pack_of_failed(additions))


class Works:
    """The decoded work of the stages that ran here last, so that only the first task of each pays for decoding."""

    def __init__(self) -> None:
        self.entries: dict[BinaryId, tuple[TaskWork, int]] = {}
        self.latest: BinaryId | None = None
        self.size_bytes = 0

    def get(self, binary_id: BinaryId) -> TaskWork | None:
        """Return a stage's work if it is here."""
        entry = self.entries.get(binary_id)
        if entry is None:
            return None
        if binary_id != self.latest:
            del self.entries[binary_id]
            self.entries[binary_id] = entry  # the last of a dict is the one used last
            self.latest = binary_id
        return entry[0]

    def put(self, binary_id: BinaryId, work: TaskWork, size_bytes: int) -> None:
        """Keep a stage's work, and drop those used longest ago beyond the bounds."""
        self.entries[binary_id] = (work, size_bytes)
        self.latest = binary_id
        self.size_bytes += size_bytes
        while len(self.entries) > 1 and (len(self.entries) > MAX_WORKS or self.size_bytes > MAX_WORK_BYTES):
            self.forget(next(iter(self.entries)))

    def forget(self, binary_id: BinaryId) -> None:
        """Drop a stage's work; the next task of it decodes again."""
        entry = self.entries.pop(binary_id, None)
        if entry is not None:
            self.size_bytes -= entry[1]


def size_of(result: values.DirectResult | values.IndirectResult) -> int:
    """Return the bytes of a pickled result."""
    if isinstance(result, values.IndirectResult):
        return result.size_bytes
    return sum(map(len, result.batches))
