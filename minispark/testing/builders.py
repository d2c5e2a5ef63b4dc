"""Builders of the values that scheduler tests need: lineages, submissions, ends of tasks.

Each takes what a test cares about and fills in the rest.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from minispark.ids import BinaryId, ExecutorId, JobId, RddId, ShuffleId, StageId, TaskId
from minispark.messages.scheduler import JobSubmitted, SubmitTaskSet, TaskEnded, pack_integers
from minispark.messages.task import (
    BlockManagerId,
    DirectResult,
    ExceptionFailure,
    FetchFailed,
    Lineage,
    LineageNode,
    MapStatus,
    NarrowDependency,
    Preferences,
    ShuffleDependencyInfo,
    Success,
    TaskEndReason,
    TaskLocation,
    TaskMetrics,
)

__all__ = [
    "LineageBuilder",
    "direct_result",
    "exception_failure",
    "fetch_failed",
    "location",
    "map_success",
    "preferences",
    "result_success",
    "submit_job",
    "task_ended",
    "task_set",
]


Determinism = Literal["determinate", "unordered", "indeterminate"]


def location(executor: str = "driver", host: str = "localhost") -> BlockManagerId:
    """Return where an executor keeps its blocks."""
    return BlockManagerId(ExecutorId(executor), host, 7000, f"dir-{executor}")


def preferences(rows: Sequence[Sequence[TaskLocation]]) -> Preferences:
    """Pack preferences, a row a task; nothing if there are no rows."""
    known: dict[TaskLocation, int] = {}
    starts, places = [0], list[int]()
    for row in rows:
        places += [known.setdefault(place, len(known)) for place in row]
        starts.append(len(places))
    return Preferences(tuple(known), pack_integers(starts), pack_integers(places)) if rows else Preferences()


class LineageBuilder:
    """Grows a lineage, RDD by RDD.

    Example:
        >>> build = LineageBuilder()
        >>> words = build.source(2)
        >>> build.shuffled(words, 3)
        1
        >>> [node.num_partitions for node in build.lineage().nodes]
        [2, 3]
    """

    def __init__(self) -> None:
        self.nodes: list[LineageNode] = []
        self.next_shuffle = 0

    def add(
        self,
        partitions: int,
        dependencies: Sequence[NarrowDependency | ShuffleDependencyInfo],
        hosts: Sequence[Sequence[str]] = (),
        *,
        is_cached: bool = False,
    ) -> int:
        """Add an RDD, with the hosts that it prefers for each partition; returns its id."""
        rdd_id = RddId(len(self.nodes))
        self.nodes.append(
            LineageNode(
                rdd_id,
                f"rdd{rdd_id}",
                partitions,
                tuple(dependencies),
                f"app.py:{rdd_id}",
                preferences=preferences([[TaskLocation(host) for host in row] for row in hosts]),
                is_cached=is_cached,
            )
        )
        return rdd_id

    def source(self, partitions: int, hosts: Sequence[Sequence[str]] = (), *, is_cached: bool = False) -> int:
        """Add an RDD without parents."""
        return self.add(partitions, (), hosts, is_cached=is_cached)

    def narrow(self, *parents: int, partitions: int | None = None) -> int:
        """Add an RDD over narrow dependencies."""
        count = self.nodes[parents[0]].num_partitions if partitions is None else partitions
        return self.add(count, [NarrowDependency(RddId(parent)) for parent in parents])

    def shuffle_of(self, parent: int, reducers: int) -> ShuffleDependencyInfo:
        """Make a shuffle dependency on an RDD; the shuffle id counts up from 0, its binary's id is that + 100."""
        shuffle_id = ShuffleId(self.next_shuffle)
        self.next_shuffle += 1
        return ShuffleDependencyInfo(RddId(parent), shuffle_id, reducers, BinaryId(100 + shuffle_id))

    def shuffled(self, parent: int, reducers: int) -> int:
        """Add an RDD over a shuffle of its own."""
        return self.add(reducers, [self.shuffle_of(parent, reducers)])

    def declare(self, rdd_id: int, *, determinism: Determinism = "determinate", is_barrier: bool = False) -> int:
        """Say of an RDD how far another computation may differ, and whether its tasks start together."""
        self.nodes[rdd_id] = replace(self.nodes[rdd_id], determinism=determinism, is_barrier=is_barrier)
        return rdd_id

    def lineage(self) -> Lineage:
        """Return what has grown; the last RDD is the one the job runs on."""
        return Lineage(tuple(self.nodes))


def submit_job(
    job_id: int, lineage: Lineage, partitions: Sequence[int] | None = None, properties: dict[str, str] | None = None
) -> JobSubmitted:
    """Return the submission of a job, over all partitions by default."""
    wanted = list(range(lineage.nodes[-1].num_partitions)) if partitions is None else list(partitions)
    return JobSubmitted(
        JobId(job_id),
        lineage,
        pack_integers(wanted),
        BinaryId(job_id),
        "collect at app.py:99",
        "app.py:99",
        properties or {},
    )


def task_set(
    partitions: Sequence[int],
    *,
    stage_id: int = 0,
    attempt: int = 0,
    job_id: int = 0,
    is_map_stage: bool = False,
    is_last: bool = True,
    num_tasks: int | None = None,
) -> SubmitTaskSet:
    """Return the submission of a task set, or of a chunk of one."""
    return SubmitTaskSet(
        StageId(stage_id),
        attempt,
        JobId(job_id),
        is_map_stage,
        BinaryId(job_id),
        0,
        (),
        pack_integers(list(partitions)),
        len(partitions) if num_tasks is None else num_tasks,
        is_last,
        {},
    )


def direct_result(data: bytes = b"") -> DirectResult:
    """Return a result that is one batch of bytes."""
    return DirectResult(False, (data,))


def result_success(data: bytes = b"", size_bytes: int = 0) -> Success:
    """Return the success of a result task."""
    return Success(direct_result(data), TaskMetrics(result_size_bytes=size_bytes))


def map_success(
    map_index: int, *, executor: str = "driver", map_id: int = 0, reducers: int = 1, host: str = "localhost"
) -> Success:
    """Return the success of a map task."""
    status = MapStatus(location(executor, host), TaskId(map_id), map_index, bytes([1]) * reducers, reducers, 1)
    return Success(status, TaskMetrics())


def exception_failure(text: str = "boom") -> ExceptionFailure:
    """Return the failure of a task whose function raised."""
    return ExceptionFailure("ValueError", text, "", "", b"", TaskMetrics())


def fetch_failed(
    shuffle_id: int, map_index: int, *, executor: str = "driver", only_this: bool = False, host: str = "localhost"
) -> FetchFailed:
    """Return the failure of a task that could not read a map output."""
    return FetchFailed(
        location(executor, host), ShuffleId(shuffle_id), TaskId(0), map_index, 0, "a file is missing", only_this
    )


def task_ended(
    submitted: SubmitTaskSet, index: int, reason: TaskEndReason, *, executor: str = "driver", task_id: int = 0
) -> TaskEnded:
    """Return the end of a task of a set."""
    partition = memoryview(submitted.partitions).cast("i")[index]
    return TaskEnded(
        submitted.stage_id,
        submitted.stage_attempt,
        TaskId(task_id),
        index,
        0,
        partition,
        ExecutorId(executor),
        "localhost",
        submitted.epoch,
        0.0,
        reason,
    )
