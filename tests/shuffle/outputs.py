"""What the shuffle's tests share: a session directory, dependencies, and attempts that write and read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minispark.conf import SparkConf
from minispark.errors import FetchFailedError, TaskKilled
from minispark.ids import BinaryId, ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.task import BlockManagerId, MapStatus, TaskDescription
from minispark.rdd.aggregator import Aggregator
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.partitioner import HashPartitioner, Partitioner
from minispark.rdd.ports import MutableTaskMetrics
from minispark.shuffle.access import Shuffles
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.shuffle.read_ahead import ReadAhead
from minispark.shuffle.task_memory import TaskMemory

SHUFFLE = ShuffleId(3)


def dependency(
    reducers: int = 2,
    aggregator: Aggregator[Any, Any] | None = None,
    *,
    map_side_combine: bool = False,
    partitioner: Partitioner | None = None,
) -> ShuffleDependency[Any, Any, Any]:
    """Make a dependency; its parent is of no interest to the shuffle."""
    parent: Any = None
    return ShuffleDependency(SHUFFLE, parent, partitioner or HashPartitioner(reducers), aggregator, map_side_combine)


def session(path: Path, executor: str = "driver") -> BlockManagerId:
    """Make an executor's session directory."""
    (path / "shuffle").mkdir(parents=True)
    (path / "token").write_text("secret")
    return BlockManagerId(ExecutorId(executor), "localhost", 0, str(path))


def task_memory(location: BlockManagerId, **options: Any) -> TaskMemory:
    """Return the share of an attempt."""
    return TaskMemory(location.directory, TaskId(1), MutableTaskMetrics(), **options)


def description(task_id: int, stage_attempt: int = 0) -> TaskDescription:
    """Return what an attempt is launched with."""
    return TaskDescription(
        TaskId(task_id),
        0,
        ExecutorId("driver"),
        JobId(0),
        StageId(0),
        stage_attempt,
        0,
        0,
        BinaryId(0),
        0,
        1,
        (),
        {},
        b"",
    )


@dataclass
class Attempt:
    """What the shuffle sees of an attempt; `killed_after` kills it at that many looks."""

    task: TaskDescription
    metrics: MutableTaskMetrics = field(default_factory=MutableTaskMetrics)
    failures: list[FetchFailedError] = field(default_factory=list)
    killed_after: int = 1 << 30
    failure_listeners: list[Callable[[Any, BaseException], object]] = field(default_factory=list)

    def add_task_failure_listener(self, listener: Callable[[Any, BaseException], object]) -> None:
        """Keep a listener."""
        self.failure_listeners.append(listener)

    def kill_task_if_interrupted(self) -> None:
        """Raise if the attempt has looked often enough."""
        self.killed_after -= 1
        if self.killed_after < 0:
            raise TaskKilled("by the test")

    def fetch_failed(self, error: FetchFailedError) -> None:
        """Keep a failure."""
        self.failures.append(error)


class Exchange:
    """One shuffle from its map outputs to its readers, without a scheduler.

    Attributes:
        attempt: the attempt that wrote or read last.
        read_ahead: what the attempts keep for each other.
        stage_attempt: of the attempts to come.
    """

    def __init__(
        self, location: BlockManagerId, shuffle: ShuffleDependency[Any, Any, Any], **settings: object
    ) -> None:
        self.location = location
        self.shuffle = shuffle
        self.conf = SparkConf({f"minispark.{key}": value for key, value in settings.items()})
        self.table = MapOutputs()
        self.attempt = Attempt(description(0))
        self.read_ahead = ReadAhead()
        self.stage_attempt = 0

    def access(self, task_id: int) -> Shuffles:
        """Return the shuffle as an attempt sees it."""
        self.attempt = Attempt(description(task_id, self.stage_attempt))
        return Shuffles(
            self.location,
            self.conf,
            lambda shuffle_id, epoch: self.table.packed(shuffle_id),
            self.attempt,
            read_ahead=self.read_ahead,
        )

    def write(self, map_index: int, records: Iterable[Any], task_id: int | None = None) -> MapStatus:
        """Write one map output, without registering it; the attempt's id is 100 + the map index by default."""
        return self.access(100 + map_index if task_id is None else task_id).write(self.shuffle, map_index, records)

    def write_all(self, *maps: Iterable[Any]) -> None:
        """Write and register the outputs of all maps."""
        self.table.register_shuffle(SHUFFLE, len(maps), self.shuffle.partitioner.num_partitions)
        for map_index, records in enumerate(maps):
            self.table.register(SHUFFLE, self.write(map_index, records))

    def read(self, reducer: int) -> list[tuple[Any, Any]]:
        """Read one reducer's pairs."""
        return list(self.access(900 + reducer).read(self.shuffle, reducer))

    def read_all(self) -> list[list[tuple[Any, Any]]]:
        """Read the pairs of each reducer."""
        return [self.read(reducer) for reducer in range(self.shuffle.partitioner.num_partitions)]

    def files(self) -> list[str]:
        """Return the names of the files that are there."""
        return sorted(path.name for path in Path(self.location.directory, "shuffle").iterdir())
