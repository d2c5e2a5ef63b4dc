"""The TaskScheduler endpoint: task sets in, attempts out, ends of attempts back to the DAGScheduler.

The DAGScheduler and the backend send it messages; the backend endpoint also calls `resource_offers` and
`status_update` directly (see `backend.TaskOffers`). What a result says is none of its business: it never unpickles.
Source: Spark's TaskSchedulerImpl and TaskResultGetter.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from minispark.clock import Clock
from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, StageId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.listener import EventSink
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorRemoved,
    KillTaskSet,
    PartitionCompleted,
    ResultFetched,
    SubmitTaskSet,
    TaskEnded,
    TaskSetFailed,
    TaskStarted,
    ToTaskScheduler,
)
from minispark.messages.task import (
    DirectResult,
    ExecutorLostFailure,
    IndirectResult,
    Success,
    TaskDescription,
    TaskEndReason,
    TaskFailure,
    TaskOutcome,
    TaskResultLost,
    UnknownReason,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.scheduler.backend import SchedulerBackend, WorkerOffer
from minispark.scheduler.logic.pool import PoolTree
from minispark.scheduler.logic.task_set import Abort, RunningTask, TaskSet

__all__ = ["ResultReader", "TaskPayloads", "TaskScheduler"]

logger = logging.getLogger(__name__)

ResultReader = Callable[[IndirectResult], Coroutine[Any, Any, DirectResult | None]]
"""Fetches a result that was left with an executor; None if it is lost."""


class TaskPayloads(Protocol):
    """Where the pickled partitions come from."""

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        """Return the pickled partition; empty if it is nothing but its number."""


class TaskScheduler(RpcEndpoint):
    """All task sets of an application.

    Args:
        conf: failures and sizes that are tolerated.
        max_failures: of one task; local masters say their own.
        clock: for launch times.
        scope: owns the fetching of results.
        dag_scheduler: told of every start and end.
        payloads: the partitions' data.
        read_result: fetches indirect results.
        events: whether anybody wants to know of starts.
        pools: in which order task sets are served.
    """

    def __init__(
        self,
        conf: SparkConf,
        max_failures: int,
        clock: Clock,
        scope: TaskScope,
        dag_scheduler: RpcEndpointRef,
        payloads: TaskPayloads,
        read_result: ResultReader,
        events: EventSink,
        pools: PoolTree,
    ) -> None:
        self.max_failures = max_failures
        self.max_result_bytes = conf.driver_max_result_size
        self.task_cpus = conf.task_cpus
        self.clock = clock
        self.scope = scope
        self.dag_scheduler = dag_scheduler
        self.payloads = payloads
        self.read_result = read_result
        self.events = events
        self.pools = pools
        self.sets_of_stage: dict[StageId, dict[int, TaskSet]] = {}
        self.set_of_task: dict[TaskId, TaskSet] = {}
        self.fetching: dict[TaskId, Success] = {}
        self.next_task_id = 0
        self.backend: SchedulerBackend | None = None

    def attach(self, backend: SchedulerBackend) -> None:
        """Say who has the executors; backend and scheduler need each other, so it cannot be an argument."""
        self.backend = backend

    def receive(self, message: ToTaskScheduler, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case SubmitTaskSet():
                self.submit(message)
            case KillTaskSet():
                self.kill(message)
            case ResultFetched():
                self.result_fetched(message)
            case PartitionCompleted():
                self.partition_completed(message)
            case ExecutorAdded():
                self.revive_offers()
            case ExecutorDecommissioned():
                pass  # the backend offers it no more
            case ExecutorRemoved():
                self.executor_removed(message)

    # -- task sets ---------------------------------------------------------------------------------------------------

    def submit(self, submitted: SubmitTaskSet) -> None:
        """Take a task set, or a further chunk of one; earlier attempts of the stage start nothing more."""
        attempts = self.sets_of_stage.setdefault(submitted.stage_id, {})
        task_set = attempts.get(submitted.stage_attempt)
        if task_set is not None:
            task_set.add(submitted)
        else:
            for older in attempts.values():
                older.is_zombie = True
            task_set = TaskSet(
                submitted,
                max_failures=self.max_failures,
                max_result_bytes=self.max_result_bytes,
                task_cpus=self.task_cpus,
            )
            attempts[submitted.stage_attempt] = task_set
            self.pools.add(task_set)
        self.revive_offers()

    def kill(self, killed: KillTaskSet) -> None:
        """End all attempts of a stage."""
        assert self.backend is not None
        for task_set in list(self.sets_of_stage.get(killed.stage_id, {}).values()):
            task_set.is_zombie = True
            for task in task_set.running.values():
                if task.task_id not in self.fetching:
                    self.backend.kill_task(task.task_id, task.executor_id, killed.interrupt, killed.reason)
            self.forget_if_finished(task_set)

    def partition_completed(self, completed: PartitionCompleted) -> None:
        """Note in the stage's task sets that a partition is done."""
        for task_set in list(self.sets_of_stage.get(completed.stage_id, {}).values()):
            task_set.partition_completed(completed.partition)
            self.forget_if_finished(task_set)

    def forget_if_finished(self, task_set: TaskSet) -> None:
        """Let go of a task set that runs nothing and will not."""
        if task_set.is_finished:
            attempts = self.sets_of_stage.get(task_set.stage_id, {})
            if attempts.pop(task_set.stage_attempt, None) is not None:
                self.pools.remove(task_set)
            if not attempts:
                self.sets_of_stage.pop(task_set.stage_id, None)

    def revive_offers(self) -> None:
        """Have the backend offer its free cores."""
        if self.backend is not None:
            self.backend.revive_offers()

    # -- offers ------------------------------------------------------------------------------------------------------

    def resource_offers(self, offers: list[WorkerOffer]) -> list[TaskDescription]:
        """Return the attempts to launch on these cores; round robin over the offers, sets in the pool's order."""
        launches: list[TaskDescription] = []
        now = self.clock.wall()
        for task_set in self.pools.sorted():
            while self.offer_round(task_set, offers, launches, now):
                pass
            offers = [offer for offer in offers if offer.cores]
            if not offers:
                break
        return launches

    def offer_round(
        self, task_set: TaskSet, offers: list[WorkerOffer], launches: list[TaskDescription], now: float
    ) -> bool:
        """Let each offer take one task of a set; tell whether another round may launch more."""
        launched = False
        for offer in offers:
            if offer.cores >= task_set.task_cpus:
                index = task_set.next_index(offer.executor_id, offer.host, now)
                if index is None:
                    return False
                launches.append(self.launch(task_set, index, offer, now))
                launched = True
        return launched

    def launch(self, task_set: TaskSet, index: int, offer: WorkerOffer, now: float) -> TaskDescription:
        """Make the description of a new attempt."""
        task_id = TaskId(self.next_task_id)
        self.next_task_id += 1
        offer.cores -= task_set.task_cpus
        task = task_set.launched(index, task_id, offer.executor_id, offer.host, now)
        self.set_of_task[task_id] = task_set
        self.pools.task_started(task_set)
        if self.events.wants_tasks:
            self.dag_scheduler.send(
                TaskStarted(
                    task_set.stage_id,
                    task_set.stage_attempt,
                    task_id,
                    index,
                    task.attempt_number,
                    task.partition,
                    offer.executor_id,
                    offer.host,
                )
            )
        return TaskDescription(
            task_id,
            task.attempt_number,
            offer.executor_id,
            task_set.job_id,
            task_set.stage_id,
            task_set.stage_attempt,
            index,
            task.partition,
            task_set.binary_id,
            task_set.epoch,
            task_set.task_cpus,
            task_set.shuffle_ids,
            task_set.properties,
            self.payloads.partition_data(task_set.binary_id, task.partition),
        )

    # -- ends of attempts --------------------------------------------------------------------------------------------

    def status_update(self, update: StatusUpdate) -> None:
        """Take what an executor reports; ends of attempts that are not known (any more) are dropped."""
        if not update.state.is_finished:
            return
        task_set = self.set_of_task.get(update.task_id)
        if task_set is None or update.task_id in self.fetching:
            logger.debug("dropped a status of unknown task %d", update.task_id)
            return
        outcome: TaskOutcome = update.outcome if update.outcome is not None else UnknownReason("no outcome was given")
        if isinstance(outcome, Success):
            self.result_arrived(task_set, update.task_id, outcome)
        else:
            self.failed(task_set, update.task_id, outcome)

    def result_arrived(self, task_set: TaskSet, task_id: TaskId, success: Success) -> None:
        """Take a result that is here, or fetch it first."""
        abort = task_set.can_fetch(success.metrics.result_size_bytes)
        if abort is not None:
            task_set.is_zombie = True
            self.abort(task_set, abort)
            self.failed(task_set, task_id, TaskResultLost("the results of the job are too large"))
            if isinstance(success.result, IndirectResult) and success.result.path:  # reading removes the file
                self.scope.spawn(self.read_result(success.result), name=f"drop result {task_id}")
        elif isinstance(success.result, IndirectResult):
            self.fetching[task_id] = success
            self.scope.spawn(self.fetch(task_id, success.result), name=f"fetch result {task_id}", owner=self)
        else:
            self.succeeded(task_set, task_id, success)

    async def fetch(self, task_id: TaskId, result: IndirectResult) -> None:
        """Fetch an indirect result; it comes back as a message."""
        try:
            fetched = await self.read_result(result)
        except OSError as error:
            logger.warning("the result %s could not be read: %s", result.block_id, error)
            fetched = None
        self.self_ref.send(ResultFetched(task_id, fetched))

    def result_fetched(self, fetched: ResultFetched) -> None:
        """Take a result that was fetched, or its loss."""
        success = self.fetching.pop(fetched.task_id)
        task_set = self.set_of_task.get(fetched.task_id)
        if task_set is None:
            return
        if fetched.result is None:
            self.failed(task_set, fetched.task_id, TaskResultLost("the result was lost before it was fetched"))
        else:
            self.succeeded(task_set, fetched.task_id, Success(fetched.result, success.metrics, success.accumulators))
        self.revive_offers()

    def succeeded(self, task_set: TaskSet, task_id: TaskId, success: Success) -> None:
        """Note a success, end the task's other attempts, tell the DAGScheduler."""
        del self.set_of_task[task_id]
        self.pools.task_ended(task_set)
        task, is_first = task_set.succeeded(task_id)
        if is_first:
            for other in task_set.siblings(task):
                assert self.backend is not None
                self.backend.kill_task(other.task_id, other.executor_id, True, "another attempt succeeded")
        self.tell_end(task_set, task, success)
        self.forget_if_finished(task_set)

    def failed(self, task_set: TaskSet, task_id: TaskId, reason: TaskFailure) -> None:
        """Note a failure, tell the DAGScheduler, and give the set up if that was one too many."""
        del self.set_of_task[task_id]
        self.pools.task_ended(task_set)
        task, abort = task_set.failed(task_id, reason)
        self.after_failure(task_set, task, reason, abort)

    def after_failure(self, task_set: TaskSet, task: RunningTask, reason: TaskFailure, abort: Abort | None) -> None:
        """Tell the DAGScheduler of a failure and act on it."""
        self.tell_end(task_set, task, reason)
        if abort is not None:
            self.abort(task_set, abort)
        self.forget_if_finished(task_set)
        if task_set.has_pending():
            self.revive_offers()

    def abort(self, task_set: TaskSet, abort: Abort) -> None:
        """Give a task set up; the DAGScheduler will have its tasks killed."""
        task = abort.task
        self.dag_scheduler.send(
            TaskSetFailed(
                task_set.stage_id,
                task_set.stage_attempt,
                abort.message,
                abort.kind,
                abort.failure,
                task.partition if task is not None else -1,
                task.attempt_number if task is not None else 0,
                task.executor_id if task is not None else ExecutorId(""),
            )
        )

    def tell_end(self, task_set: TaskSet, task: RunningTask, reason: TaskEndReason) -> None:
        """Tell the DAGScheduler that an attempt ended."""
        self.dag_scheduler.send(
            TaskEnded(
                task_set.stage_id,
                task_set.stage_attempt,
                task.task_id,
                task.index,
                task.attempt_number,
                task.partition,
                task.executor_id,
                task.host,
                task_set.epoch,
                task.launched_s,
                reason,
            )
        )

    def executor_removed(self, removed: ExecutorRemoved) -> None:
        """Fail what ran on an executor that went away."""
        reason = ExecutorLostFailure(removed.executor_id, removed.caused_by_app, removed.reason)
        for attempts in list(self.sets_of_stage.values()):
            for task_set in list(attempts.values()):
                for task, abort in task_set.executor_lost(removed.executor_id, reason):
                    del self.set_of_task[task.task_id]
                    self.pools.task_ended(task_set)
                    self.fetching.pop(task.task_id, None)
                    self.after_failure(task_set, task, reason, abort)

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what always holds."""
        self.pools.check()
        known = {id(task_set) for attempts in self.sets_of_stage.values() for task_set in attempts.values()}
        assert known == {id(task_set) for task_set in self.pools.sorted()}, "pool and table differ"
        for attempts in self.sets_of_stage.values():
            assert sum(not task_set.is_zombie for task_set in attempts.values()) <= 1, "two live attempts of a stage"
            for task_set in attempts.values():
                task_set.check()

    def assert_empty(self) -> None:
        """Assert that nothing is kept once all jobs have ended and all attempts were heard of."""
        assert not self.sets_of_stage, f"left over: {list(self.sets_of_stage)}"
        assert not self.set_of_task, f"left over: {list(self.set_of_task)}"
        assert not self.fetching
        assert not self.pools.sorted()
