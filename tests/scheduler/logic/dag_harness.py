"""Drives a DagState by hand: effects are collected, the test answers the task sets."""

from collections.abc import Iterator
from contextlib import contextmanager

from minispark.ids import ExecutorId, ShuffleId
from minispark.messages.scheduler import (
    ExecutorDecommissioned,
    ExecutorRemoved,
    JobSubmitted,
    KillTaskSet,
    SubmitTaskSet,
    unpack_integers,
)
from minispark.messages.task import TaskEndReason
from minispark.scheduler.logic.dag import DagState
from minispark.scheduler.logic.effects import DeliverResult, Effect, FailJob, Post, ResubmitLater, SucceedJob
from minispark.scheduler.logic.recovery import RecoveryRules
from minispark.scheduler.logic.stage import MapStage
from minispark.shuffle.logic.map_outputs import MapOutputs, unpack_map_outputs
from minispark.testing.builders import LineageBuilder, map_success, result_success, task_ended


class DagHarness:
    """A DagState whose effects a test reads, and whose invariants are checked after every message."""

    def __init__(self, *, max_consecutive_attempts: int = 4, max_attempts: int = 1 << 31, **rules: bool) -> None:
        self.map_outputs = MapOutputs()
        self.state = DagState(
            self.map_outputs,
            rules=RecoveryRules(
                max_consecutive_attempts=max_consecutive_attempts, max_attempts=max_attempts, **rules
            ),
        )
        self.effects: list[Effect] = []
        self.sets: list[SubmitTaskSet] = []

    def absorb(self) -> None:
        self.state.check()
        effects = self.state.take_effects()
        self.effects += effects
        self.sets += [effect for effect in effects if isinstance(effect, SubmitTaskSet)]

    def submit(self, job: JobSubmitted) -> None:
        self.state.submit_job(job)
        self.absorb()

    def end(self, task_set: SubmitTaskSet, index: int, reason: TaskEndReason, executor: str = "driver") -> None:
        self.state.task_ended(task_ended(task_set, index, reason, executor=executor))
        self.absorb()

    def end_all_maps(self, task_set: SubmitTaskSet, executor: str = "driver") -> None:
        stage = self.state.stages.by_id[task_set.stage_id]
        assert isinstance(stage, MapStage)
        for index, partition in enumerate(unpack_integers(task_set.partitions)):
            self.end(
                task_set, index, map_success(partition, executor=executor, reducers=stage.num_reducers), executor
            )

    def end_all_results(self, task_set: SubmitTaskSet) -> None:
        for index, partition in enumerate(unpack_integers(task_set.partitions)):
            self.end(task_set, index, result_success(b"%d" % partition))

    def lose_executor(self, executor: str, *, host: str = "localhost", worker_lost: bool = False) -> None:
        self.state.recovery.executor_removed(ExecutorRemoved(ExecutorId(executor), host, "lost", False, worker_lost))
        self.absorb()

    def decommission(self, executor: str, *, host: str = "localhost", host_too: bool = False) -> None:
        message = ExecutorDecommissioned(ExecutorId(executor), host, "going away", host_too)
        self.state.recovery.executor_decommissioned(message)
        self.absorb()

    def resubmit(self) -> None:
        self.state.recovery.resubmit_failed_stages()
        self.absorb()

    @property
    def last(self) -> SubmitTaskSet:
        return self.sets[-1]

    def partitions(self, task_set: SubmitTaskSet) -> list[int]:
        return list(unpack_integers(task_set.partitions))

    def of(self, kind: type[Effect]) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def results(self, job_id: int) -> dict[int, bytes]:
        return {
            effect.position: bytes(effect.result.batches[0])
            for effect in self.effects
            if isinstance(effect, DeliverResult) and effect.job_id == job_id
        }

    def succeeded(self) -> list[int]:
        return [effect.job_id for effect in self.effects if isinstance(effect, SucceedJob)]

    def failed(self) -> dict[int, str]:
        return {e.job_id: e.failure.message for e in self.effects if isinstance(e, FailJob)}

    def killed_stages(self) -> list[int]:
        return [effect.stage_id for effect in self.effects if isinstance(effect, KillTaskSet)]

    def resubmissions(self) -> int:
        return len(self.of(ResubmitLater))

    def events(self) -> list[str]:
        return [type(effect.event).__name__ for effect in self.effects if isinstance(effect, Post)]


@contextmanager
def dag(*, max_consecutive_attempts: int = 4, max_attempts: int = 1 << 31, **rules: bool) -> Iterator[DagHarness]:
    """Give a harness and assert afterwards that nothing of any job is left."""
    harness = DagHarness(max_consecutive_attempts=max_consecutive_attempts, max_attempts=max_attempts, **rules)
    yield harness
    harness.state.assert_empty()


def two_stages(maps: int = 2, reducers: int = 2) -> LineageBuilder:
    build = LineageBuilder()
    build.shuffled(build.source(maps), reducers)
    return build


def three_stages(build: LineageBuilder | None = None, *, barrier: int = -1) -> LineageBuilder:
    """Source, shuffle 0, shuffle 1, two partitions each; RDD `barrier` is a barrier."""
    build = build or LineageBuilder()
    first = build.shuffled(build.source(2), 2)
    build.shuffled(first, 2)
    if barrier >= 0:
        build.declare(barrier, is_barrier=True)
    return build


def write_on(harness: DagHarness, executors: str, task_set: SubmitTaskSet | None = None) -> None:
    """Let task i of the newest map set succeed on the i-th executor; capitals are on host "far"."""
    task_set = task_set or harness.last
    for index, executor in enumerate(executors):
        host = "far" if executor.isupper() else "localhost"
        partition = harness.partitions(task_set)[index]
        harness.end(task_set, index, map_success(partition, executor=executor, reducers=2, host=host), executor)


def places(harness: DagHarness, shuffle_id: int = 0) -> list[str]:
    """Return the executors that a reducer is told to read from, "-" for an output that is missing."""
    view = unpack_map_outputs(harness.map_outputs.packed(ShuffleId(shuffle_id)))
    return ["-" if place < 0 else view.locations[place].executor_id for place in view.places]


def map_ids(harness: DagHarness, shuffle_id: int = 0) -> list[int]:
    """Return the tasks under whose ids a reducer is told to look, -1 for an output that is missing."""
    return list(unpack_map_outputs(harness.map_outputs.packed(ShuffleId(shuffle_id))).map_ids)
