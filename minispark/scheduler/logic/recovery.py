"""What the DAG scheduler does about losses: which outputs go, which stages run again, and when a stage is given up.

A part of `dag.DagState`, which calls it with what happened; it decides and has the machine submit or abort stages.
What follows when a stage would not write the same again is in `rollback`.
Source: the failure paths of Spark's DAGScheduler.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from minispark.ids import ExecutorId
from minispark.messages.scheduler import ExecutorDecommissioned, ExecutorRemoved, TaskEnded
from minispark.messages.task import (
    BlockManagerId,
    ExceptionFailure,
    FetchFailed,
    Resubmitted,
    RunnerLost,
    TaskFailure,
)
from minispark.record import Record, record
from minispark.scheduler.logic.effects import ResubmitLater
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.stage import MapStage, Stage

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["RESUBMIT_DELAY_S", "Recovery", "RecoveryRules"]

RESUBMIT_DELAY_S = 0.2
"""Failures that arrive within this time are answered by one resubmission."""

REMEMBERED = 10_000
"""Executors that went away on purpose and are remembered, for fetch failures that are told late."""


@record
class RecoveryRules(Record):
    """The settings of recovery.

    Attributes:
        max_consecutive_attempts: attempts of a stage that may fail in a row before its jobs are given up.
        max_attempts: attempts of a stage in all before its jobs are given up.
        excuse_decommissioned: fetch failures from executors that go away on purpose do not count.
        shuffle_service: map outputs outlive their executor, as long as its host is there.
        unregister_on_host: a fetch failure drops the outputs of the whole host, where they are kept by host.
        reliable_storage: map outputs are kept elsewhere and outlive executors and hosts.
    """

    max_consecutive_attempts: int = 4
    max_attempts: int = 1 << 31
    excuse_decommissioned: bool = True
    shuffle_service: bool = False
    unregister_on_host: bool = False
    reliable_storage: bool = False


class Recovery:
    """Losses and failures of an application.

    Args:
        dag: the machine that this is a part of.
        rules: limits and what is lost with what.

    Attributes:
        executor_failure_epoch: up to which epoch an executor's tasks are not trusted.
        files_lost_epoch: up to which epoch its outputs were dropped; the two differ when a shuffle service keeps the
            files of a lost executor.
        decommissioned: executors that go away on purpose; True: their host goes too.
    """

    def __init__(self, dag: "DagState", rules: RecoveryRules) -> None:
        self.dag = dag
        self.rules = rules
        self.executor_failure_epoch: dict[ExecutorId, int] = {}
        self.files_lost_epoch: dict[ExecutorId, int] = {}
        self.decommissioned: dict[ExecutorId, bool] = {}

    # -- failures of tasks -------------------------------------------------------------------------------------------

    def task_failed(self, stage: Stage, ended: TaskEnded, failure: TaskFailure | Resubmitted) -> None:
        """Take the end of an attempt that gave no result; what is not named here is the task set's to retry."""
        if stage.attempt is None or stage.attempt.number != ended.stage_attempt:
            return  # older attempts are zombies: what they miss, the newest one has met already
        if isinstance(failure, FetchFailed):
            self.fetch_failed(stage, ended, failure)
        elif stage.is_barrier:
            self.barrier_task_failed(stage, ended, failure)
        elif isinstance(failure, Resubmitted) and isinstance(stage, MapStage):
            stage.pending.add(ended.partition)

    def fetch_failed(self, stage: Stage, ended: TaskEnded, failure: FetchFailed) -> None:
        """Drop the map output that could not be read and run its stage, then the failed one, again in a moment."""
        map_stage = self.dag.stages.by_shuffle[failure.shuffle_id]
        if not self.is_excused(failure):
            stage.failed_attempts.add(ended.stage_attempt)
        self.stop_attempt(stage, failure.message or "a map output could not be fetched")
        self.drop_output(map_stage, failure)
        if self.is_exhausted(stage):
            self.dag.abort_stage(stage, self.too_many_attempts(stage, failure))
        elif self.can_start_over(stage, ended, failure):
            self.run_again_later(map_stage, stage)
            if map_stage.is_indeterminate:
                self.dag.rollback.give_up_jobs_with_results(map_stage)
        # One damaged file says nothing of the others; a second attempt that fails says that it was not the only one.
        if failure.location is not None and not (failure.only_this_output and len(stage.failed_attempts) <= 1):
            self.drop_source(failure.location, ended.epoch)

    def barrier_task_failed(self, stage: Stage, ended: TaskEnded, failure: TaskFailure | Resubmitted) -> None:
        """Run a whole barrier stage again, of which one task failed: the others may wait for it for ever."""
        if stage.stage_id not in self.dag.running:
            return  # another task of this attempt has failed before
        stage.failed_attempts.add(ended.stage_attempt)
        self.stop_attempt(stage, f"task {ended.index} of the barrier stage ended with {type(failure).__name__}")
        if self.is_exhausted(stage):
            self.dag.abort_stage(stage, blaming(self.too_many_attempts(stage, failure), ended, failure))
        elif self.can_start_over(stage, ended, failure):
            self.run_again_later(stage)

    def stop_attempt(self, stage: Stage, reason: str) -> None:
        """Note that the newest attempt of a stage failed; tasks of a barrier stage need each other."""
        if stage.stage_id in self.dag.running:
            self.dag.end_stage(stage, reason)
            if stage.is_barrier:
                self.dag.kill_tasks(stage, reason)

    def is_excused(self, failure: FetchFailed) -> bool:
        """Tell whether a fetch failure comes of an executor's going away on purpose."""
        return (
            self.rules.excuse_decommissioned
            and failure.location is not None
            and failure.location.executor_id in self.decommissioned
        )

    def drop_output(self, map_stage: MapStage, failure: FetchFailed) -> None:
        """Unregister the output that could not be read; outputs of a barrier stage go together, as they were made."""
        outputs = self.dag.map_outputs
        if map_stage.is_barrier:
            outputs.unregister_all(map_stage.shuffle_id)
        elif failure.map_index >= 0 and failure.location is not None:
            outputs.unregister(map_stage.shuffle_id, failure.map_index, failure.location)
        else:
            outputs.increment_epoch()  # the executor knew less than is known here: it shall ask again

    def can_start_over(self, stage: Stage, ended: TaskEnded, failure: TaskFailure | Resubmitted) -> bool:
        """Make a failed barrier stage ready to run again in full; if it cannot, its jobs fail."""
        if not stage.is_barrier:
            return True
        if isinstance(stage, MapStage) and self.dag.can_kill_tasks:
            self.dag.map_outputs.unregister_all(stage.shuffle_id)
            return True
        why = "it may have given results" if self.dag.can_kill_tasks else "its other tasks cannot be killed"
        message = f"the barrier stage {stage.stage_id} ({stage.name}) failed and cannot run again: {why}"
        given_up = JobFailure("aborted", message, failure, stage.stage_id, call_site=stage.call_site)
        self.dag.abort_stage(stage, blaming(given_up, ended, failure))
        return False

    # -- running again, and giving up --------------------------------------------------------------------------------

    def run_again_later(self, *stages: Stage) -> None:
        """Have stages resubmitted in a moment; one that runs or waits will find what it lacks without that."""
        idle = [stage for stage in stages if not self.dag.is_underway(stage)]
        if idle and not self.dag.failed:
            self.dag.effects.append(ResubmitLater(RESUBMIT_DELAY_S))
        self.dag.failed.update((stage.stage_id, stage) for stage in idle)

    def resubmit_failed_stages(self) -> None:
        """Submit the stages that failed since the last time, those of older jobs and parents first."""
        failed = sorted(self.dag.failed.values(), key=lambda stage: (stage.first_job_id, stage.stage_id))
        self.dag.failed.clear()
        self.dag.cached.clear()
        for stage in failed:
            self.dag.submission.submit_stage(stage)

    def is_exhausted(self, stage: Stage) -> bool:
        """Tell whether a stage has used up its attempts, in a row or in all."""
        return (
            len(stage.failed_attempts) >= self.rules.max_consecutive_attempts
            or stage.next_attempt >= self.rules.max_attempts
        )

    def too_many_attempts(self, stage: Stage, failure: TaskFailure | Resubmitted | None = None) -> JobFailure:
        """Say why a stage is not attempted again."""
        reason = ""
        if isinstance(failure, FetchFailed):
            reason = f"; the last attempt could not fetch: {failure.message}"
        elif failure is not None:
            reason = f"; a task of the last attempt ended with {type(failure).__name__}"
        if stage.next_attempt >= self.rules.max_attempts:
            limit = f"it was attempted {stage.next_attempt} times (minispark.stage.maxAttempts)"
        else:
            limit = f"{len(stage.failed_attempts)} attempts in a row failed (minispark.stage.maxConsecutiveAttempts)"
        message = f"stage {stage.stage_id} ({stage.name}) is given up: {limit}{reason}"
        return JobFailure("aborted", message, failure, stage.stage_id, call_site=stage.call_site)

    # -- executors ---------------------------------------------------------------------------------------------------

    def executor_added(self, executor_id: ExecutorId) -> None:
        """Trust an executor (again)."""
        self.decommissioned.pop(executor_id, None)
        self.executor_failure_epoch.pop(executor_id, None)
        self.files_lost_epoch.pop(executor_id, None)

    def executor_decommissioned(self, message: ExecutorDecommissioned) -> None:
        """Note that an executor goes away on purpose; fetch failures that come of it are nobody's fault."""
        self.decommissioned[message.executor_id] = message.host_too
        if len(self.decommissioned) > REMEMBERED:
            del self.decommissioned[next(iter(self.decommissioned))]

    def executor_removed(self, removed: ExecutorRemoved) -> None:
        """Distrust the tasks of an executor that went away, and drop the outputs that went with it."""
        rules = self.rules
        files_lost = not rules.reliable_storage and (removed.worker_lost or not rules.shuffle_service)
        host = removed.host if removed.worker_lost else None
        self.executor_failed(removed.executor_id, self.dag.map_outputs.epoch, files_lost=files_lost, host=host)

    def worker_lost(self, host: str) -> None:
        """Drop the outputs that a worker's shuffle service kept; what executors keep goes with them."""
        if self.rules.shuffle_service and not self.rules.reliable_storage:
            self.dag.cached.clear()
            self.dag.map_outputs.remove_on_host(host)

    def drop_source(self, location: BlockManagerId, epoch: int) -> None:
        """Drop all outputs of an executor from which one could not be fetched, or of its host if kept there."""
        host_goes = self.decommissioned.get(location.executor_id, False)
        by_host = self.rules.unregister_on_host and (self.rules.shuffle_service or host_goes)
        if host_goes:
            # Its executors go one by one: that the files of this one are known to be lost says nothing of the others.
            self.files_lost_epoch.pop(location.executor_id, None)
        host = location.host if by_host else None
        self.executor_failed(location.executor_id, epoch, files_lost=True, host=host)

    def executor_failed(self, executor_id: ExecutorId, epoch: int, *, files_lost: bool, host: str | None) -> None:
        """Distrust an executor's tasks up to an epoch, and drop its outputs, or its host's, once per epoch."""
        if self.executor_failure_epoch.get(executor_id, -1) < epoch:
            self.executor_failure_epoch[executor_id] = epoch
            self.dag.cached.clear()
        if files_lost and self.files_lost_epoch.get(executor_id, -1) < epoch:
            self.files_lost_epoch[executor_id] = epoch
            if host is None:
                self.dag.map_outputs.remove_on_executor(executor_id)
            else:
                self.dag.map_outputs.remove_on_host(host)

    def is_trusted(self, ended: TaskEnded) -> bool:
        """Tell whether what a task wrote is still there: an executor lost since its epoch may have lost it."""
        return self.executor_failure_epoch.get(ended.executor_id, -1) < ended.epoch


def blaming(given_up: JobFailure, ended: TaskEnded, failure: TaskFailure | Resubmitted) -> JobFailure:
    """Have the caller get what user code raised, or how its process died, if that is what ended a barrier stage."""
    if not isinstance(failure, ExceptionFailure | RunnerLost):
        return given_up
    return replace(
        given_up,
        kind="task failures",
        partition=ended.partition,
        attempt_number=ended.stage_attempt,
        executor_id=ended.executor_id,
    )
