"""Tasks whose value says what they read: a number made of stage, partition and the values of all their inputs.

What tasks compute through registered map outputs is compared with what the lineage says, computed here a second way.
A task that ran over too little, too much or somebody else's output has another value.
"""

import random
from dataclasses import dataclass, field

from minispark.ids import BlockId, ExecutorId, ShuffleId, TaskId
from minispark.messages.task import (
    DirectResult,
    FetchFailed,
    IndirectResult,
    Lineage,
    MapStatus,
    NarrowDependency,
    ShuffleDependencyInfo,
    Success,
    TaskDescription,
    TaskMetrics,
    TaskOutcome,
    TaskResultLost,
    UnknownReason,
)
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript, raised

METRICS = TaskMetrics(result_size_bytes=8)
MASK = (1 << 61) - 1  # hashes of tuples of ints do not depend on PYTHONHASHSEED


def value_of(*parts: int) -> int:
    return hash(parts) & MASK


class Expected:
    """The values of map outputs and results, from the lineage alone."""

    def __init__(self) -> None:
        self.map_values: dict[ShuffleId, list[int]] = {}

    def results(self, lineage: Lineage, partitions: list[int]) -> dict[int, int]:
        """Return position → value of a job."""
        reads = self.reads(lineage)
        last = lineage.nodes[-1].rdd_id
        return {
            position: value_of(last, partition, *self.inputs(reads[last], partition))
            for position, partition in enumerate(partitions)
        }

    def reads(self, lineage: Lineage) -> dict[int, list[ShuffleId]]:
        """Return the shuffles that a stage ending at each RDD reads, and make their values; parents come first."""
        reads: dict[int, list[ShuffleId]] = {}
        for node in lineage.nodes:
            above: list[ShuffleId] = []
            for dependency in node.dependencies:
                if isinstance(dependency, NarrowDependency):
                    above += [each for each in reads[dependency.rdd_id] if each not in above]
                else:
                    self.write(dependency, lineage, reads[dependency.rdd_id])
                    above += [dependency.shuffle_id] if dependency.shuffle_id not in above else []
            reads[node.rdd_id] = above
        return reads

    def write(self, dependency: ShuffleDependencyInfo, lineage: Lineage, reads: list[ShuffleId]) -> None:
        """Make the values of a shuffle's map outputs."""
        if dependency.shuffle_id not in self.map_values:
            (node,) = (node for node in lineage.nodes if node.rdd_id == dependency.rdd_id)
            self.map_values[dependency.shuffle_id] = [
                value_of(node.rdd_id, partition, *self.inputs(reads, partition))
                for partition in range(node.num_partitions)
            ]

    def inputs(self, reads: list[ShuffleId], partition: int) -> list[int]:
        """Return what a partition reads, one number a shuffle."""
        return [value_of(shuffle_id, partition, *self.map_values[shuffle_id]) for shuffle_id in sorted(reads)]


@dataclass
class Chances:
    """How often things go wrong, as shares of attempts; at most `limit` of each history."""

    raising: float = 0.0
    late: float = 0.0
    result_lost: float = 0.0
    unknown: float = 0.0
    indirect: float = 0.0
    limit: int = 8


@dataclass
class Cached:
    """Map output locations that an executor keeps until a task with a newer epoch comes."""

    epoch: int
    statuses: list[MapStatus | None] = field(default_factory=list)


class SymbolicScript(TaskScript):
    """Reads the files of the outputs that were registered when the attempt started, writes its own, or fails."""

    def __init__(self, rng: random.Random, map_outputs: MapOutputs, chances: Chances) -> None:
        super().__init__()
        self.rng = rng
        self.map_outputs = map_outputs
        self.chances = chances
        self.rdd_of_binary: dict[int, int] = {}
        self.files: dict[ExecutorId, dict[TaskId, int]] = {}
        self.caches: dict[ExecutorId, dict[ShuffleId, Cached]] = {}
        self.views: dict[TaskId, list[tuple[ShuffleId, list[MapStatus | None]]]] = {}
        self.stored: dict[str, DirectResult] = {}
        self.injected: dict[str, int] = {}
        self.failures_of: dict[tuple[int, int], int] = {}

    # -- what the script says ----------------------------------------------------------------------------------------

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        self.views[task.task_id] = [(each, self.locations(each, task, executor)) for each in sorted(task.shuffle_ids)]
        slow = 8.0 if self.rng.random() < 0.03 else 1.0
        return self.rng.uniform(0.1, 1.0) * slow

    def late_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return self.rng.uniform(0.0, 2.0) if self.rng.random() < self.chances.late else 0.0

    def unwind_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        return self.rng.uniform(0.0, 1.0) if self.rng.random() < 0.5 else 0.0

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        view = self.views.pop(task.task_id)
        if self.chance("raising", self.chances.raising):
            key = (task.binary_id, task.partition)
            self.failures_of[key] = self.failures_of.get(key, 0) + 1
            return raised()
        if self.chance("unknown", self.chances.unknown):
            return UnknownReason("the script forgot")
        inputs = []
        for shuffle_id, statuses in view:
            found = self.read(shuffle_id, statuses, task)
            if isinstance(found, FetchFailed):
                self.injected["fetch failed"] = self.injected.get("fetch failed", 0) + 1
                return found
            inputs.append(found)
        value = value_of(self.rdd_of_binary[task.binary_id], task.partition, *inputs)
        return self.written(task, executor, value)

    # -- reading and writing -----------------------------------------------------------------------------------------

    def locations(
        self, shuffle_id: ShuffleId, task: TaskDescription, executor: SimulatedExecutor
    ) -> list[MapStatus | None]:
        """Return where the outputs are, as an executor knows it that asks again only for a newer epoch."""
        cache = self.caches.setdefault(executor.executor_id, {})
        known = cache.get(shuffle_id)
        if known is None or known.epoch < task.epoch:
            shuffle = self.map_outputs.shuffles.get(shuffle_id)
            statuses = [] if shuffle is None else list(shuffle.statuses)
            known = cache[shuffle_id] = Cached(self.map_outputs.epoch, statuses)
        return known.statuses

    def read(
        self, shuffle_id: ShuffleId, statuses: list[MapStatus | None], task: TaskDescription
    ) -> int | FetchFailed:
        """Return the number of what is read of a shuffle, or why it cannot be read."""
        values = []
        for status in statuses:
            if status is None:
                break
            value = self.files.get(status.location.executor_id, {}).get(status.map_id)
            if value is None:
                lives = status.location.executor_id in self.files
                return FetchFailed(
                    status.location, shuffle_id, status.map_id, status.map_index, task.partition, "no file", lives
                )
            values.append(value)
        if not statuses or len(values) < len(statuses):
            return FetchFailed(None, shuffle_id, TaskId(0), -1, task.partition, "no location")
        return value_of(shuffle_id, task.partition, *values)

    def written(self, task: TaskDescription, executor: SimulatedExecutor, value: int) -> TaskOutcome:
        """Write the map output, or return the result, directly or as a block that may be lost."""
        kind = self.kinds[task.binary_id]
        if kind.shuffle_id is not None:
            self.files[executor.executor_id][task.task_id] = value
            sizes = b"\1" * kind.num_reducers
            return Success(MapStatus(executor.location, task.task_id, task.partition, sizes, len(sizes), 1), METRICS)
        result = DirectResult(False, (value.to_bytes(8, "big"),))
        if self.rng.random() < self.chances.indirect:
            block = BlockId(f"taskresult_{task.task_id}")
            if not self.chance("result lost", self.chances.result_lost):
                self.stored[block] = result
            return Success(IndirectResult(block, 8, False, f"/{block}", (8,)), METRICS)
        if self.chance("result lost", self.chances.result_lost):
            return TaskResultLost("gone")
        return Success(result, METRICS)

    def chance(self, what: str, share: float) -> bool:
        """Tell whether something goes wrong now; it is counted, and stops at the limit."""
        if self.rng.random() >= share or self.injected.get(what, 0) >= self.chances.limit:
            return False
        self.injected[what] = self.injected.get(what, 0) + 1
        return True

    # -- executors ---------------------------------------------------------------------------------------------------

    def executor_added(self, executor_id: ExecutorId) -> None:
        self.files[executor_id] = {}

    def executor_lost(self, executor_id: ExecutorId) -> None:
        self.files.pop(executor_id, None)
        self.caches.pop(executor_id, None)

    def damage(self) -> bool:
        """Lose a file that is registered; tell whether there was one."""
        registered = [
            status
            for shuffle in self.map_outputs.shuffles.values()
            for status in shuffle.statuses
            if status is not None and status.map_id in self.files.get(status.location.executor_id, {})
        ]
        if not registered:
            return False
        lost = self.rng.choice(registered)
        del self.files[lost.location.executor_id][lost.map_id]
        return True
