"""A whole scheduler without a cluster: the real DAGScheduler and TaskScheduler over simulated executors.

For tests of what schedulers decide, and for experiments: delay scheduling, fairness, failures, a million tasks on ten
thousand executors. Virtual time, chance from a seed: equal arguments give equal histories. It comes in two ways:
`SimulatedCluster(...)` steps through a world without an event loop (fast), `cluster_in_env` runs the same endpoints
in a real RpcEnv on a virtual loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, JobId, ShuffleId
from minispark.messages.listener import EventSink, ListenerEvent
from minispark.messages.scheduler import JobCancelled, JobSubmitted, ShuffleForgotten, pack_integers
from minispark.messages.task import DirectResult, IndirectResult, Lineage, ShuffleDependencyInfo
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.dag_scheduler import DAGScheduler
from minispark.scheduler.logic.effects import RemoveMapOutput, RemoveShuffleFiles
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.pool import Mode, PoolSpec, PoolTree
from minispark.scheduler.recording import recorder_for
from minispark.scheduler.task_scheduler import TaskScheduler
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.scripted_tasks import SimulatedExecutor, StageKind, TaskScript
from minispark.testing.simulated_backend import SimulatedBackend
from minispark.testing.stepped_world import SteppedScope, SteppedWorld

__all__ = ["SimulatedCluster", "SimulatedJob", "cluster_in_env", "ended", "executors"]

FIRST_JOB_BINARY = 1_000_000
"""Binaries of jobs are numbered from here; shuffles bring their own, lower ones."""


def executors(count: int, *, cores: int = 1, per_host: int = 1) -> list[SimulatedExecutor]:
    """Return executors `exec-0` … on hosts `host-0` …, so many of them to a host."""
    return [
        SimulatedExecutor(ExecutorId(f"exec-{number}"), f"host-{number // per_host}", cores)
        for number in range(count)
    ]


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """A job that was submitted.

    Attributes:
        results: by position; what was delivered for it.
        submitted_s: when it was submitted, virtual seconds.
        ended_s: when it ended; None while it runs.
        failure: why it was given up, if it was.
    """

    job_id: JobId
    lineage: Lineage
    partitions: list[int]
    submitted_s: float
    results: dict[int, DirectResult] = field(default_factory=dict)
    ended_s: float | None = None
    failure: JobFailure | None = None

    @property
    def response_s(self) -> float:
        """How long its owner waited, in seconds.

        Raises:
            ValueError: it has not ended.
        """
        if self.ended_s is None:
            raise ValueError(f"job {self.job_id} has not ended")
        return self.ended_s - self.submitted_s


class Silence:
    """Nobody listens to events."""

    wants_tasks = False

    def post(self, event: ListenerEvent) -> None:
        """Drop an event."""


class NoPayloads:
    """Partitions are nothing but numbers."""

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        """Return nothing."""
        return b""


Register = Callable[[str, RpcEndpoint], RpcEndpointRef]


class SimulatedCluster:
    """Schedulers and executors, and the owner of the jobs.

    Args:
        members: the executors that are there from the start.
        conf: settings of the schedulers; nothing is taken from the environment by default. A journal is written if
            it names one; `await recorder.close()` ends it.
        script: what tasks do; by default each takes a second and succeeds.
        pools: configured pools, for `minispark.scheduler.mode=fair`.
        seed: of chance.
        shuffled: whether the order of what may happen at the same time is drawn by lot.
        events: where events go.
        world: another world than a stepped one; then `register` and `scope` are its env's.

    Attributes:
        jobs: all that were submitted.
        world: the clock and timers, to schedule what shall happen: `cluster.world.call_later(5, …)`.
        removed_files: what the schedulers had deleted.

    Example:
        >>> cluster = SimulatedCluster(executors(4, cores=2))
        >>> build = LineageBuilder()
        >>> build.shuffled(build.source(16), 8)
        >>> job = cluster.submit(build.lineage())
        >>> cluster.run()
        >>> job.response_s  # 16 map tasks and 8 reducers of a second each on 8 cores
        3.0
    """

    def __init__(
        self,
        members: Iterable[SimulatedExecutor],
        *,
        conf: SparkConf | None = None,
        script: TaskScript | None = None,
        pools: Iterable[PoolSpec] = (),
        seed: int = 0,
        shuffled: bool = False,
        events: EventSink | None = None,
        world: World | None = None,
        register: Register | None = None,
        scope: TaskScope | None = None,
    ) -> None:
        self.conf = conf or SparkConf(environment={})
        self.script = script or TaskScript()
        self.seed = seed
        self.stepped = SteppedWorld(seed, shuffled=shuffled)
        self.world = world or self.stepped
        self.jobs: dict[JobId, SimulatedJob] = {}
        self.removed_files: list[RemoveShuffleFiles | RemoveMapOutput] = []
        self.results: dict[str, DirectResult] = {}
        self.map_outputs = MapOutputs()
        self.on_end: Callable[[SimulatedJob], object] | None = None
        self.backend = SimulatedBackend(self.world, self.script, direct=world is None and not shuffled)
        self.compose(
            register or self.stepped.register, scope or SteppedScope("simulation"), pools, events or Silence()
        )
        for member in members:
            self.backend.add(member)

    def compose(self, register: Register, scope: TaskScope, specs: Iterable[PoolSpec], events: EventSink) -> None:
        """Put the endpoints together, as a driver does."""
        specs = list(specs)
        failures = self.conf.task_max_failures
        recorder = self.recorder = recorder_for(self.conf, self.world, scope, failures, specs)
        if self.conf.scheduler_journal:
            self.stepped.observer = recorder.message
        world = recorder.world(self.world)
        self.pools = PoolTree(Mode(self.conf.scheduler_mode), specs)
        self.dag = DAGScheduler(
            self.conf, world, self.map_outputs, recorder.jobs(self), events, self.remove_files, max_failures=failures
        )
        self.dag_ref = register("DAGScheduler", self.dag)
        self.tasks = TaskScheduler(
            self.conf,
            failures,
            world,
            scope,
            recorder.ref(self.dag_ref),
            NoPayloads(),
            self.read_result,
            events,
            self.pools,
        )
        self.tasks_ref = register("TaskScheduler", self.tasks)
        recorder.racks(self.tasks.topology)
        self.dag.attach(recorder.ref(self.tasks_ref), self.tasks.max_concurrent_tasks)
        self.backend_ref = register("SimulatedBackend", self.backend)
        self.backend.attach(recorder.offers(self.tasks), (self.dag_ref, self.tasks_ref))
        self.tasks.attach(recorder.backend(self.backend))

    # -- jobs --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        lineage: Lineage,
        partitions: Sequence[int] | None = None,
        *,
        properties: dict[str, str] | None = None,
        name: str = "job",
    ) -> SimulatedJob:
        """Submit a job over the last RDD of a lineage, over all its partitions by default."""
        last = lineage.nodes[-1]
        wanted = list(range(last.num_partitions) if partitions is None else partitions)
        job_id = JobId(len(self.jobs))
        job = self.jobs[job_id] = SimulatedJob(job_id, lineage, wanted, self.world.monotonic())
        binary_id = BinaryId(FIRST_JOB_BINARY + job_id)
        self.script.kinds[binary_id] = StageKind()
        for node in lineage.nodes:
            for each in node.dependencies:
                if isinstance(each, ShuffleDependencyInfo):
                    self.script.kinds[each.binary_id] = StageKind(each.shuffle_id, each.num_reducers)
        self.dag_ref.send(
            JobSubmitted(
                job_id, lineage, pack_integers(wanted), binary_id, f"{name} {job_id}", name, dict(properties or {})
            )
        )
        return job

    def cancel(self, job: SimulatedJob, reason: str = "cancelled") -> None:
        """Cancel a job."""
        self.dag_ref.send(JobCancelled(job.job_id, reason))

    def forget_shuffle(self, shuffle_id: ShuffleId) -> None:
        """Say that no RDD refers to a shuffle any more."""
        self.dag_ref.send(ShuffleForgotten(shuffle_id))

    def run(self, until_s: float = float("inf")) -> None:
        """Let everything happen up to a time, or until nothing is left to happen (not in an env)."""
        self.stepped.run(until_s)

    # -- what the schedulers ask of a driver -------------------------------------------------------------------------

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        """Take one partition's result; a second one is an error of the schedulers."""
        job = self.jobs[job_id]
        assert position not in job.results, f"job {job_id} got position {position} twice"
        assert job.ended_s is None, f"job {job_id} got a result after its end"
        job.results[position] = result

    def job_succeeded(self, job_id: JobId) -> None:
        """Note that a job has all its results."""
        self.end(self.jobs[job_id], None)

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        """Note that a job was given up."""
        self.end(self.jobs[job_id], failure)

    def all_failed(self, failure: JobFailure) -> None:
        """Fail loudly: the schedulers gave everything up because of an error of their own."""
        raise AssertionError(failure.message)

    def end(self, job: SimulatedJob, failure: JobFailure | None) -> None:
        """Note the end of a job; a second one is an error of the schedulers."""
        assert job.ended_s is None, f"job {job.job_id} ended twice"
        job.ended_s, job.failure = self.world.monotonic(), failure
        if self.on_end is not None:
            self.on_end(job)

    def remove_files(self, what: RemoveShuffleFiles | RemoveMapOutput) -> None:
        """Note what is to be deleted."""
        self.removed_files.append(what)

    async def read_result(self, result: IndirectResult) -> DirectResult | None:
        """Return a result that was left with an executor; a script puts them into `results` by block id."""
        return self.results.pop(result.block_id, None)

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert the invariants of all machines."""
        self.dag.state.check()
        self.tasks.check()
        self.map_outputs.check()
        self.backend.check()

    def assert_empty(self) -> None:
        """Assert that all jobs have ended and nothing of them is left."""
        open_jobs = [job.job_id for job in self.jobs.values() if job.ended_s is None]
        assert not open_jobs, f"jobs {open_jobs} have not ended, and nothing is left to happen"
        self.dag.state.assert_empty()
        self.tasks.assert_empty()
        self.backend.assert_idle()


def cluster_in_env(
    members: Iterable[SimulatedExecutor], world: World, **options: Any
) -> tuple[SimulatedCluster, RpcEnv]:
    """Make a cluster whose endpoints live in an RpcEnv of a running loop; the caller closes the env.

    Args:
        members: the executors.
        world: of the env, usually a `VirtualWorld`.
        options: those of `SimulatedCluster`.
    """
    conf = options.setdefault("conf", SparkConf(environment={}))
    env = RpcEnv("driver", world, conf)
    cluster = SimulatedCluster(members, world=world, register=env.setup_endpoint, scope=env.scope, **options)
    return cluster, env


async def ended(cluster: SimulatedCluster, jobs: Iterable[SimulatedJob]) -> None:
    """Wait until jobs have ended, in an env."""
    done = asyncio.Event()
    waiting = {job.job_id for job in jobs if job.ended_s is None}

    def note(job: SimulatedJob) -> None:
        waiting.discard(job.job_id)
        if not waiting:
            done.set()

    cluster.on_end = note
    if waiting:
        await done.wait()
