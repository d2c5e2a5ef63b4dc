"""Reading one reducer's share of all map outputs. Runs in a runner, inside of a task.

Blocks whose files can be opened here are read from them; the others the executor fetches meanwhile (`remote`).
A block that cannot be read becomes a `FetchFailedError`, from which the scheduler learns which map task to run again.
What unpickling a record or merging it raises is the user's and passes through.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Protocol

from minispark.errors import FetchFailedError, MapOutputMissing
from minispark.ids import ShuffleId, TaskId
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, FetchFailed
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.ports import MutableTaskMetrics
from minispark.shuffle.external_combine import combine_records
from minispark.shuffle.files import MapOutputDamaged, read_segment
from minispark.shuffle.logic.fetch_plan import FetchRequest, plan_fetches
from minispark.shuffle.logic.map_outputs import MapOutputLocation, MapOutputsView
from minispark.shuffle.pairs import load_pairs
from minispark.shuffle.read_ahead import ReadAhead
from minispark.shuffle.remote import NotFetched, RemoteBlocks
from minispark.shuffle.task_memory import TaskMemory

__all__ = ["ReadingPlace", "ReadingTask", "read_partition"]

JOINED_BYTES: Final = 8 << 10  # of small batches: what is done for a run of pairs is then not done for each


@dataclass(frozen=True, slots=True)
class ReadingPlace:
    """Where a reader is, and by which rules it reads.

    Attributes:
        directory: the session directory of its executor.
        verify: whether checksums of files are verified.
        read_host_local: whether files of other executors are opened, where they can be.
        max_bytes_in_flight: bytes asked of other processes and not yet read.
        ask: asks the executor and waits; None: there is nobody to ask.
        read_ahead: keeps small segments of the next reducers; None: each is read when its reducer comes.
        stage_attempt: the numbers of the job, the stage and its attempt; `read_ahead` trusts nothing older.
    """

    directory: str
    verify: bool = True
    read_host_local: bool = True
    max_bytes_in_flight: int = 48 << 20
    ask: Callable[[RunnerRequest], RunnerReply] | None = None
    read_ahead: ReadAhead | None = None
    stage_attempt: tuple[int, ...] = ()


class ReadingTask(Protocol):
    """What a reader needs of the attempt it reads for."""

    metrics: MutableTaskMetrics

    def kill_task_if_interrupted(self) -> None:
        """Raise TaskKilled if the attempt was asked to stop."""

    def fetch_failed(self, error: FetchFailedError) -> None:
        """Note that a map output could not be read, even if user code hides it."""


def read_partition(
    dependency: ShuffleDependency[Any, Any, Any],
    reducer: int,
    outputs: MapOutputsView,
    task: ReadingTask,
    place: ReadingPlace,
    memory: TaskMemory,
) -> Iterator[tuple[Any, Any]]:
    """Yield one reducer's pairs: combined if the dependency has an aggregator, else as written, in the order of maps.

    Args:
        dependency: which shuffle, and how values are combined.
        reducer: the partition.
        outputs: where the map outputs are.
        task: counts what is read, is told of failures, and says when to stop.
        place: where it is read.
        memory: the attempt's share.

    Raises:
        FetchFailedError: a map output is missing or damaged.
        TypeError: a key cannot be hashed.
    """
    reader = Reader(dependency.shuffle_id, reducer, task, place)
    # `chain` and `zip` are C: per pair no Python frame is entered.
    runs = (zip(keys, values, strict=True) for keys, values in reader.batches(outputs))
    if dependency.aggregator is None:
        return chain.from_iterable(runs)
    aggregator = dependency.aggregator
    loop = aggregator.combine_combiners if dependency.map_side_combine else aggregator.combine_values
    return combine_records(memory, aggregator, [(loop, chain.from_iterable(runs))])


class Reader:
    """Reads one reducer's blocks; the parameters are those of `read_partition`."""

    def __init__(self, shuffle_id: ShuffleId, reducer: int, task: ReadingTask, place: ReadingPlace) -> None:
        self.shuffle_id = shuffle_id
        self.reducer = reducer
        self.task = task
        self.place = place

    def batches(self, outputs: MapOutputsView) -> Iterator[tuple[list[Any], list[Any]]]:
        """Yield columns of keys and values, block after block."""
        try:
            plan = plan_fetches(
                outputs.blocks(self.reducer), self.can_open, self.reducer, self.place.max_bytes_in_flight
            )
        except MapOutputMissing as error:
            raise self.failed(None, str(error)) from error
        fetched = self.fetch(plan.remote)  # before the files are read: the executor fetches meanwhile
        window_bytes = ReadAhead.window_bytes(len(plan.local))
        if self.place.read_ahead is not None and window_bytes:
            yield from self.from_windows(plan.local, self.place.read_ahead, window_bytes)
        else:
            yield from self.loaded(chain.from_iterable(map(self.segment, plan.local)))
        yield from self.loaded(self.remote(fetched))

    def loaded(self, batches: Iterable[bytes]) -> Iterator[tuple[list[Any], list[Any]]]:
        """Yield the columns of batches, and count them."""
        for batch in batches:
            self.task.kill_task_if_interrupted()
            keys, values = load_pairs(batch)
            self.count(len(batch), len(keys))
            yield keys, values

    def count(self, size_bytes: int, records: int) -> None:
        """Count what was read."""
        self.task.metrics.shuffle_read_bytes += size_bytes
        self.task.metrics.shuffle_read_records += records

    def fetch(self, requests: tuple[FetchRequest, ...]) -> RemoteBlocks | None:
        """Have blocks of other processes fetched; None if there are none."""
        for request in requests:
            there = request.location
            if not there.port or self.place.ask is None:
                raise self.failed(
                    request.blocks[0],
                    f"executor {there.executor_id} on {there.host} is not on this host: "
                    f"{there.directory} cannot be read, and nobody serves it",
                )
        if not requests:
            return None
        assert self.place.ask is not None
        return RemoteBlocks(self.shuffle_id, self.reducer, requests, self.place.ask)

    def remote(self, fetched: RemoteBlocks | None) -> Iterator[bytes]:
        """Yield the batches of fetched blocks."""
        if fetched is None:
            return
        try:
            yield from fetched.batches()
        except NotFetched as error:
            there = error.block.location
            raise self.failed(
                error.block,
                f"from executor {there.executor_id} at {there.host}:{there.port}: {error}",
                only_this_output=error.only_this_output,
            ) from error

    def from_windows(
        self, blocks: tuple[MapOutputLocation, ...], ahead: ReadAhead, window_bytes: int
    ) -> Iterator[tuple[list[Any], list[Any]]]:
        """Yield the columns of many blocks whose files can be opened here; small ones are read ahead, and joined."""
        keys: list[Any] = []
        values: list[Any] = []
        size = 0
        batches_of, largest = ahead.of(self.shuffle_id).batches, ReadAhead.largest_segment(window_bytes)
        reducer, verify = self.reducer, self.place.verify
        directories = dict.fromkeys(block.location.directory for block in blocks)
        stamps = {directory: ReadAhead.stamp(directory, self.place.stage_attempt) for directory in directories}
        for block in blocks:
            directory, batches = block.location.directory, None
            stamp = stamps[directory]
            if stamp is not None and block.size_bytes <= largest:
                batches = batches_of(directory, block.map_id, reducer, stamp, window_bytes, verify=verify)
            for batch in batches or ():
                more_keys, more_values = load_pairs(batch)
                keys += more_keys
                values += more_values
                size += len(batch)
            if size >= JOINED_BYTES or (size and batches is None):
                self.task.kill_task_if_interrupted()
                self.count(size, len(keys))
                yield keys, values
                keys, values, size = [], [], 0
            if batches is None:
                yield from self.loaded(self.segment(block))
        if size:
            self.count(size, len(keys))
            yield keys, values

    def segment(self, block: MapOutputLocation) -> Iterator[bytes]:
        """Yield the batches of one block."""
        directory = block.location.directory
        try:
            yield from read_segment(directory, self.shuffle_id, block.map_id, self.reducer, verify=self.place.verify)
        except MapOutputDamaged as error:
            # If the rest of the directory can still be read, the executor's other outputs are as good as before.
            raise self.failed(block, str(error), only_this_output=self.can_open(block.location)) from error

    def can_open(self, location: BlockManagerId) -> bool:
        """Tell whether a writer's files can be opened here: its token can be read."""
        if not self.place.read_host_local and location.directory != self.place.directory:
            return False
        return os.access(os.path.join(location.directory, "token"), os.R_OK)

    def failed(
        self, block: MapOutputLocation | None, text: str, *, only_this_output: bool = False
    ) -> FetchFailedError:
        """Return the error of a block that cannot be read (None: nobody knows where it is), and tell the task."""
        location, map_id, map_index = (
            (None, TaskId(-1), -1) if block is None else (block.location, block.map_id, block.map_index)
        )
        failure = FetchFailed(location, self.shuffle_id, map_id, map_index, self.reducer, text, only_this_output)
        error = FetchFailedError(
            failure, f"shuffle {self.shuffle_id}, map {map_index}, reducer {self.reducer}: {text}"
        )
        self.task.fetch_failed(error)
        return error
