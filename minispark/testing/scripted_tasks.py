"""What simulated tasks do: how long they take, how they end, how late the driver hears of it.

A simulated executor asks a `TaskScript` when an attempt starts and when it ends. The base class gives each task a
second and success; a simulation overrides what it is about, and draws chance from a generator with a seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from minispark.ids import BinaryId, ExecutorId, ShuffleId
from minispark.messages.task import (
    BlockManagerId,
    DirectResult,
    ExceptionFailure,
    FetchFailed,
    MapStatus,
    Success,
    TaskDescription,
    TaskMetrics,
    TaskOutcome,
)

__all__ = ["RandomScript", "SimulatedExecutor", "StageKind", "TaskScript", "raised"]

NO_METRICS = TaskMetrics()
DONE = Success(DirectResult(False, (b"",)), NO_METRICS)


@dataclass(slots=True, eq=False)
class SimulatedExecutor:
    """An executor that exists in a simulation only.

    Attributes:
        executor_id: its name.
        host: where it is.
        cores: how many slots it has.
        location: what its map outputs say of where they are; made from name and host.
    """

    executor_id: ExecutorId
    host: str
    cores: int = 1

    @property
    def location(self) -> BlockManagerId:
        """Where its map outputs are; the directory is named for the executor."""
        return BlockManagerId(self.executor_id, self.host, 0, self.executor_id)


@dataclass(frozen=True, slots=True)
class StageKind:
    """What the tasks of a binary make: results, or map outputs of a shuffle for so many reducers."""

    shuffle_id: ShuffleId | None = None
    num_reducers: int = 0


class TaskScript:
    """Every task takes `seconds` and succeeds; the base of scripts.

    Args:
        seconds: how long a task takes.

    Attributes:
        kinds: what each binary makes; the cluster fills it in as jobs are submitted.

    Example:
        >>> class SlowFirst(TaskScript):
        ...     def duration_s(self, task, executor):
        ...         return 10.0 if task.partition == 0 else 1.0
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.kinds: dict[BinaryId, StageKind] = {}

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Return how long an attempt that starts now will run, in seconds."""
        return self.seconds

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        """Return how an attempt ends; called when it does. One that is killed before is not asked."""
        return self.success(task, executor)

    def late_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Return how long the news of an end is under way to the driver, in seconds."""
        return 0.0

    def unwind_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Return how long an attempt that is killed goes on before it ends, in seconds."""
        return 0.0

    def success(self, task: TaskDescription, executor: SimulatedExecutor) -> Success:
        """Return a success: a map output of one byte per reducer here, or an empty result."""
        kind = self.kinds.get(task.binary_id)
        if kind is None or kind.shuffle_id is None:
            return DONE
        status = MapStatus(
            executor.location, task.task_id, task.partition, b"\1" * kind.num_reducers, kind.num_reducers, 1
        )
        return Success(status, NO_METRICS)


def raised(text: str = "scripted") -> ExceptionFailure:
    """Return the failure of an attempt whose function raised."""
    return ExceptionFailure("ScriptedError", text, "", "", b"", NO_METRICS)


class RandomScript(TaskScript):
    """Tasks of drawn lengths, some of which fail.

    Args:
        rng: chance.
        draw_s: draws a duration; by default exponential with a mean of a second.
        failing: the share of attempts that raise.
        fetch_failing: the share of attempts, among those that read a shuffle, that cannot read an output; which one
            is drawn from `outputs_of`.
        late: the share of ends of which the driver hears up to a second late.
        outputs_of: returns a shuffle's registered outputs.
    """

    def __init__(
        self,
        rng: random.Random,
        draw_s: Callable[[], float] | None = None,
        *,
        failing: float = 0.0,
        fetch_failing: float = 0.0,
        late: float = 0.0,
        outputs_of: Callable[[ShuffleId], list[MapStatus]] | None = None,
    ) -> None:
        super().__init__()
        self.rng = rng
        self.draw_s = draw_s or (lambda: rng.expovariate(1.0))
        self.failing = failing
        self.fetch_failing = fetch_failing
        self.late = late
        self.outputs_of = outputs_of

    def duration_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Draw a duration."""
        return self.draw_s()

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        """Draw how the attempt ends."""
        if self.failing and self.rng.random() < self.failing:
            return raised()
        if self.fetch_failing and task.shuffle_ids and self.rng.random() < self.fetch_failing:
            failure = self.fetch_failure(task)
            if failure is not None:
                return failure
        return self.success(task, executor)

    def fetch_failure(self, task: TaskDescription) -> FetchFailed | None:
        """Draw an output that the attempt cannot read; None if there is none."""
        shuffle_id = self.rng.choice(task.shuffle_ids)
        outputs = self.outputs_of(shuffle_id) if self.outputs_of is not None else []
        if not outputs:
            return None
        lost = self.rng.choice(outputs)
        return FetchFailed(
            lost.location,
            shuffle_id,
            lost.map_id,
            lost.map_index,
            task.partition,
            "scripted",
            bool(self.rng.getrandbits(1)),
        )

    def late_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
        """Draw how late the news is."""
        return self.rng.random() if self.late and self.rng.random() < self.late else 0.0
