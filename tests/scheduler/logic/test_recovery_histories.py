"""Random histories of losses: every job ends, its results computed from outputs that were there and fit together."""

from dataclasses import dataclass, field
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.scheduler import ExecutorAdded, KillTaskSet, PartitionCompleted, SubmitTaskSet
from minispark.messages.task import (
    BlockManagerId,
    ExecutorLostFailure,
    FetchFailed,
    Lineage,
    MapStatus,
    Resubmitted,
    Success,
    TaskKilled,
    TaskMetrics,
)
from minispark.scheduler.logic.effects import Effect, RemoveMapOutput, ResubmitLater
from minispark.scheduler.logic.stage import MapStage
from minispark.shuffle.logic.map_outputs import unpack_map_outputs
from minispark.testing.builders import LineageBuilder, location, result_success, submit_job, task_ended
from tests.scheduler.logic.dag_harness import DagHarness

Origins = dict[tuple[int, int], set[int]]  # (shuffle, map) → the tasks whose output of it went into a record


@dataclass(eq=False)
class Run:
    """An attempt of a task that was started: where, and what it was told to read (None: something was missing)."""

    tasks: "Tasks"
    index: int
    executor: str
    inputs: list[tuple[int, int, int, BlockManagerId]] | None


@dataclass(eq=False)
class Tasks:
    """A task set as the TaskScheduler would hold it."""

    submitted: SubmitTaskSet
    pending: list[int]
    runs: list[Run] = field(default_factory=list)
    done_on: dict[int, str] = field(default_factory=dict)
    is_zombie: bool = False

    def done(self, index: int, executor: str) -> None:
        """Note where a task was done; "" if another set did it. A set whose tasks are done starts none any more."""
        self.done_on.setdefault(index, executor)
        self.is_zombie |= len(self.done_on) == self.submitted.num_tasks

    def leave_out(self, partitions: list[int], partition: int) -> None:
        """Note that another set of the stage did a partition, if it is one of these."""
        if partition in partitions:
            index = partitions.index(partition)
            self.pending = [each for each in self.pending if each != index]
            self.done(index, "")


class Cluster:
    """Two executors, their files, and the task sets."""

    def __init__(self, dag: DagHarness) -> None:
        self.dag = dag
        self.sets: list[Tasks] = []
        self.executors = ["e0", "e1"]
        self.count = 2
        self.next_task = 0
        self.files: dict[int, tuple[str, Origins]] = {}
        self.results: dict[tuple[int, int], Origins] = {}
        self.seen, self.timers = 0, 0

    def absorb(self) -> None:
        """Do what the machine wants done."""
        self.dag.map_outputs.check()
        effects, self.seen = self.dag.effects[self.seen :], len(self.dag.effects)
        for effect in effects:
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        match effect:
            case SubmitTaskSet():
                of_stage = [tasks for tasks in self.sets if tasks.submitted.stage_id == effect.stage_id]
                assert not any(tasks.pending and not tasks.is_zombie for tasks in of_stage), "two active task sets"
                for tasks in of_stage:
                    tasks.is_zombie = True
                self.sets.append(Tasks(effect, list(range(len(self.dag.partitions(effect))))))
            case KillTaskSet():
                for tasks in self.sets:
                    tasks.is_zombie |= tasks.submitted.stage_id == effect.stage_id
            case PartitionCompleted():
                for tasks in self.sets:
                    if tasks.submitted.stage_id == effect.stage_id:
                        tasks.leave_out(self.dag.partitions(tasks.submitted), effect.partition)
            case RemoveMapOutput():
                self.files.pop(effect.map_id, None)
            case ResubmitLater():
                self.timers += 1

    # -- what can happen ---------------------------------------------------------------------------------------------

    def start(self, tasks: Tasks, index: int, executor: str) -> None:
        """Start a task; it learns now what it is to read."""
        inputs: list[tuple[int, int, int, BlockManagerId]] | None = []
        for shuffle_id in tasks.submitted.shuffle_ids:
            view = unpack_map_outputs(self.dag.map_outputs.packed(shuffle_id))
            for map_index, (place, map_id) in enumerate(zip(view.places, view.map_ids, strict=True)):
                if place < 0:
                    inputs = None
                elif inputs is not None:
                    inputs.append((shuffle_id, map_index, map_id, view.locations[place]))
        if index in tasks.pending:
            tasks.pending.remove(index)
        tasks.runs.append(Run(tasks, index, executor, inputs))

    def end(self, run: Run, *, spurious: bool = False, killed: bool = False) -> None:
        """End a task: with what it made, or because of a file that is not there (any more)."""
        run.tasks.runs.remove(run)
        if killed:
            if run.index not in run.tasks.done_on and run.index not in run.tasks.pending:
                run.tasks.pending.append(run.index)
            self.tell(run, TaskKilled("by hand"))
            return
        if run.inputs is None:
            run.tasks.is_zombie = True
            shuffle_id = run.tasks.submitted.shuffle_ids[0]
            self.tell(run, FetchFailed(None, shuffle_id, TaskId(-1), -1, 0, "locations are missing"))
            return
        lost = [each for each in run.inputs if each[2] not in self.files] or (run.inputs[:1] if spurious else [])
        if lost:
            run.tasks.is_zombie = True
            shuffle, map_index, map_id, where = lost[0]
            self.tell(run, FetchFailed(where, ShuffleId(shuffle), TaskId(map_id), map_index, 0, "gone"))
            return
        self.succeed(run, run.inputs)

    def succeed(self, run: Run, inputs: list[tuple[int, int, int, BlockManagerId]]) -> None:
        """End a task well; follow where its records come from."""
        origins: Origins = {}
        for _, _, map_id, _ in inputs:
            for key, makers in self.files[map_id][1].items():
                origins[key] = origins.get(key, set()) | makers
        run.tasks.done(run.index, run.executor)
        partition = self.dag.partitions(run.tasks.submitted)[run.index]
        stage = self.dag.state.stages.by_id.get(run.tasks.submitted.stage_id)
        if run.tasks.submitted.is_map_stage:
            self.next_task += 1
            assert stage is None or isinstance(stage, MapStage)
            if stage is not None:
                maker = self.next_task if stage.is_indeterminate else 0
                origins[stage.shuffle_id, partition] = {maker}
            self.files[self.next_task] = (run.executor, origins)
            status = MapStatus(location(run.executor), TaskId(self.next_task), partition, b"\1\1", 2, 1)
            self.tell(run, Success(status, TaskMetrics()))
        else:
            self.results.setdefault((run.tasks.submitted.job_id, partition), origins)
            self.tell(run, result_success(b"%d" % partition))

    def tell(self, run: Run, reason: object) -> None:
        ended = task_ended(run.tasks.submitted, run.index, reason, executor=run.executor)  # type: ignore[arg-type]
        self.dag.state.task_ended(ended)
        self.dag.absorb()
        self.absorb()

    def lose(self, executor: str, *, quietly: bool) -> None:
        """Lose an executor with its files, and start another; quietly: nobody knows before something is missed."""
        self.files = {map_id: file for map_id, file in self.files.items() if file[0] != executor}
        if quietly:
            return
        self.executors.remove(executor)
        self.executors.append(f"e{self.count}")
        self.count += 1
        self.dag.lose_executor(executor)
        self.dag.state.recovery.executor_added(ExecutorAdded(ExecutorId(self.executors[-1]), "localhost").executor_id)
        self.absorb()
        for tasks in list(self.sets):
            for run in [run for run in tasks.runs if run.executor == executor and run.index % 2]:
                tasks.runs.remove(run)  # the others are late: their ends were under way
                if run.index not in tasks.done_on and run.index not in tasks.pending:
                    tasks.pending.append(run.index)
                self.tell(run, ExecutorLostFailure(ExecutorId(executor), False, "lost"))
            if tasks.submitted.is_map_stage and not tasks.is_zombie:
                for index in [index for index, place in tasks.done_on.items() if place == executor]:
                    del tasks.done_on[index]
                    tasks.pending.append(index)
                    self.tell(Run(tasks, index, executor, []), Resubmitted())

    def resubmit(self) -> None:
        self.timers = 0
        self.dag.resubmit()
        self.absorb()

    def step(self, chance: Random) -> None:
        """Let one thing happen."""
        live = [(tasks, i) for tasks in self.sets if not tasks.is_zombie for i in tasks.pending]
        runs = [run for tasks in self.sets for run in tasks.runs]
        possible = ["lose", "lose quietly"] + ["start"] * 6 * bool(live) + ["copy", "kill", "spurious"] * bool(runs)
        what = chance.choice(possible + ["end"] * 6 * bool(runs) + ["resubmit"] * 3 * bool(self.timers))
        executor = chance.choice(self.executors)
        match what:
            case "start":
                self.start(*chance.choice(live), executor)
            case "copy":
                run = chance.choice(runs)
                self.start(run.tasks, run.index, executor)
            case "end" | "kill" | "spurious":
                self.end(chance.choice(runs), killed=what == "kill", spurious=what == "spurious")
            case "resubmit":
                self.resubmit()
            case _:
                self.lose(executor, quietly=what == "lose quietly")

    def drain(self) -> None:
        """Let no more be lost, and everything come to its end."""
        for _ in range(60):
            for tasks in list(self.sets):
                for run in list(tasks.runs):
                    self.end(run)
                while tasks.pending and not tasks.is_zombie:
                    self.start(tasks, tasks.pending[0], self.executors[0])
                    self.end(tasks.runs[-1])
            if self.timers:
                self.resubmit()
            if not self.dag.state.jobs:
                return
        raise AssertionError(f"jobs go on for ever: {self.dag.state.jobs}")


def lineages(shape: str, indeterminate: int) -> list[Lineage]:
    """Return the lineages of two jobs that share shuffles; RDDs from a number on are indeterminate."""
    build = LineageBuilder()
    first = build.shuffled(build.source(2), 2)
    second = build.shuffled(first, 2)
    last = second if shape == "chain" else build.narrow(second, build.shuffled(first, 2))
    for rdd_id in range(indeterminate, last + 1):
        build.declare(rdd_id, determinism="indeterminate")
    return [build.lineage(), Lineage(tuple(build.nodes[: second + 1]))]


def assert_results_fit_together(cluster: Cluster, job_id: int) -> None:
    """Assert that all results of a job come from the same output of each map task."""
    makers: Origins = {}
    for (owner, _), origins in cluster.results.items():
        if owner == job_id:
            for key, tasks in origins.items():
                makers[key] = makers.get(key, set()) | tasks
    mixed = {key: tasks for key, tasks in makers.items() if len(tasks) > 1}
    assert not mixed, f"job {job_id} mixes outputs of several attempts: {mixed}"


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1 << 32),
    shape=st.sampled_from(["chain", "diamond"]),
    indeterminate=st.sampled_from([0, 1, 99]),
    length=st.integers(5, 60),
)
def test_every_job_ends_whatever_is_lost(seed: int, shape: str, indeterminate: int, length: int) -> None:
    dag = DagHarness(max_consecutive_attempts=1000)
    cluster, chance = Cluster(dag), Random(seed)
    for job_id, lineage in enumerate(lineages(shape, indeterminate), 1):
        dag.submit(submit_job(job_id, lineage))
        cluster.absorb()
    for _ in range(length):
        cluster.step(chance)
    cluster.drain()
    for job_id in dag.succeeded():
        assert dag.results(job_id) == {0: b"0", 1: b"1"}
        assert_results_fit_together(cluster, job_id)
    assert sorted([*dag.succeeded(), *dag.failed()]) == [1, 2]
    assert all(indeterminate < 99 and "checkpoint the RDD" in message for message in dag.failed().values())
    dag.state.assert_empty()
