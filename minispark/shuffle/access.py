"""The shuffle as one attempt sees it: `rdd.ports.ShuffleAccess`, made by the task runner for each attempt."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol

from minispark.conf import SparkConf
from minispark.ids import ShuffleId, TaskId
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, MapStatus, TaskDescription
from minispark.rdd.aggregator import Aggregator
from minispark.rdd.closures import dumps_value
from minispark.rdd.dependency import ShuffleDependency
from minispark.shuffle.external_combine import Source, combine_records
from minispark.shuffle.external_sort import sort_records
from minispark.shuffle.files import MapOutputFile, remove_attempt_files
from minispark.shuffle.logic.map_outputs import MapOutputsView, unpack_map_outputs
from minispark.shuffle.logic.sizes import encode_sizes
from minispark.shuffle.read_ahead import ReadAhead
from minispark.shuffle.reader import ReadingPlace, ReadingTask, read_partition
from minispark.shuffle.task_memory import FOR_CONTAINERS, TaskMemory
from minispark.shuffle.writer import write_map_output

__all__ = ["AttemptContext", "Shuffles"]


class AttemptContext(ReadingTask, Protocol):
    """What the shuffle needs of an attempt."""

    @property
    def task(self) -> TaskDescription:
        """What the attempt was launched with."""

    def add_task_failure_listener(self, listener: Callable[[Any, BaseException], object]) -> None:
        """Have a function run if the attempt fails or is killed."""


class Shuffles:
    """Writes map outputs into the executor's session directory and reads those of others.

    Args:
        location: where the executor's blocks are.
        conf: the application's settings.
        map_outputs: the packed map statuses of a shuffle, as of an epoch or later.
        context: the attempt.
        ask: asks the executor and waits; None: there is nobody to fetch what is elsewhere.
        read_ahead: what the runner's tasks keep for each other of map outputs; None: nothing.
    """

    def __init__(
        self,
        location: BlockManagerId,
        conf: SparkConf,
        map_outputs: Callable[[ShuffleId, int], bytes | bytearray | memoryview],
        context: AttemptContext,
        ask: Callable[[RunnerRequest], RunnerReply] | None = None,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        self.ask = ask
        self.read_ahead = read_ahead
        self.location = location
        self.conf = conf
        self.map_outputs = map_outputs
        self.context = context
        self.memory = TaskMemory(
            location.directory,
            TaskId(context.task.task_id),
            context.metrics,
            int(conf.memory_task_size * FOR_CONTAINERS),
            conf.shuffle_spill_force_threshold,
            compress=conf.shuffle_spill_compress,
            guarded=conf.executor_pool == "process",  # a process of its own for each attempt
        )
        context.add_task_failure_listener(lambda context, error: self.memory.close_files())

    def write(
        self,
        dependency: ShuffleDependency[Any, Any, Any],
        map_index: int,
        records: Iterable[tuple[Any, Any]],
    ) -> MapStatus:
        """Write one map output (combining first if the dependency says so) and return where it is.

        Args:
            dependency: partitioner, aggregator and shuffle id.
            map_index: the map partition.
            records: (key, value) pairs.

        Raises:
            TypeError: a key cannot be hashed, or a record is no pair.
            PicklingError: a key or a value cannot be pickled.
            StorageError: the disk is full.
        """
        map_id = TaskId(self.context.task.task_id)
        directory = self.location.directory
        # A kill may strike while files are opened, or once they are committed.
        self.context.add_task_failure_listener(lambda context, error: remove_attempt_files(directory, map_id))
        output = partial(
            MapOutputFile,
            directory,
            dependency.shuffle_id,
            map_id,
            dependency.partitioner.num_partitions,
            self.conf.shuffle_checksum,
        )
        lengths, count = write_map_output(
            dependency, records, output, self.memory, compress=self.conf.shuffle_compress, fallback=dumps_value
        )
        total_bytes = sum(lengths)
        self.context.metrics.shuffle_write_bytes += total_bytes
        self.context.metrics.shuffle_write_records += count
        return MapStatus(self.location, map_id, map_index, encode_sizes(lengths), total_bytes, count)

    def read(self, dependency: ShuffleDependency[Any, Any, Any], reduce_partition: int) -> Iterator[tuple[Any, Any]]:
        """Yield one reducer's pairs: combined if the dependency has an aggregator, else as written.

        Raises:
            FetchFailedError: a map output is missing or damaged.
        """
        outputs = view_of(bytes(self.map_outputs(dependency.shuffle_id, self.context.task.epoch)))
        conf, task = self.conf, self.context.task
        place = ReadingPlace(
            self.location.directory,
            conf.shuffle_checksum,
            conf.shuffle_read_host_local,
            conf.reducer_max_size_in_flight,
            self.ask,
            self.read_ahead,
            (task.job_id, task.stage_id, task.stage_attempt),
        )
        return read_partition(dependency, reduce_partition, outputs, self.context, place, self.memory)

    def combined(self, aggregator: Aggregator[Any, Any], sources: Sequence[Source]) -> Iterator[tuple[Any, Any]]:
        """Yield the combined value of each key of pairs that are in this partition already.

        Raises:
            StorageError: there is no room in memory nor on disk.
        """
        return combine_records(self.memory, aggregator, sources)

    def in_order(self, records: Iterable[Any], key: Callable[[Any], Any], *, reverse: bool = False) -> Iterator[Any]:
        """Yield records sorted, equal ones in the order in which they come.

        Raises:
            StorageError: there is no room in memory nor on disk.
        """
        return sort_records(self.memory, records, key, reverse=reverse)


@lru_cache(maxsize=8)
def view_of(packed: bytes) -> MapOutputsView:
    """Unpack map statuses, once for all tasks of a runner that get the same."""
    return unpack_map_outputs(packed)
