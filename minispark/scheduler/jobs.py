"""Jobs from their caller's side: described, pickled, submitted, awaited, decoded; failed ones turned into exceptions.

SparkContext hands actions to it. All of it runs in the caller's own asyncio task, because user code runs here:
finding partitions and pickling functions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from minispark.errors import ConfigurationError, JobCancelled, JobFailed, ResultTooLarge
from minispark.ids import BinaryId, JobId, StageId
from minispark.messages import scheduler as messages
from minispark.messages.distribution import FILES_VERSION
from minispark.messages.scheduler import JobSubmitted, pack_integers
from minispark.messages.task import ShuffleDependencyInfo
from minispark.rdd.call_site import call_site
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.lineage import describe, prepare
from minispark.rdd.node import Node
from minispark.rdd.ports import TaskContext
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.job_errors import exception_for
from minispark.scheduler.job_waiter import JobGivenUp, JobTable, JobWaiter
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.properties import DESCRIPTION, current_properties
from minispark.scheduler.stage_work import StageWork
from minispark.shuffle.logic.statistics import MapOutputStatistics, unpack_sizes
from minispark.urls import shown

__all__ = ["Jobs"]

T = TypeVar("T")
U = TypeVar("U")


class Jobs:
    """Runs and cancels jobs.

    Args:
        dag_scheduler: takes them.
        work: the binaries of jobs and shuffles.
        world: the clock of decoding.
        max_failures: failures of one task before its job is given up, for messages.
        may_run_directly: whether single tasks may go past task sets and offers.

    Attributes:
        files_version: which set of added files jobs submitted now need; 0: none was added.
        before: called with what a job is over, before it; None as long as no RDD is marked for a checkpoint.
        checkpoint: keeps the RDDs that are marked for it, after a job; None as long as none is.
        table: the jobs that somebody waits for; the DAGScheduler's `JobListener`.
    """

    def __init__(
        self,
        dag_scheduler: RpcEndpointRef,
        table: JobTable,
        work: StageWork,
        world: World,
        max_failures: int,
        may_run_directly: Callable[[], bool] = lambda: False,
    ) -> None:
        self.dag_scheduler = dag_scheduler
        self.table = table
        self.files_version = 0
        self.before: Callable[[Node[Any]], Awaitable[None]] | None = None
        self.checkpoint: Callable[[Node[Any]], Awaitable[None]] | None = None
        self.work = work
        self.world = world
        self.max_failures = max_failures
        self.may_run_directly = may_run_directly

    async def run(
        self,
        node: Node[T],
        function: Callable[[TaskContext, Iterator[T]], U],
        partitions: Sequence[int] | None,
        allow_local: bool = False,
        then_checkpoint: bool = True,
    ) -> list[U]:
        """Run a function over partitions and return its values in their order; see `SparkContext.run_job`.

        RDDs of its lineage that are marked for a checkpoint are kept before it returns.
        """
        await prepare(node)
        count = len(node.partitions())
        wanted = range(count) if partitions is None else partitions
        distinct = list(dict.fromkeys(wanted))
        if distinct and not (min(distinct) >= 0 and max(distinct) < count):
            missing = next(partition for partition in distinct if not 0 <= partition < count)
            raise ConfigurationError(f"partition {missing} does not exist: {node!r} has {count} partitions")
        if self.before is not None and then_checkpoint:
            await self.before(node)
        binary_id = self.work.add_job(node, function)
        try:
            waiter = await self.finished(node, distinct, len(distinct), binary_id, allow_local=allow_local)
        finally:
            self.work.remove(binary_id)
        values: list[U] = await waiter.decode(self.world)
        if self.checkpoint is not None and then_checkpoint:
            await self.checkpoint(node)
        if len(distinct) == len(wanted):
            return values
        value_of = dict(zip(distinct, values, strict=True))
        return [value_of[partition] for partition in wanted]

    async def write_shuffle(self, dependency: ShuffleDependency[Any, Any, Any]) -> MapOutputStatistics:
        """Run a map stage and return the sizes of what it wrote; see `SparkContext.submit_map_stage`."""
        node = dependency.node
        await prepare(node)
        partitions = range(len(node.partitions()))
        if not partitions:
            raise ConfigurationError(f"{node!r} has no partitions: there is nothing to write for a shuffle of it")
        binary_id = self.work.of_dependency(dependency)
        map_side = ShuffleDependencyInfo(
            node.rdd_id, dependency.shuffle_id, dependency.partitioner.num_partitions, binary_id
        )
        waiter = await self.finished(node, partitions, 1, binary_id, map_side)
        (sizes,) = waiter.results
        assert sizes is not None
        return MapOutputStatistics(dependency.shuffle_id, unpack_sizes(sizes.batches[0]))

    async def finished(
        self,
        node: Node[Any],
        partitions: Sequence[int],
        num_results: int,
        binary_id: BinaryId,
        map_side: ShuffleDependencyInfo | None = None,
        allow_local: bool = False,
    ) -> JobWaiter:
        """Submit a job, wait for its end, and return what it gave; raise if it failed."""
        lineage = describe(node, self.work.of_dependency)
        job_id, waiter = self.table.open(num_results)
        site = call_site(node.call_site)
        name = f"{node.name} at {site}"
        job = JobSubmitted(
            job_id,
            lineage,
            pack_integers(partitions),
            binary_id,
            name,
            site,
            self.properties(),
            map_side,
            allow_local and self.may_run_directly(),
        )
        failure = await self.ended(job, waiter)
        if failure is not None:
            raise self.error_of(failure)
        return waiter

    def properties(self) -> dict[str, str]:
        """Return the properties that tasks of a job submitted now get."""
        properties = current_properties()
        if DESCRIPTION in properties:
            properties[DESCRIPTION] = shown(properties[DESCRIPTION])
        if self.files_version:
            properties[FILES_VERSION] = str(self.files_version)
        return properties

    async def ended(self, job: JobSubmitted, waiter: JobWaiter) -> JobFailure | None:
        """Submit a job, unless it has ended already, and wait for its end; return why it failed, if it did."""
        if not waiter.done.done():
            self.dag_scheduler.send(job)
        try:
            await waiter.done
        except asyncio.CancelledError as error:
            self.cancel(job.job_id, str(error) or "cancelled by its caller")
            raise
        except JobGivenUp as given_up:
            return given_up.failure
        finally:
            self.table.close(job.job_id)
        return None

    def error_of(self, failure: JobFailure) -> BaseException:
        """Return what the caller of a failed job gets."""
        if failure.kind == "cancelled":
            return JobCancelled(failure.message)
        if failure.kind == "result too large":
            return ResultTooLarge(failure.message)
        if failure.kind == "aborted" or failure.task_failure is None:
            return JobFailed(failure.message)
        return exception_for(
            failure.task_failure,
            stage_id=failure.stage_id,
            partition=failure.partition,
            attempt=failure.attempt_number + 1,
            max_failures=self.max_failures,
            executor_id=failure.executor_id,
            call_site=failure.call_site,
        )

    def cancel(self, job_id: JobId, reason: str) -> None:
        """Cancel one job; its caller gets JobCancelled."""
        self.dag_scheduler.send(messages.JobCancelled(job_id, reason))

    def cancel_group(self, group: str, reason: str, cancel_future_jobs: bool = False) -> None:
        """Cancel all jobs of a group, and those to come if asked; their callers get JobCancelled."""
        self.dag_scheduler.send(messages.JobGroupCancelled(group, reason, cancel_future_jobs))

    def cancel_tag(self, tag: str, reason: str) -> None:
        """Cancel all jobs with a tag; their callers get JobCancelled."""
        self.dag_scheduler.send(messages.JobTagCancelled(tag, reason))

    def cancel_stage(self, stage_id: StageId, reason: str) -> None:
        """Cancel all jobs that need a stage; their callers get JobCancelled."""
        self.dag_scheduler.send(messages.StageCancelled(stage_id, reason))

    def cancel_all(self, reason: str) -> None:
        """Cancel all jobs; their callers get JobCancelled."""
        self.dag_scheduler.send(messages.AllJobsCancelled(reason))
