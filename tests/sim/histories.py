"""Random histories of a whole scheduler: jobs over random lineages, on executors that fail, with late and lost news.

Everything comes from the seed; `History(seed).run()` either passes or raises with the seed in its text. A history has
at least 3 jobs, 2 shuffles, 100 tasks, 3 executors and 5 faults.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.messages.scheduler import ExecutorAdded, ExecutorRemoved, SubmitTaskSet, pack_integers, unpack_integers
from minispark.messages.task import Lineage, NarrowDependency, Preferences, ShuffleDependencyInfo, TaskLocation
from minispark.rpc.message import Message
from minispark.scheduler.logic.effects import RemoveMapOutput
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import SimulatedExecutor
from minispark.testing.simulated_cluster import FIRST_JOB_BINARY, SimulatedCluster, SimulatedJob
from tests.sim.symbolic import Chances, Expected, SymbolicScript

MAX_STEPS = 100_000
MIN_FAULTS = 5
FAULTS_UNTIL_S = 8.0


class HistoryFailed(AssertionError):
    """A history ended otherwise than it may; the text names the seed."""


def ancestry(build: LineageBuilder, last: int) -> Lineage:
    """Return the lineage that ends at an RDD, without those it does not need."""
    needed = {last}
    for node in reversed(build.nodes):
        if node.rdd_id in needed:
            needed.update(dependency.rdd_id for dependency in node.dependencies)
    return Lineage(tuple(node for node in build.nodes if node.rdd_id in needed))


def random_lineages(rng: random.Random) -> list[Lineage]:
    """Return lineages that share RDDs, with at least 2 shuffles in all, one job each."""
    build = LineageBuilder()
    rdds = [random_source(build, rng) for _ in range(rng.randint(1, 3))]
    wide = [build.shuffled(rng.choice(rdds), rng.randint(6, 14))]
    for _ in range(rng.randint(2, 6)):
        parent = rng.choice([*rdds, *wide, wide[-1]])
        match rng.randrange(4):
            case 0:
                rdds.append(build.narrow(parent))
            case 1:
                # Two shuffles into one RDD, as a join has.
                reducers = rng.randint(4, 12)
                dependencies = [build.shuffle_of(each, reducers) for each in (parent, rng.choice([*rdds, *wide]))]
                wide.append(build.add(reducers, dependencies))
            case _:
                wide.append(build.shuffled(parent, rng.randint(6, 14)))
    if len(wide) < 2:
        wide.append(build.shuffled(wide[0], rng.randint(6, 14)))
    lineages = [ancestry(build, wide[0]), ancestry(build, wide[-1])]
    lineages += [ancestry(build, rng.choice([*rdds, *wide])) for _ in range(rng.randint(1, 3))]
    while num_tasks(lineages) < 100:
        lineages.append(ancestry(build, rng.choice(wide)))
    rng.shuffle(lineages)
    return lineages


def random_source(build: LineageBuilder, rng: random.Random) -> int:
    """Add a source whose partitions may prefer hosts, also such as do not exist."""
    rdd_id = build.source(rng.randint(4, 12))
    if rng.random() < 0.6:
        node = build.nodes[rdd_id]
        rows = [rng.sample(range(4), rng.randint(0, 3)) for _ in range(node.num_partitions)]
        starts = [0, *accumulate(map(len, rows))]
        hosts = tuple(TaskLocation(f"host-{number}") for number in range(4))
        places = [place for row in rows for place in row]
        preferences = Preferences(hosts, pack_integers(starts), pack_integers(places))
        build.nodes[rdd_id] = replace(node, preferences=preferences)
    return rdd_id


def num_tasks(lineages: list[Lineage]) -> int:
    """Return how many tasks jobs over these lineages have; the map tasks of a shuffle that they share count once."""
    maps = {
        dependency.shuffle_id: node.num_partitions
        for lineage in lineages
        for dependency in shuffles_of(lineage)
        for node in lineage.nodes
        if node.rdd_id == dependency.rdd_id
    }
    return sum(maps.values()) + sum(lineage.nodes[-1].num_partitions for lineage in lineages)


def shuffles_of(lineage: Lineage) -> list[ShuffleDependencyInfo]:
    """Return the shuffles of a lineage."""
    return [each for node in lineage.nodes for each in node.dependencies if not isinstance(each, NarrowDependency)]


class History:
    """One history.

    Args:
        seed: of all chance.
        checks: whether the invariants are asserted after every step (that is most of the cost).
        journal: a file to which the schedulers' messages are recorded.

    Attributes:
        faults: what went wrong on purpose, by kind.
        trace: a checksum of all messages, in order, with their times.
    """

    def __init__(self, seed: int, *, checks: bool = True, journal: Path | None = None) -> None:
        self.seed = seed
        self.checks = checks
        self.rng = rng = random.Random(seed)
        self.lineages = random_lineages(rng)
        self.script = SymbolicScript(random.Random(seed + 1), MapOutputs(), self.draw_chances())
        members = [self.new_executor(number) for number in range(rng.randint(3, 6))]
        self.num_executors = len(members)
        conf = self.draw_conf()
        if journal is not None:
            conf.set("minispark.scheduler.journal", journal)
        self.cluster = SimulatedCluster(
            members, conf=conf, script=self.script, seed=seed, shuffled=rng.random() < 0.8
        )
        self.script.map_outputs = self.cluster.map_outputs
        self.cluster.results = self.script.stored
        self.cluster.stepped.observer = self.observe
        self.expected: dict[int, dict[int, int]] = {}
        self.faults: dict[str, int] = {}
        self.lost: set[ExecutorId] = set()  # as far as the DAGScheduler has heard
        self.trace = 0
        self.touched = ""

    def draw_chances(self) -> Chances:
        """Draw which mishaps this history is about."""
        rng = self.rng
        return Chances(
            raising=rng.choice([0.0, 0.02, 0.05]),
            late=rng.choice([0.0, 0.05, 0.3]),
            result_lost=rng.choice([0.0, 0.02]),
            unknown=rng.choice([0.0, 0.01]),
            indirect=rng.choice([0.0, 0.2]),
        )

    def draw_conf(self) -> SparkConf:
        """Draw settings; the limits are wide, because giving up is not what most histories are about."""
        rng = self.rng
        return SparkConf(
            {
                "minispark.scheduler.mode": rng.choice(["fifo", "fair"]),
                "minispark.task.maxFailures": rng.choice([4, 6]),
                "minispark.stage.maxConsecutiveAttempts": rng.choice([4, 8, 50]),
                "minispark.locality.wait": rng.choice(["0s", "1s"]),
                "minispark.speculation": rng.random() < 0.3,
                "minispark.speculation.quantile": "0.5",
                "minispark.speculation.multiplier": "1.5",
                "minispark.excludeOnFailure.enabled": rng.random() < 0.2,
                "minispark.excludeOnFailure.timeout": "20s",
            },
            environment={},
        )

    def new_executor(self, number: int) -> SimulatedExecutor:
        """Make an executor on one of three hosts."""
        executor_id = ExecutorId(f"exec-{number}")
        self.script.executor_added(executor_id)
        return SimulatedExecutor(executor_id, f"host-{number % 3}", self.rng.randint(1, 4))

    # -- what happens ------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Set the times of jobs and faults; in the end there are executors and nothing more goes wrong."""
        rng, later = self.rng, self.cluster.world.call_later
        for lineage in self.lineages:
            later(rng.uniform(0.0, 6.0) if rng.random() < 0.7 else 0.0, self.submit, lineage)
        kinds: list[Callable[[], bool]] = [
            self.lose_executor, self.damage_file, self.damage_file, self.damage_file,
            self.replace_executor, self.replace_executor, self.decommission, self.cancel_a_job,
        ]  # fmt: skip
        for _ in range(rng.randint(MIN_FAULTS, 10)):
            later(rng.uniform(0.5, FAULTS_UNTIL_S), self.strike, rng.choice(kinds))
        later(FAULTS_UNTIL_S + 5.0, self.add_executor)

    def strike(self, kind: Callable[[], bool]) -> None:
        """Let a fault happen, or another one where there is nothing for it to hit."""
        if not kind() and not self.replace_executor():
            self.add_executor()
            self.replace_executor()

    def submit(self, lineage: Lineage) -> None:
        """Submit a job, sometimes over a part of the partitions, in any order."""
        rng = self.rng
        wanted = list(range(lineage.nodes[-1].num_partitions))
        if rng.random() < 0.3:
            wanted = rng.sample(wanted, rng.randint(1, len(wanted)))
        properties = {"minispark.scheduler.pool": rng.choice(["one", "two"])} if rng.random() < 0.5 else {}
        job = self.cluster.submit(lineage, wanted, properties=properties)
        self.script.rdd_of_binary[FIRST_JOB_BINARY + job.job_id] = lineage.nodes[-1].rdd_id
        self.script.rdd_of_binary.update((each.binary_id, each.rdd_id) for each in shuffles_of(lineage))
        self.expected[job.job_id] = Expected().results(lineage, wanted)

    def fault(self, kind: str) -> None:
        """Count a fault."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def living(self) -> list[ExecutorId]:
        """Return the executors that live."""
        return [executor_id for executor_id, slots in self.cluster.backend.slots.items() if slots.is_alive]

    def lose_executor(self) -> bool:
        """Let an executor die with its files; the driver may hear of it late."""
        living = self.living()
        if not living:
            return False
        self.fault("executor lost")
        executor_id = self.rng.choice(living)
        self.script.executor_lost(executor_id)
        after_s = self.rng.choice([0.0, 0.0, 0.5, 3.0])
        self.cluster.backend.lose(executor_id, after_s=after_s, caused_by_app=self.rng.random() < 0.1)
        return True

    def replace_executor(self) -> bool:
        """Lose an executor and let another one come, a moment later."""
        self.cluster.world.call_later(self.rng.uniform(0.0, 1.0), self.add_executor)
        return self.lose_executor()

    def add_executor(self) -> None:
        """Let an executor come; a name that is free may be used again."""
        number = self.num_executors
        free = [n for n in range(number) if f"exec-{n}" not in self.cluster.backend.slots]
        if free and self.rng.random() < 0.3:
            number = self.rng.choice(free)
        else:
            self.num_executors += 1
        self.cluster.backend.add(self.new_executor(number))

    def decommission(self) -> bool:
        """Let an executor go away on purpose, its files after a while."""
        living = self.living()
        if len(living) < 2:
            return False
        self.fault("decommissioned")
        executor_id = self.rng.choice(living)
        self.cluster.backend.decommission(executor_id)
        self.cluster.world.call_later(self.rng.uniform(1.0, 4.0), self.leave, executor_id)
        return True

    def leave(self, executor_id: ExecutorId) -> None:
        """End an executor that was decommissioned, unless it was lost before."""
        slots = self.cluster.backend.slots.get(executor_id)
        if slots is not None and slots.is_alive and slots.is_leaving:
            self.script.executor_lost(executor_id)
            self.cluster.backend.lose(executor_id)

    def damage_file(self) -> bool:
        """Lose one registered file of an executor that lives."""
        if not self.script.damage():
            return False
        self.fault("file damaged")
        return True

    def cancel_a_job(self) -> bool:
        """Cancel one of the jobs that run."""
        open_jobs = [job for job in self.cluster.jobs.values() if job.ended_s is None]
        if not open_jobs:
            return False
        self.fault("cancelled")
        self.cluster.cancel(self.rng.choice(open_jobs), "cancelled by the history")
        return True

    # -- what is asserted --------------------------------------------------------------------------------------------

    def observe(self, name: str, message: Message) -> None:
        """Note a message in the trace, and what the DAGScheduler hears of executors."""
        self.touched = name
        self.cluster.recorder.message(name, message)
        line = f"{self.cluster.stepped.now:.9f} {name} {message!r}"
        self.trace = zlib.crc32(line.encode(), self.trace)
        if name == "DAGScheduler":
            if isinstance(message, ExecutorRemoved):
                self.lost.add(message.executor_id)
            elif isinstance(message, ExecutorAdded):
                self.lost.discard(message.executor_id)
        elif isinstance(message, SubmitTaskSet):
            numbers = unpack_integers(message.partitions)
            assert len(set(numbers)) == len(numbers), f"a partition twice in {message}"

    def check(self) -> None:
        """Assert what holds after every step, of the machines that the step can have changed."""
        cluster = self.cluster
        touched, self.touched = self.touched, ""
        if touched != "DAGScheduler":
            cluster.tasks.check()
            cluster.backend.check()
            return
        cluster.dag.state.check()
        cluster.map_outputs.check()
        for shuffle_id, shuffle in cluster.map_outputs.shuffles.items():
            gone = self.lost.intersection(shuffle.on_executor)
            assert not gone, f"shuffle {shuffle_id} has outputs of {sorted(gone)}, which were lost"

    def run(self) -> "History":
        """Let the history happen.

        Raises:
            HistoryFailed: something was not as it must be.
        """
        try:
            self.plan()
            stepped = self.cluster.stepped
            while stepped.step():
                if self.checks:
                    self.check()
                assert stepped.steps < MAX_STEPS, "it does not come to an end"
            self.assert_ended()
        except Exception as error:
            raise HistoryFailed(f"history {self.seed} failed after {self.faults}: {error!r}") from error
        return self

    def assert_ended(self) -> None:
        """Assert that enough has happened, that each job ended as it may, and that nothing is left."""
        self.assert_eventful()
        self.cluster.assert_empty()
        for job in self.cluster.jobs.values():
            if job.failure is None:
                self.assert_results(job)
            else:
                self.assert_allowed(job)
        for shuffle_id in list(self.cluster.map_outputs.shuffles):
            self.cluster.forget_shuffle(shuffle_id)
        self.cluster.run()
        self.cluster.map_outputs.assert_empty()
        for what in self.cluster.removed_files:
            if isinstance(what, RemoveMapOutput):
                assert what.location.directory.startswith("exec-"), what

    def assert_eventful(self) -> None:
        """Assert that this was a history worth the name."""
        shuffles = {each.shuffle_id for lineage in self.lineages for each in shuffles_of(lineage)}
        assert len(self.cluster.jobs) >= 3
        assert len(shuffles) >= 2
        assert num_tasks(self.lineages) >= 100
        assert self.num_executors >= 3
        assert sum(self.faults.values()) >= MIN_FAULTS

    def assert_results(self, job: SimulatedJob) -> None:
        """Assert that a job has exactly the values that its lineage says."""
        got = {place: int.from_bytes(result.batches[0], "big") for place, result in job.results.items()}
        assert got == self.expected[job.job_id], f"job {job.job_id} has wrong values: {got}"

    def assert_allowed(self, job: SimulatedJob) -> None:
        """Assert that a job was given up for a reason that this history gave."""
        assert job.failure is not None
        injected = self.script.injected
        match job.failure.kind:
            case "cancelled":
                assert "cancelled" in self.faults, job.failure
            case "task failures" | "executor lost":
                made = sum(injected.get(kind, 0) for kind in ("raising", "unknown", "result lost"))
                made += self.faults.get("executor lost", 0)
                assert made >= self.cluster.conf.task_max_failures, job.failure
            case "aborted" if self.cluster.conf.exclude_on_failure:
                assert "raising" in injected or "unknown" in injected or "executor lost" in self.faults, job.failure
            case "aborted":
                # Only fetch failures, of which there were enough, give a stage up.
                allowed = self.cluster.conf.stage_max_consecutive_attempts
                assert injected.get("fetch failed", 0) >= allowed, job.failure
            case _:
                raise AssertionError(f"job {job.job_id} failed and should not: {job.failure}")
