"""What the DAG scheduler does about losses: which outputs go, which stages run again, and when a stage is given up.

A part of `dag.DagState`, which calls it with what happened; it decides and has the machine submit or abort stages.
Source: the failure paths of Spark's DAGScheduler.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from minispark.ids import ExecutorId
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import FetchFailed
from minispark.scheduler.logic.effects import ResubmitLater
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.stage import Stage

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["RESUBMIT_DELAY_S", "Recovery", "RecoveryRules"]

RESUBMIT_DELAY_S = 0.2
"""Fetch failures that arrive within this time are answered by one resubmission."""


@dataclass(frozen=True, slots=True)
class RecoveryRules:
    """The settings of recovery.

    Attributes:
        max_consecutive_attempts: fetch failures of a stage in a row before its jobs are given up.
        max_attempts: attempts of a stage in all before its jobs are given up.
    """

    max_consecutive_attempts: int = 4
    max_attempts: int = 1 << 31


class Recovery:
    """Losses and failures of an application.

    Args:
        dag: the machine that this is a part of.
        rules: limits and what is lost with what.

    Attributes:
        executor_failure_epoch: up to which epoch an executor's tasks are not trusted.
        files_lost_epoch: up to which epoch its outputs were dropped; the two differ when a shuffle service keeps the
            files of a lost executor.
        decommissioned: executors that go away on purpose.
    """

    def __init__(self, dag: "DagState", rules: RecoveryRules) -> None:
        self.dag = dag
        self.rules = rules
        self.executor_failure_epoch: dict[ExecutorId, int] = {}
        self.files_lost_epoch: dict[ExecutorId, int] = {}
        self.decommissioned: dict[ExecutorId, None] = {}

    def fetch_failed(self, stage: Stage, ended: TaskEnded, failure: FetchFailed) -> None:
        """Drop the map output that could not be read and run its stage, then the failed one, again in a moment."""
        if stage.attempt is None or stage.attempt.number != ended.stage_attempt:
            return
        map_stage = self.dag.stages.by_shuffle[failure.shuffle_id]
        stage.failed_attempts.add(ended.stage_attempt)
        too_many = len(stage.failed_attempts) >= self.rules.max_consecutive_attempts
        if stage.stage_id in self.dag.running:
            self.dag.end_stage(stage, failure.message)
        if failure.map_index >= 0 and failure.location is not None:
            self.dag.map_outputs.unregister(failure.shuffle_id, failure.map_index, failure.location)
        if too_many or stage.next_attempt >= self.rules.max_attempts:
            self.dag.abort_stage(stage, self.too_many_attempts(stage, failure))
        else:
            if stage.stage_id not in self.dag.failed:
                self.dag.effects.append(ResubmitLater(RESUBMIT_DELAY_S))
            self.dag.failed[stage.stage_id] = stage
            self.dag.failed[map_stage.stage_id] = map_stage
        # One damaged file says nothing of the others; a second attempt that fails says that it was not the only one.
        if failure.location is not None and not (failure.only_this_output and len(stage.failed_attempts) == 1):
            self.executor_failed(failure.location.executor_id, ended.epoch, files_lost=True)

    def resubmit_failed_stages(self) -> None:
        """Submit the stages that failed since the last time, parents first."""
        failed = sorted(self.dag.failed.values(), key=lambda stage: stage.first_job_id)
        self.dag.failed.clear()
        for stage in failed:
            self.dag.submit_stage(stage)

    def too_many_attempts(self, stage: Stage, failure: FetchFailed | None = None) -> JobFailure:
        """Say why a stage is not attempted again."""
        reason = f"; the last attempt could not fetch: {failure.message}" if failure is not None else ""
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

    def executor_decommissioned(self, executor_id: ExecutorId) -> None:
        """Note that an executor goes away on purpose; fetch failures that come of it are nobody's fault."""
        self.decommissioned[executor_id] = None

    def executor_removed(self, executor_id: ExecutorId, *, files_lost: bool) -> None:
        """Forget what an executor that went away had written, if its files went with it."""
        self.executor_failed(executor_id, self.dag.map_outputs.epoch, files_lost=files_lost)

    def executor_failed(self, executor_id: ExecutorId, epoch: int, *, files_lost: bool) -> None:
        """Distrust an executor's tasks up to an epoch, and drop its outputs once per epoch."""
        if self.executor_failure_epoch.get(executor_id, -1) < epoch:
            self.executor_failure_epoch[executor_id] = epoch
        if files_lost and self.files_lost_epoch.get(executor_id, -1) < epoch:
            self.files_lost_epoch[executor_id] = epoch
            self.dag.map_outputs.remove_on_executor(executor_id)

    def is_trusted(self, ended: TaskEnded) -> bool:
        """Tell whether what a task wrote is still there: an executor lost since its epoch may have lost it."""
        return self.executor_failure_epoch.get(ended.executor_id, -1) < ended.epoch
