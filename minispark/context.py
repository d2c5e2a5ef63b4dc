"""SparkContext: the driver's entry point and composition root. Source: Spark's SparkContext.

It builds the env, the schedulers and the backend, makes RDDs, runs jobs and stops everything. What a job is, and what
a task does, is decided elsewhere.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, TypeVarTuple

from minispark.cluster_managers import has_manager, make_mode
from minispark.conf import SparkConf
from minispark.cores import available_cores
from minispark.errors import ConfigurationError, ContextError, PicklingError
from minispark.executor.current_task import current_task_context
from minispark.executor_control import ExecutorControl
from minispark.file_calls import FileCalls
from minispark.ids import RddId, ShuffleId
from minispark.job_control import JobControl
from minispark.listening import Listening
from minispark.persistence import Persistence
from minispark.rdd.arguments import no_attribute
from minispark.rdd.call_site import call_site
from minispark.reading import Reading
from minispark.rpc.world import SystemWorld, World
from minispark.scheduler.logic.master_url import (
    ExternalMaster,
    LocalMaster,
    check_task_cpus,
    max_failures,
    parse_master,
)
from minispark.sharing import Sharing

if TYPE_CHECKING:
    from minispark.cluster_mode import ClusterMode
    from minispark.driver import Driver
    from minispark.executor.zygote_process import ZygoteProcess
    from minispark.local_mode import LocalMode
    from minispark.rdd import sources
    from minispark.rdd.accumulators import Accumulator, AccumulatorParam
    from minispark.rdd.files import JobOutput, PathLike
    from minispark.rdd.ports import TaskContext
    from minispark.rdd.rdd import RDD
    from minispark.rdd.shuffled import shuffle_of
    from minispark.shuffle.logic.statistics import MapOutputStatistics

__all__ = ["SparkContext"]

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")

active: "SparkContext | None" = None


# Importing minispark costs little: what a running context needs is loaded by its start, the driver's half while the
# runner processes start on the other cores (docs/decisions/0003).


def load_zygote_process() -> "type[ZygoteProcess]":
    """Load what starts a process."""
    from minispark.executor.zygote_process import ZygoteProcess

    return ZygoteProcess


def load_local_mode() -> "type[LocalMode]":
    """Load what starts runners."""
    from minispark.local_mode import LocalMode

    return LocalMode


def load_cluster_mode() -> "type[ClusterMode]":
    """Load what has executors of a cluster."""
    from minispark.cluster_mode import ClusterMode

    return ClusterMode


def load_driver() -> "type[Driver]":
    """Load schedulers and RDDs."""
    global shuffle_of, sources
    from minispark.driver import Driver
    from minispark.rdd import sources
    from minispark.rdd.shuffled import shuffle_of

    return Driver


class SparkContext(JobControl, ExecutorControl, Sharing, Persistence, Reading, Listening):
    """An application: where its RDDs are made and its jobs run.

    Use it with `async with`; one is active in a process at a time, on the loop that started it.

    Args:
        master: where tasks run: `local`, `local[N]`, `local[*]`, `local[N,F]`, `local-cluster[N,C,M]`,
            `minispark://host:port[,…]`, or what a `cluster_managers` knows; default: the conf's, else `local[*]`.
        app_name: shown to people; default: the conf's.
        conf: settings; copied, so that later changes have no effect.
        world: clock, chance, processes; the test kit gives its own.

    Raises:
        ConfigurationError: master or a setting is wrong.
        ContextError: another context is active, or this is a task.

    Example:
        >>> async def main():
        ...     async with SparkContext("local[2]") as sc:
        ...         return await sc.parallelize([1, 2, 3]).map(lambda n: n * n).sum()
        >>> asyncio.run(main())
        14
    """

    driver: "Driver"

    def __init__(
        self,
        master: str | None = None,
        app_name: str | None = None,
        conf: SparkConf | None = None,
        *,
        world: World | None = None,
    ) -> None:
        if conf is not None and not isinstance(conf, SparkConf):
            raise ConfigurationError(f"conf must be a SparkConf, not {conf!r}: use SparkConf({{…}})")
        self.conf = SparkConf() if conf is None else conf.copy()
        if master is not None:
            self.conf.set_master(master)
        if app_name is not None:
            self.conf.set_app_name(app_name)
        self.world: World = SystemWorld() if world is None else world
        self.file_calls = FileCalls(self.world, self.conf.executor_stop_deadline)
        self.target = parse_master(self.conf.master, available_cores(), has_manager)
        is_set = self.conf.contains("minispark.task.maxFailures")
        self.max_failures = max_failures(self.target, self.conf.task_max_failures if is_set else None)
        check_task_cpus(self.conf.master, self.target, self.conf.task_cpus, self.conf.executor_cores)
        self.call_site = call_site()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.num_rdds = 0
        self.num_shuffles = 0
        self.is_stopped = False

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Start schedulers and executors; `async with` does it.

        Raises:
            ContextError: another context is active, this one was started before, or this is a task.
            MiniSparkError: the executor cannot be started; the text says why.
        """
        global active
        if current_task_context() is not None and not self.conf.executor_allow_spark_context:
            raise ContextError(
                "a task cannot start a SparkContext: jobs are started by the driver "
                "(minispark.executor.allowSparkContext of the new one would allow it)"
            )
        if self.loop is not None or self.is_stopped:
            raise ContextError("this SparkContext was started or stopped before; make a new one")
        if active is not None:
            active.discard_after_its_loop()
        if active is not None:
            raise ContextError(
                f"there is an active SparkContext already, made at {active.call_site}; stop it first, or use it"
            )
        active = self
        self.loop = asyncio.get_running_loop()
        try:
            if self.conf.log_level:
                self.set_log_level(self.conf.log_level)
            self.driver = await self.make_driver()
            self.tell_executors()
            self.driver.stop_context = self.stop
            await self.driver.start()
            if self.conf.checkpoint_dir:
                self.set_checkpoint_dir(self.conf.checkpoint_dir)
            await self.add_configured_files()
        except BaseException:
            self.is_stopped = True
            self.reset_log_level()
            active = None
            raise
        return self

    async def make_driver(self) -> "Driver":
        """Begin to start the runners, where they are this context's own, and load what a driver is made of."""
        target = self.target
        if isinstance(target, ExternalMaster):
            external = make_mode(target.scheme, self.conf, self.world, self.conf.master)
            return load_driver()(self.conf, self.world, external, self.max_failures)
        if not isinstance(target, LocalMaster):
            mode = load_cluster_mode()(self.conf, self.world, target)
            return load_driver()(self.conf, self.world, mode, self.max_failures)
        # First of all the interpreter that starts on another core meanwhile.
        zygote = load_zygote_process().spawn(self.world) if self.conf.executor_pool == "process" else None
        try:
            local = load_local_mode()(self.conf, self.world, target.cores, zygote)
        except BaseException:
            if zygote is not None:
                zygote.abandon()
            raise
        try:
            local.launch()
            return load_driver()(self.conf, self.world, local, self.max_failures)
        except BaseException:
            await local.close(0.0)
            raise

    async def stop(self) -> None:
        """Cancel all jobs, end all runners, remove all files; idempotent, and finished even if cancelled."""
        global active
        self.discard_after_its_loop()
        if self.loop is not None and not self.loop.is_closed() and self.loop is not asyncio.get_running_loop():
            self.refuse_foreign_loop()
        self.is_stopped = True
        if self.loop is None or self.loop.is_closed():
            return
        try:
            if hasattr(self, "driver"):
                await self.driver.stop()
        finally:
            self.file_calls.stop()
            self.reset_log_level()
            if active is self:
                active = None

    def discard_after_its_loop(self) -> None:
        """Give the context up if its event loop was closed before it was stopped: nobody can await its stop."""
        global active
        if self.loop is None or not self.loop.is_closed() or self.is_stopped:
            return
        self.is_stopped = True
        self.reset_log_level()
        if active is self:
            active = None
        if hasattr(self, "driver"):
            self.driver.mode.abandon()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @classmethod
    async def get_or_create(cls, conf: SparkConf | None = None) -> "SparkContext":
        """Return the active context, or start one; the settings of an active one stay as they are."""
        return active if active is not None else await cls(conf=conf).start()

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            "a SparkContext cannot be used inside a task: only the driver makes RDDs and starts jobs; compute what "
            "the task needs before, and use the value"
        )

    if not TYPE_CHECKING:  # a type checker would take any name for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name)

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def master(self) -> str:
        """The master URL."""
        return self.conf.master

    @property
    def app_name(self) -> str:
        """The application's name."""
        return self.conf.app_name

    @property
    def application_id(self) -> str:
        """The application's id, unique on this machine."""
        self.check_usable()
        return self.driver.application_id

    @property
    def default_parallelism(self) -> int:
        """Partitions of parallelize and of shuffles when not said otherwise: the setting, else the cores."""
        return self.conf.default_parallelism or self.driver.mode.default_parallelism

    @property
    def default_min_partitions(self) -> int:
        """Partitions that a text file gets at least."""
        return min(self.default_parallelism, 2)

    def __repr__(self) -> str:
        state = "stopped" if self.is_stopped else "new" if self.loop is None else "active"
        return f"<SparkContext {self.app_name!r} on {self.master}, {state}>"

    # -- RDDs --------------------------------------------------------------------------------------------------------

    def parallelize(self, data: Iterable[T], num_slices: int | None = None) -> "RDD[T]":
        """Make an RDD of a collection; what changes in it later is not seen.

        Args:
            data: the records; a range is not materialised.
            num_slices: partitions, default `default_parallelism`.

        Raises:
            ConfigurationError: num_slices is not at least 1.
            PicklingError: a record cannot be pickled.
        """
        self.check_usable()
        return sources.parallelize(self, data, num_slices)

    def range(self, start: int, end: int | None = None, step: int = 1, num_slices: int | None = None) -> "RDD[int]":
        """Make an RDD of the integers from start (0 if only one bound is given) up to, without, end."""
        self.check_usable()
        return sources.range_rdd(self, start, end, step, num_slices)

    def text_file(
        self,
        path: "PathLike | Iterable[PathLike]",
        min_partitions: int | None = None,
        *,
        encoding: str = "utf-8",
        errors: str = "replace",
    ) -> "RDD[str]":
        """Make an RDD of the lines of text files.

        Args:
            path: a file, a directory or a glob; several in one str with commas between them, or a list, where a comma
                is part of a path. Relative ones are taken from the working directory of now.
            min_partitions: how finely files are split at least, default `default_min_partitions`.
            encoding: of all the files.
            errors: what happens to bytes that are not of that encoding, as in `bytes.decode`: "replace", "strict" …

        Raises:
            ConfigurationError: a path is empty or a URL unknown, or min_partitions is not at least 1. What is missing
                or cannot be read is told by the first action: InputNotFound.
            TypeError: a path is not a path.
            LookupError: there is no such encoding.
        """
        self.check_usable()
        return sources.text_file(self, path, min_partitions, encoding, errors)

    def union(self, rdds: "Sequence[RDD[T]]") -> "RDD[T]":
        """Concatenate RDDs.

        Raises:
            ConfigurationError: there are none, or something is not an RDD.
        """
        if not rdds:
            raise ConfigurationError("union needs at least one RDD")
        first, *others = rdds
        if not callable(getattr(first, "union", None)):
            raise ConfigurationError(f"union takes RDDs, not {first!r}")
        return first.union(*others)

    def empty_rdd(self) -> "RDD[Any]":
        """Make an RDD without partitions."""
        self.check_usable()
        return sources.empty(self)

    def accumulator(
        self,
        initial: T,
        param: "AccumulatorParam[T] | None" = None,
        *,
        name: str = "",
        count_failed_values: bool = False,
    ) -> "Accumulator[T]":
        """Make a value that tasks add to, with `add` or `+=`, and that only the driver reads.

        Args:
            initial: the value before anything is added.
            param: how values are added up; known for int, float, complex (sums), list and set (elements).
            name: for messages.
            count_failed_values: whether attempts that fail or are killed count, too.

        Raises:
            ConfigurationError: there is no param and none is known for the type, or the param lacks a method.
        """
        self.check_usable()
        return self.driver.accumulators.create(initial, param, name, count_failed_values)

    def new_rdd_id(self) -> RddId:
        """Return the next RDD id."""
        self.num_rdds += 1
        return RddId(self.num_rdds - 1)

    def new_shuffle_id(self) -> ShuffleId:
        """Return the next shuffle id."""
        self.num_shuffles += 1
        return ShuffleId(self.num_shuffles - 1)

    # -- jobs --------------------------------------------------------------------------------------------------------

    def run_job(
        self,
        rdd: "RDD[T]",
        function: "Callable[[TaskContext, Iterator[T]], U]",
        partitions: Sequence[int] | None = None,
        allow_local: bool = False,
    ) -> "Coroutine[Any, Any, list[U]]":
        """Run a function over partitions and return its values in their order. Every action comes down to this.

        Cancelling the await cancels the job, down to the running tasks.

        Args:
            rdd: one of this context's.
            function: gets the task's context and the partition's records.
            partitions: numbers, default all.
            allow_local: whether one partition, with no shuffle above, may go straight to an idle runner, unseen by
                listeners until it is over.

        Raises:
            ContextError: the context is not active, or active on another loop.
            ConfigurationError: a partition does not exist.
            PicklingError: the function, or one that the RDD was made with, cannot be pickled.
            JobFailed: the job was given up. An exception of the user's code is raised as itself.
            JobCancelled: somebody else cancelled the job.
        """
        self.check_usable()
        if rdd.context is not self:
            raise ContextError(f"{rdd!r} belongs to another SparkContext; make it with this one")
        return self.driver.jobs.run(rdd.node, function, partitions, allow_local)

    async def submit_map_stage(self, rdd: "RDD[Any]") -> "MapOutputStatistics":
        """Write the shuffle that an RDD reads, and return how much each of its partitions will find there.

        Jobs over that RDD, or over others that read the shuffle (`RDD.regroup`), use what was written. Nothing runs
        if it is there already.

        Args:
            rdd: the result of `partition_by`, `reduce_by_key` …: one that reads one shuffle and nothing else.

        Raises:
            ContextError: as for `run_job`.
            ConfigurationError: the RDD does not read one shuffle, or there is nothing to write.
            JobFailed, JobCancelled: as for `run_job`.
        """
        self.check_usable()
        if rdd.context is not self:
            raise ContextError(f"{rdd!r} belongs to another SparkContext; make it with this one")
        return await self.driver.jobs.write_shuffle(shuffle_of(rdd.node))

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run a coroutine that the context owns until it ends; whoever spawned it may cancel it."""
        try:
            self.check_usable()
        except ContextError:
            coroutine.close()
            raise
        return self.driver.spawn(coroutine, name=name)

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a blocking function off the loop and return its result; also while the context stops."""
        return await self.file_calls.run(function, *args)

    async def give_up(self, output: "JobOutput") -> None:
        """Remove what a job that failed has written, as far as its file system answers in time."""
        await self.file_calls.give_up(output)

    # -- checks ------------------------------------------------------------------------------------------------------

    def check_usable(self) -> None:
        """Raise unless the context is active, and on this loop."""
        if self.is_stopped:
            raise ContextError(f"this SparkContext (made at {self.call_site}) is stopped; make a new one")
        if self.loop is None:
            raise ContextError("this SparkContext was not started: use `async with SparkContext(…) as sc`")
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return  # RDDs may be made outside of the loop; jobs cannot be awaited there anyway
        if running is not self.loop:
            self.refuse_foreign_loop()

    def check_on_loop(self) -> None:
        """Raise unless the context is active and this is its loop's thread."""
        self.check_usable()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ContextError(
                "a SparkContext is used on the thread of its event loop; from another one: "
                "loop.call_soon_threadsafe(…), or asyncio.run_coroutine_threadsafe(…, loop) for a job"
            ) from None

    def refuse_foreign_loop(self) -> NoReturn:
        """Raise: this is another event loop than the context's."""
        raise ContextError(
            f"this SparkContext (made at {self.call_site}) belongs to another event loop; use it on the loop that "
            "started it, or make one for this loop after stopping it"
        )
