"""The DAGScheduler endpoint: performs what the machine in `logic/dag.py` decides. Source: Spark's DAGScheduler."""

import logging
import sys
from collections.abc import Callable
from typing import Protocol, assert_never

from minispark.conf import SparkConf
from minispark.ids import JobId
from minispark.messages.listener import EventSink, ExecutorJoined, ExecutorLeft, TaskEnd, TaskInfo, TaskStart
from minispark.messages.scheduler import (
    AllJobsCancelled,
    BarrierJobDue,
    ComponentFailed,
    ContinueSubmission,
    DirectRunEnded,
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorRemoved,
    JobCancelled,
    JobGroupCancelled,
    JobSubmitted,
    JobTagCancelled,
    KillTaskSet,
    MapOutputMigrated,
    PartitionCompleted,
    ResubmitFailedStages,
    ShuffleForgotten,
    StageCancelled,
    SubmitTaskSet,
    TaskEnded,
    TaskSetFailed,
    TaskStarted,
    ToDagScheduler,
    WorkerLost,
)
from minispark.messages.task import AccumulatorUpdate, DirectResult, Success
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.direct_runner import DirectRunner
from minispark.scheduler.logic.accumulation import REPORTING, updates_that_count
from minispark.scheduler.logic.barrier_checks import BarrierRules
from minispark.scheduler.logic.cached import NOTHING_CACHED, CachedBlocks
from minispark.scheduler.logic.dag import DagState
from minispark.scheduler.logic.effects import (
    CheckSlotsLater,
    DeliverResult,
    Effect,
    FailJob,
    KillDirectRun,
    Post,
    RemoveMapOutput,
    RemoveShuffleFiles,
    ResubmitLater,
    RunDirectly,
    SubmitMoreTasks,
    SucceedJob,
    Warn,
)
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.recovery import RecoveryRules
from minispark.shuffle.logic.map_outputs import MapOutputs

__all__ = ["DAGScheduler", "JobListener"]

logger = logging.getLogger(__name__)


class JobListener(Protocol):
    """The owner of jobs; called on the driver's loop."""

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        """Take one partition's result."""

    def job_succeeded(self, job_id: JobId) -> None:
        """All results were delivered."""

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        """There is nothing more to come."""

    def all_failed(self, failure: JobFailure) -> None:
        """Nothing more is to come for any job, known to the scheduler or not."""


class DAGScheduler(RpcEndpoint):
    """From jobs to task sets.

    Args:
        conf: attempts that are tolerated.
        world: for times, and the delay before a resubmission.
        map_outputs: the table of map outputs; this endpoint is the only one that writes it.
        jobs: told of results and ends.
        events: told everything else.
        remove_files: does what these effects say, off the loop.
        count_updates: takes what attempts that count have added to accumulators.
        cached_blocks: says which RDDs executors keep.
        max_failures: failures of one task before its jobs are given up.
        on_failure: called after an error of the scheduler's own, when all jobs were given up.
    """

    def __init__(
        self,
        conf: SparkConf,
        world: World,
        map_outputs: MapOutputs,
        jobs: JobListener,
        events: EventSink,
        remove_files: Callable[[RemoveShuffleFiles | RemoveMapOutput], object],
        count_updates: Callable[[tuple[AccumulatorUpdate, ...]], object] = tuple,
        cached_blocks: CachedBlocks = NOTHING_CACHED,
        max_failures: int = 4,
        on_failure: Callable[[], object] = tuple,
    ) -> None:
        self.state = DagState(
            map_outputs,
            rules=RecoveryRules(
                max_consecutive_attempts=conf.stage_max_consecutive_attempts,
                max_attempts=conf.stage_max_attempts,
                excuse_decommissioned=conf.stage_ignore_decommission_fetch_failure,
                shuffle_service=conf.shuffle_service,
                unregister_on_host=conf.files_unregister_output_on_host,
            ),
            barrier_rules=BarrierRules(
                dynamic_allocation=conf.dynamic_allocation,
                check_interval_s=conf.barrier_max_slots_check_interval,
                max_check_failures=conf.barrier_max_slots_check_failures,
            ),
            slots=lambda: self.slots(),  # they are known once the backend is
            interrupt_on_cancel=conf.job_interrupt_on_cancel,
            reduce_locality=conf.shuffle_reduce_locality,
            cached_blocks=cached_blocks,
            max_failures=max_failures,
        )
        self.world = world
        self.jobs = jobs
        self.events = events
        self.remove_files = remove_files
        self.count_updates = count_updates
        self.on_failure = on_failure
        self.task_scheduler: RpcEndpointRef | None = None
        self.direct_runner: DirectRunner | None = None
        self.slots: Callable[[], int] = lambda: sys.maxsize

    def attach(self, task_scheduler: RpcEndpointRef, slots: Callable[[], int] = lambda: sys.maxsize) -> None:
        """Say who runs the task sets; the two need each other, so it cannot be an argument.

        Args:
            task_scheduler: the TaskScheduler endpoint.
            slots: says how many tasks all executors can run at once.
        """
        self.task_scheduler = task_scheduler
        self.slots = slots

    def receive(self, message: ToDagScheduler, context: CallContext) -> None:  # noqa: C901  # one match, one line a case
        """Handle one message, then do what the machine wants done."""
        state = self.state
        state.now = self.world.wall()
        state.is_heard = self.events.wants_tasks
        match message:
            case TaskEnded():
                self.report_end(message)
                state.task_ended(message)
            case TaskStarted():
                self.post_task_start(message)
            case JobSubmitted():
                state.submit_job(message)
            case JobCancelled() | JobGroupCancelled() | JobTagCancelled() | StageCancelled() | AllJobsCancelled():
                state.cancellation.handle(message)
            case TaskSetFailed():
                state.task_set_failed(message)
            case ResubmitFailedStages():
                state.recovery.resubmit_failed_stages()
            case BarrierJobDue():
                state.barrier_checks.check_again(message.job_id)
            case DirectRunEnded():
                self.direct_run_ended(message)
            case ContinueSubmission():
                state.submission.submit_more(message.stage_id, message.stage_attempt)
            case ExecutorAdded() | ExecutorDecommissioned() | ExecutorRemoved() | WorkerLost():
                self.executors_changed(message)
            case ComponentFailed():
                self.give_all_up(f"the endpoint {message.name} failed: {message.error}")
            case ShuffleForgotten():
                state.forget_shuffle(message.shuffle_id)
            case MapOutputMigrated():
                state.map_outputs.move(message.shuffle_id, message.map_id, message.location)
            case _:
                assert_never(message)
        if state.effects:
            for effect in state.take_effects():
                self.perform(effect)

    def perform(self, effect: Effect) -> None:  # noqa: C901  # one match, one line a case
        """Do one thing that the machine wants done."""
        match effect:
            case DeliverResult():
                self.jobs.task_succeeded(effect.job_id, effect.position, effect.result)
            case SubmitTaskSet() | KillTaskSet() | PartitionCompleted():
                assert self.task_scheduler is not None
                self.task_scheduler.send(effect)
            case Post():
                self.events.post(effect.event)
            case Warn():
                logger.warning("%s", effect.message)
            case SucceedJob():
                self.jobs.job_succeeded(effect.job_id)
            case FailJob():
                self.jobs.job_failed(effect.job_id, effect.failure)
            case RemoveShuffleFiles() | RemoveMapOutput():
                self.remove_files(effect)
            case RunDirectly() | KillDirectRun():
                self.perform_directly(effect)
            case SubmitMoreTasks():
                self.self_ref.send(ContinueSubmission(effect.stage_id, effect.stage_attempt))
            case CheckSlotsLater():
                self.world.call_later(effect.delay_s, self.send_to_self, BarrierJobDue(effect.job_id))
            case ResubmitLater():
                self.world.call_later(effect.delay_s, self.send_to_self, ResubmitFailedStages())
            case _:
                assert_never(effect)

    def send_to_self(self, message: ResubmitFailedStages | BarrierJobDue) -> None:
        """Handle a message whose time has come, unless the endpoint stopped meanwhile."""
        if self._ref is not None:
            self._ref.send(message)

    def perform_directly(self, effect: RunDirectly | KillDirectRun) -> None:
        """Run a job's only task, or end it."""
        assert self.direct_runner is not None, "no job may run directly before there is what runs it"
        match effect:
            case RunDirectly():
                self.direct_runner.run(effect.job)
            case KillDirectRun():
                self.direct_runner.kill(effect.job_id, effect.interrupt, effect.reason)

    def executors_changed(
        self, message: ExecutorAdded | ExecutorDecommissioned | ExecutorRemoved | WorkerLost
    ) -> None:
        """Take executors that come and go."""
        state = self.state
        match message:
            case ExecutorAdded():
                self.events.post(ExecutorJoined(state.now, message.executor_id, message.host, message.cores))
                state.recovery.executor_added(message.executor_id)
                state.barrier_checks.executor_added()
            case ExecutorDecommissioned():
                state.recovery.executor_decommissioned(message)
            case ExecutorRemoved():
                self.events.post(
                    ExecutorLeft(state.now, message.executor_id, message.host, message.reason, message.in_order)
                )
                state.recovery.executor_removed(message)
            case WorkerLost():
                state.recovery.worker_lost(message.host)

    def direct_run_ended(self, message: DirectRunEnded) -> None:
        """Take the end of a job's only task, after what it added to accumulators."""
        is_awaited = message.job_id in self.state.direct.running
        if is_awaited and isinstance(message.outcome, REPORTING) and message.outcome.accumulators:
            self.count_updates(message.outcome.accumulators)
        self.state.direct.ended(message)

    def on_error(self, error: BaseException) -> None:
        """Give all jobs up: after an error of its own the machine cannot be trusted with any."""
        logger.error("the DAG scheduler failed; all jobs are given up", exc_info=error)
        self.state.effects.clear()
        try:
            self.give_all_up(f"the DAG scheduler failed: {type(error).__name__}: {error}")
        finally:
            self.on_failure()

    def give_all_up(self, message: str) -> None:
        """End all jobs, also one whose submission is what failed."""
        self.jobs.all_failed(JobFailure("aborted", message))
        self.state.cancellation.cancel_all(message)
        for effect in self.state.take_effects():
            self.perform(effect)

    def post_task_start(self, started: TaskStarted) -> None:
        """Tell the listeners that an attempt was launched."""
        info = self.task_info(started, self.state.now, 0.0)
        self.events.post(TaskStart(started.stage_id, started.stage_attempt, info))

    def report_end(self, ended: TaskEnded) -> None:
        """Tell who watches stages, accumulators, then listeners that an attempt ended, whatever comes of it."""
        stage = self.state.stages.by_id.get(ended.stage_id)
        # Of tasks that end well, only those that others wait for matter to who watches stages.
        if ended.reason.__class__ is not Success or stage is None or stage.is_barrier:
            self.state.watchers.task_ended(ended)
        if ended.reason.__class__ is not Success or ended.reason.accumulators:
            updates = updates_that_count(stage, ended)
            if updates:
                self.count_updates(updates)
        if self.events.wants_tasks:
            info = self.task_info(ended, ended.launched_s, self.state.now)
            self.events.post(TaskEnd(ended.stage_id, ended.stage_attempt, info, ended.reason))

    @staticmethod
    def task_info(task: TaskStarted | TaskEnded, launched_s: float, finished_s: float) -> TaskInfo:
        """Describe an attempt for listeners."""
        return TaskInfo(
            task.task_id,
            task.index,
            task.attempt_number,
            task.partition,
            task.executor_id,
            task.host,
            launched_s,
            finished_s,
        )
