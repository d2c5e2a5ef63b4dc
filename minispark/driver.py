"""The driver's components, put together: env, schedulers, tables, backend.

Made by SparkContext when it starts. It only composes, starts and stops: what the parts do is theirs.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, MiniSparkError
from minispark.ids import ApplicationId, ExecutorId, RddId, ShuffleId
from minispark.messages.heartbeat import TaskSchedulerIsSet
from minispark.messages.listener import ApplicationEnd
from minispark.messages.scheduler import AllJobsCancelled, ComponentFailed, ShuffleForgotten
from minispark.messages.task import BlockManagerId, DirectResult, IndirectResult
from minispark.persistence import Persisted
from minispark.rdd import closures
from minispark.rpc.env import RpcEnv
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.accumulator_table import AccumulatorTable
from minispark.scheduler.application_events import extra_listeners, opening_events
from minispark.scheduler.backend import SchedulerBackend, TaskOffers
from minispark.scheduler.barrier import BARRIER_SYNC, BarrierCoordinator
from minispark.scheduler.dag_scheduler import DAGScheduler
from minispark.scheduler.direct_runner import DirectBackend, DirectRunner
from minispark.scheduler.heartbeat_receiver import HEARTBEAT_RECEIVER, ExecutorReplacer, HeartbeatReceiver
from minispark.scheduler.job_waiter import JobTable
from minispark.scheduler.jobs import Jobs
from minispark.scheduler.listener_bus import ListenerBus
from minispark.scheduler.logic.commits import OutputCommits
from minispark.scheduler.logic.effects import RemoveMapOutput, RemoveShuffleFiles
from minispark.scheduler.logic.pool import Mode, PoolSpec, PoolTree
from minispark.scheduler.output_commit import OUTPUT_COMMIT_COORDINATOR, OutputCommitCoordinator
from minispark.scheduler.recording import Unrecorded, recorder_for
from minispark.scheduler.speculations import attempts_progressed
from minispark.scheduler.stage_work import StageWork
from minispark.scheduler.task_scheduler import TaskScheduler
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.shuffle.removal import MapOutputRemover
from minispark.shuffle.tracker import MapOutputTracker, min_broadcast_bytes
from minispark.storage.block_manager_master import BlockManagerMaster
from minispark.storage.broadcast import BinaryServer, BinaryTable
from minispark.storage.result_fetcher import ResultFetcher
from minispark.ui.progress import ProgressLine

if TYPE_CHECKING:
    from minispark.checkpointing import Checkpoints
    from minispark.distribution import Distribution
    from minispark.executor.runners import RunnerPool
    from minispark.executor.session import SessionDirectory
    from minispark.rdd.ports import JobRunner
    from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend
    from minispark.scheduler.executor_allocation import ExecutorAllocationManager

__all__ = ["Driver", "RunMode"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


class RunMode(Protocol):
    """Where the tasks run, and what a driver needs for that: `local_mode.LocalMode`, `cluster_mode.ClusterMode`."""

    @property
    def is_local(self) -> bool:
        """Whether the executor is in this process, so that nobody need be told to look for executors."""

    @property
    def replacer(self) -> ExecutorReplacer | None:
        """Gets other executors for those that have gone silent; None: nobody can."""

    @property
    def cluster_backend(self) -> "CoarseGrainedSchedulerBackend | None":
        """Gets and ends executors; None: there are none."""

    @property
    def default_parallelism(self) -> int:
        """How many partitions keep all cores busy."""

    @property
    def session(self) -> "SessionDirectory | None":
        """The directory whose files all tasks can read; None: the driver makes one of its own when it needs it."""

    @property
    def pool(self) -> "RunnerPool | None":
        """The runners, if they are this process's."""

    def location_at(self, directory: str) -> BlockManagerId | None:
        """Return where the blocks of an executor in another process are, by its session directory; None: unknown."""

    def peers_of(self, executor_id: ExecutorId) -> tuple[BlockManagerId, ...]:
        """Return where the blocks of the other executors are that stay."""

    async def open_env(self) -> RpcEnv:
        """Return a new env for the driver's endpoints; raises MiniSparkError."""

    async def start(self, driver: "Driver") -> ApplicationId:
        """Attach a backend (`Driver.attach`), have executors start, return the application's id."""

    def started(self, driver: "Driver") -> None:
        """Post what listeners are to know once they know of the application."""

    async def close(self, deadline_s: float) -> None:
        """End what was started, once the env is closed; nothing happens the second time."""

    def abandon(self) -> None:
        """End what is left at once, without the event loop, which has ended."""


class Driver:
    """Everything that runs in the driver's process.

    Args:
        conf: the application's settings.
        world: clock, chance, processes.
        mode: has the tasks run.
        max_failures: failures of one task before its job is given up.

    Attributes:
        jobs: runs and cancels jobs.
        work: the binaries of jobs and shuffles.
        pools: how jobs share the slots.
        events: the listener bus.
        accumulators: those of the application.
        dag_scheduler: takes jobs.
        application_id: from the start on.
        allocation: has executors come and go with the load; None: nobody does.
        stop_context: stops whoever made the driver, and the driver with it; set by its maker.
    """

    dag_scheduler: RpcEndpointRef
    heartbeats: RpcEndpointRef
    block_manager_master: BlockManagerMaster
    receiver: HeartbeatReceiver
    application_id: ApplicationId
    dag: DAGScheduler
    jobs: Jobs
    scheduler: TaskScheduler
    results: ResultFetcher
    tracker: MapOutputTracker

    def __init__(self, conf: SparkConf, world: World, mode: RunMode, max_failures: int) -> None:
        self.conf = conf
        self.world = world
        self.mode = mode
        self.max_failures = max_failures
        self.binaries = BinaryTable(lambda: self.distribution)
        self.work = StageWork(self.binaries, self.shuffle_forgotten)
        self.job_table = JobTable()
        self.events = ListenerBus(world, conf.listener_queue_capacity)
        if conf.ui_progress:
            self.events.add(ProgressLine(sys.stderr, world.monotonic))
        for listener in extra_listeners(conf):
            self.events.add(listener)
        self.map_outputs = MapOutputs()
        self.commits = OutputCommits()
        self.persisted = Persisted(self)
        self.checkpoints: Checkpoints | None = None
        self.barriers = BarrierCoordinator(world, conf.barrier_sync_timeout)
        self.accumulators = AccumulatorTable(world)
        self.pool_specs: list[PoolSpec] = []
        self.pools = self.make_pools()
        self.recorder = Unrecorded()
        self.env: RpcEnv | None = None
        self.backend: SchedulerBackend | None = None
        self.allocation: ExecutorAllocationManager | None = None
        self.stopping: asyncio.Task[None] | None = None
        self.stop_context: Callable[[], Coroutine[Any, Any, None]] | None = None

    # -- start -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register the endpoints and have executors started.

        Raises:
            MiniSparkError: that cannot be; the text says why, and nothing is left behind.
        """
        try:
            self.env = await self.mode.open_env()
            self.results = ResultFetcher(self.env, self.mode.location_at)
            self.env.dispatcher.on_unsettled = self.component_failed
            self.start_schedulers(self.env)
            self.application_id = await self.mode.start(self)
            for event in opening_events(self.conf, self.application_id, self.world.wall()):
                self.events.post(event)
            self.mode.started(self)
        except BaseException:
            await self.stop()
            raise

    def start_schedulers(self, env: RpcEnv) -> None:
        """Register what a driver has in every mode."""
        recorder = self.recorder = recorder_for(
            self.conf,
            self.world,
            env.scope,
            self.max_failures,
            self.pool_specs,
            replaces_executors=self.mode.replacer is not None,
        )
        if self.conf.scheduler_journal:
            env.dispatcher.observer = lambda endpoint, message, _: recorder.message(endpoint, message)
        self.block_manager_master = BlockManagerMaster(self.world, env.scope)
        self.block_manager_master.transfer = lambda: self.results.transfer
        dag = DAGScheduler(
            self.conf,
            recorder.world(self.world),
            self.map_outputs,
            recorder.jobs(self.job_table),
            self.events,
            self.remove_files,
            self.accumulators.count,
            recorder.cached(self.block_manager_master),
            max_failures=self.max_failures,
            on_failure=self.scheduler_failed,
        )
        self.dag_scheduler = env.setup_endpoint("DAGScheduler", dag)
        self.dag = dag
        dag.state.watchers.add(self.commits)
        dag.state.watchers.add(self.barriers)
        self.jobs = Jobs(
            self.dag_scheduler, self.job_table, self.work, self.world, self.max_failures, self.may_run_directly
        )
        scheduler = TaskScheduler(
            self.conf,
            self.max_failures,
            recorder.world(self.world),
            env.scope,
            recorder.ref(self.dag_scheduler),
            self.work,
            self.read_result,
            self.events,
            self.pools,
            is_local=self.mode.is_local,
        )
        recorder.racks(scheduler.topology)
        task_scheduler = recorder.ref(env.setup_endpoint("TaskScheduler", scheduler))
        dag.attach(task_scheduler, scheduler.max_concurrent_tasks)
        self.scheduler = scheduler
        scheduler.executors.has_moved = self.map_outputs.has_moved
        self.tracker = MapOutputTracker(self.map_outputs, self.dag_scheduler, self.mode.peers_of)
        self.tracker.min_broadcast_bytes = min_broadcast_bytes(self.conf)
        if not self.mode.is_local:
            self.tracker.large = lambda: self.distribution
        env.setup_endpoint("MapOutputTracker", self.tracker)
        env.setup_endpoint(OUTPUT_COMMIT_COORDINATOR, OutputCommitCoordinator(self.commits))
        env.setup_endpoint(BARRIER_SYNC, self.barriers)
        self.receiver = HeartbeatReceiver(
            self.world,
            self.conf.network_timeout,
            (lambda tasks: scheduler.self_ref.send(attempts_progressed(tasks))) if self.conf.speculation else None,
            (self.dag_scheduler, scheduler.self_ref),
            self.mode.replacer,
            self.conf.network_timeout_interval,
        )
        self.heartbeats = env.setup_endpoint(HEARTBEAT_RECEIVER, self.receiver)
        env.setup_endpoint("BlockManagerMaster", self.block_manager_master)
        env.setup_endpoint("BinaryServer", BinaryServer(self.binaries, closures.class_content))

    @property
    def offers(self) -> TaskOffers:
        """The TaskScheduler, as the backend's endpoint is to call it."""
        return self.recorder.offers(self.scheduler)

    def attach(self, backend: SchedulerBackend, endpoint: DirectBackend) -> None:
        """Use a backend and its endpoint; from now on executors may be heard of."""
        self.backend = backend
        self.dag.direct_runner = self.recorder.direct(
            DirectRunner(
                endpoint,
                self.work,
                self.dag_scheduler,
                self.conf.task_cpus,
                self.drop_result,
                self.conf.rpc_message_max_size,
            )
        )
        self.scheduler.attach(self.recorder.backend(backend))
        self.heartbeats.send(TaskSchedulerIsSet())

    def follow_load(self, allocation: "ExecutorAllocationManager") -> None:
        """Have dynamic allocation hear of all that it goes by."""
        self.allocation = allocation
        self.events.observe(allocation.observe)
        self.block_manager_master.watcher = allocation
        self.tracker.heard_move = allocation.output_moved

    def make_pools(self) -> PoolTree:
        """Make the pools that are configured.

        Raises:
            ConfigurationError: the allocation file is missing or malformed.
        """
        if self.conf.scheduler_mode == "fifo":
            return PoolTree(Mode.FIFO)
        from minispark.scheduler.allocation_file import find_pools  # parsers that only this mode needs

        self.pool_specs = list(find_pools(self.conf.scheduler_allocation_file, Path.cwd()))
        return PoolTree(Mode.FAIR, self.pool_specs)

    def configure_pool(self, name: str, mode: str, min_share: int, weight: int, parent: str) -> None:
        """Add a pool, or change one; see `SparkContext.configure_pool`."""
        if self.conf.scheduler_mode != "fair":
            raise ConfigurationError(f"pool {name!r} would have no effect: set minispark.scheduler.mode=fair")
        if min_share < 0 or weight < 1 or mode.lower() not in ("fifo", "fair"):
            raise ConfigurationError(
                f"pool {name!r} needs a mode of fifo or fair, a min_share of at least 0 and a weight of at least 1, "
                f"not {mode!r}, {min_share} and {weight}"
            )
        spec = PoolSpec(name, Mode(mode.lower()), min_share, weight, parent)
        try:
            self.recorder.pool(spec)
            self.pools.configure(spec)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None

    @cached_property
    def distribution(self) -> "Distribution":
        """What hands out broadcasts and files; loaded at its first use."""
        assert self.env is not None
        made: Distribution = import_module("minispark.distribution").Distribution(
            self.conf, self.world, self.env, self.mode.session, self.mode.pool
        )
        return made

    def checkpoints_of(self, context: "JobRunner") -> "Checkpoints":
        """Return what keeps RDDs by checkpoints; loaded when the first one is marked."""
        if self.checkpoints is None:
            self.checkpoints = import_module("minispark.checkpointing").Checkpoints(self, context)
            self.jobs.before, self.jobs.checkpoint = self.checkpoints.before_job, self.checkpoints.after_job
        return self.checkpoints

    # -- service -----------------------------------------------------------------------------------------------------

    async def read_result(self, result: IndirectResult) -> DirectResult | None:
        """Read a result that was left with its executor; None if it is not there as it was written."""
        return await self.results.read(result)

    def drop_result(self, result: IndirectResult) -> None:
        """Do away with a result that was left with its executor."""
        self.spawn(self.results.drop(result), name=f"drop result {result.block_id}")

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task that ends with the driver."""
        assert self.env is not None
        return self.env.scope.spawn(coroutine, name=name)

    def component_failed(self, name: str, error: BaseException) -> None:
        """Give all jobs up when an endpoint fails that they depend on: none of them shall wait for ever."""
        if hasattr(self, "dag_scheduler") and self.stopping is None:
            self.dag_scheduler.send(ComponentFailed(name, f"{type(error).__name__}: {error}"))

    def may_run_directly(self) -> bool:
        """Tell whether single tasks may go past the TaskScheduler: listeners would not hear of them."""
        return not self.events.wants_tasks

    def scheduler_failed(self) -> None:
        """Stop the context, from a task of its own: its scheduler cannot be used any more."""
        if self.stop_context is not None and self.stopping is None:
            self.spawn(self.stop_context(), name="stop the context: its scheduler failed")

    def give_up(self, reason: str) -> None:
        """Fail all jobs and stop the context: there is no cluster any more that could run them."""
        if self.stopping is None:
            self.job_table.stop(reason, "aborted")
            self.scheduler_failed()

    def shuffle_forgotten(self, shuffle_id: ShuffleId) -> None:
        """Have the outputs of a shuffle forgotten; the garbage collector calls this, on any thread."""
        env = self.env
        if env is not None and self.stopping is None and not env.loop.is_closed():
            env.loop.call_soon_threadsafe(self.dag_scheduler.send, ShuffleForgotten(shuffle_id))
            if self.allocation is not None:
                env.loop.call_soon_threadsafe(self.allocation.shuffle_forgotten, shuffle_id)

    def rdd_forgotten(self, rdd_id: RddId, generation: int) -> None:
        """Have the blocks of a persisted RDD dropped; the garbage collector calls this, on any thread."""
        env = self.env
        if env is not None and self.stopping is None and not env.loop.is_closed():
            env.loop.call_soon_threadsafe(self.persisted.forget, rdd_id, generation)

    def remove_files(self, what: RemoveShuffleFiles | RemoveMapOutput) -> None:
        """Delete map outputs that nobody needs, off the loop; a stop removes the directories anyway."""
        if self.stopping is not None:
            return
        remover = MapOutputRemover(self.world, lambda: self.results.transfer)
        if isinstance(what, RemoveMapOutput):
            removal = remover.remove_output(what.map_id, what.location)
        else:
            removal = remover.remove_shuffle(what.shuffle_id, what.locations)
            self.tracker.forget(what.shuffle_id)
        self.spawn(removal, name=f"delete: {what}")

    # -- stop --------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Cancel all jobs, end the executors, close the env; a cancelled caller does not interrupt it.

        A second cancel shortens what is left: the runners are killed at once when their pool is abandoned.
        """
        if self.stopping is None:
            loop = asyncio.get_running_loop()
            self.stopping = loop.create_task(self.shut_down(self.env), name="stop the driver")
        await asyncio.shield(self.stopping)

    async def shut_down(self, env: RpcEnv | None) -> None:
        """Stop everything, once, in the reverse order of the start."""
        self.job_table.stop("the SparkContext was stopped")
        try:
            if hasattr(self, "dag_scheduler"):
                self.dag_scheduler.send(AllJobsCancelled("the SparkContext was stopped"))
                self.receiver.application_ends()
            if self.backend is not None:
                await self.backend.stop()
        except MiniSparkError as error:
            logger.warning("the executors did not stop in order: %s", error)
        finally:
            self.events.post(ApplicationEnd(self.world.wall()))
            await self.events.stop(self.conf.executor_stop_deadline)
            if env is not None:
                await env.close()
            if "distribution" in vars(self):
                await self.distribution.close()
            self.accumulators.close()
            await self.recorder.close()
            await self.mode.close(0.0)

    def assert_empty(self) -> None:
        """Assert, after a stop, that nothing of any job is left in a table."""
        self.dag.state.assert_empty()
        self.commits.assert_empty()
        self.barriers.syncs.assert_empty()
        self.scheduler.assert_empty()
        assert not self.job_table.waiters, f"left over: {list(self.job_table.waiters)}"
