"""The DAG scheduler's machine: jobs and stages, from submission to the last result.

It takes the messages addressed to the DAGScheduler endpoint and returns effects; it owns the table of map outputs.
Everything it keeps about a job is gone when the job is: `assert_empty()` says so after every test.
Source: Spark's DAGScheduler.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Literal

from minispark.ids import JobId, ShuffleId, StageId
from minispark.messages.listener import JobEnd, JobStart, StageCompleted
from minispark.messages.scheduler import (
    JobSubmitted,
    KillTaskSet,
    PartitionCompleted,
    TaskEnded,
    TaskSetFailed,
)
from minispark.messages.task import DirectResult, MapStatus, Success
from minispark.scheduler.logic.barrier_checks import DEFAULT_BARRIER_RULES, BarrierChecks, BarrierRules
from minispark.scheduler.logic.cached import NOTHING_CACHED, CachedBlocks, CachedRdds
from minispark.scheduler.logic.cancellation import Cancellation
from minispark.scheduler.logic.direct import DirectJobs
from minispark.scheduler.logic.effects import (
    DeliverResult,
    Effect,
    FailJob,
    Post,
    RemoveMapOutput,
    RemoveShuffleFiles,
    SucceedJob,
    Warn,
)
from minispark.scheduler.logic.job import ActiveJob, JobFailure
from minispark.scheduler.logic.preferred import PreferredLocations
from minispark.scheduler.logic.recent import Recent
from minispark.scheduler.logic.recovery import Recovery, RecoveryRules
from minispark.scheduler.logic.rollback import Rollback
from minispark.scheduler.logic.stage import MapStage, ResultStage, Stage
from minispark.scheduler.logic.stage_watch import StageWatchers
from minispark.scheduler.logic.stages import StageTable
from minispark.scheduler.logic.submission import Submission
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.shuffle.logic.statistics import pack_sizes

__all__ = ["DagState"]


class DagState:
    """All jobs of an application.

    Args:
        map_outputs: the table of map outputs, written here only.
        rules: how losses and failures are answered.
        barrier_rules: when jobs with barrier stages are admitted.
        slots: says how many tasks all executors can run at once.
        interrupt_on_cancel: whether the tasks of a job are interrupted that does not say so itself.
        can_kill_tasks: whether the backend can; if not, a job with running tasks cannot be cancelled.
        max_failures: failures of one task before its jobs are given up.
        reduce_locality: whether reducers prefer the hosts with most of their data.
        cached_blocks: says which RDDs executors keep.

    Attributes:
        effects: what is to be done, in order.
        recent: what became of the jobs and stages that ended lately.
        is_heard: whether listeners are to be told; what they would be told is not even made otherwise.
        now: seconds since the epoch, when the message came that is handled.
    """

    def __init__(
        self,
        map_outputs: MapOutputs,
        *,
        rules: RecoveryRules,
        barrier_rules: BarrierRules = DEFAULT_BARRIER_RULES,
        slots: Callable[[], int] = lambda: sys.maxsize,
        interrupt_on_cancel: bool = True,
        can_kill_tasks: bool = True,
        max_failures: int = 4,
        reduce_locality: bool = True,
        cached_blocks: CachedBlocks = NOTHING_CACHED,
    ) -> None:
        self.map_outputs = map_outputs
        self.stages = StageTable(map_outputs)
        self.interrupt_on_cancel = interrupt_on_cancel
        self.can_kill_tasks = can_kill_tasks
        self.max_failures = max_failures
        self.jobs: dict[JobId, ActiveJob] = {}
        # Dicts, not sets: their order is the order of insertion, and a replay decides alike.
        self.waiting: dict[StageId, Stage] = {}
        self.running: dict[StageId, Stage] = {}
        self.failed: dict[StageId, Stage] = {}
        self.cached = CachedRdds(cached_blocks, lambda message: self.effects.append(Warn(message)))
        self.preferred = PreferredLocations(self.cached, map_outputs, reduce_locality)
        self.submission = Submission(self)
        self.recovery = Recovery(self, rules)
        self.rollback = Rollback(self)
        self.barrier_checks = BarrierChecks(self, barrier_rules, slots)
        self.cancellation = Cancellation(self)
        self.direct = DirectJobs(self)
        self.forgotten: set[ShuffleId] = set()  # still read by an active job
        self.recent = Recent(self.stages.by_id)
        self.watchers = StageWatchers(self.recent)
        self.effects: list[Effect] = []
        self.is_heard = True
        self.now = 0.0

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last call, in order."""
        effects, self.effects = self.effects, []
        return effects

    # -- submission --------------------------------------------------------------------------------------------------

    def submit_job(self, submitted: JobSubmitted, *, may_run_directly: bool = True) -> None:
        """Accept a job: cut its lineage into stages and start those that can run."""
        job_id = submitted.job_id
        if not submitted.partitions:
            if self.is_heard:
                self.effects.append(Post(JobStart(job_id, self.now, (), dict(submitted.properties))))
                self.effects.append(Post(JobEnd(job_id, self.now, "succeeded", "")))
            self.recent.job_ended(job_id, submitted.properties, (), "succeeded")
            self.effects.append(SucceedJob(job_id))
            return
        if self.cancellation.refuses(submitted):
            return
        if may_run_directly and self.direct.takes(submitted):
            return
        if not self.barrier_checks.admits(submitted):
            return
        self.cached.clear()
        final = self.stages.create(submitted)
        stages = self.stages.up_from(final)
        job = ActiveJob(
            job_id, final, submitted.call_site, submitted.properties, {stage.stage_id for stage in stages}
        )
        self.jobs[job_id] = job
        if self.is_heard:
            infos = tuple(stage.info() for stage in stages)
            self.effects.append(Post(JobStart(job_id, self.now, infos, dict(submitted.properties))))
        if isinstance(final, MapStage) and self.stages.is_available(final):
            self.finish_map_jobs(final)
        else:
            self.submission.submit_stage(final)

    def is_underway(self, stage: Stage) -> bool:
        """Tell whether a stage runs, waits for its parents, or waits to be resubmitted."""
        return stage.stage_id in self.running or stage.stage_id in self.waiting or stage.stage_id in self.failed

    # -- the ends of tasks -------------------------------------------------------------------------------------------

    def task_ended(self, ended: TaskEnded) -> None:
        """Take the end of an attempt; of one whose stage nobody needs any more, only what it wrote matters."""
        stage = self.stages.by_id.get(ended.stage_id)
        if stage is None:
            if isinstance(ended.reason, Success) and isinstance(ended.reason.result, MapStatus):
                output = ended.reason.result
                self.effects.append(RemoveMapOutput(output.location, output.map_id))
            return
        if isinstance(ended.reason, Success):
            self.task_succeeded(stage, ended, ended.reason)
        else:
            self.recovery.task_failed(stage, ended, ended.reason)

    def task_succeeded(self, stage: Stage, ended: TaskEnded, success: Success) -> None:
        """Deliver a result or register a map output."""
        if ended.stage_attempt < stage.first_valid_attempt:
            self.rollback.succeeded_too_late(stage, ended, success)
            return
        if stage.attempt is not None and stage.attempt.number != ended.stage_attempt:
            if isinstance(stage, MapStage) and not self.recovery.is_trusted(ended):
                return  # its output may be lost; the newest attempt makes it anyway, and must not be told otherwise
            self.effects.append(PartitionCompleted(stage.stage_id, ended.partition))
        if stage.attempt is not None:
            stage.attempt.add(success.metrics)
        if isinstance(stage, ResultStage):
            assert isinstance(success.result, DirectResult)
            self.result_delivered(stage, ended.partition, success.result)
        elif isinstance(stage, MapStage):
            assert isinstance(success.result, MapStatus)
            self.map_output_written(stage, ended, success.result)

    def result_delivered(self, stage: ResultStage, partition: int, result: DirectResult) -> None:
        """Pass on the first result of a partition; the last one ends the job."""
        position = stage.position(partition)
        if stage.finished[position]:
            return
        stage.finished[position] = 1
        stage.num_finished += 1
        (job_id,) = stage.job_ids
        self.effects.append(DeliverResult(job_id, position, result))
        if stage.num_finished == len(stage.finished):
            if stage.next_attempt > 1:
                self.kill_tasks(stage, "the stage is finished")
            if stage.stage_id in self.running:  # not if a further copy of the task has failed the attempt
                self.end_stage(stage)
            self.stop_stages(job_id, f"job {job_id} is finished")
            self.end_job(job_id, "succeeded", "")
            self.effects.append(SucceedJob(job_id))

    def map_output_written(self, stage: MapStage, ended: TaskEnded, status: MapStatus) -> None:
        """Register a map output; the last one ends the stage."""
        stage.pending.discard(ended.partition)
        if self.rollback.is_surplus(stage, status):
            self.effects.append(RemoveMapOutput(status.location, status.map_id))
        elif self.recovery.is_trusted(ended):
            self.map_outputs.register(stage.shuffle_id, status)
        if stage.stage_id in self.running and not stage.pending:
            self.complete_map_stage(stage)
        elif stage.stage_id in self.waiting and self.stages.is_available(stage):
            # The last output came late, from an attempt that had failed: what its parents still do is not needed.
            del self.waiting[stage.stage_id]
            self.map_outputs.increment_epoch()
            self.cached.clear()
            self.submit_children(stage)

    def complete_map_stage(self, stage: MapStage) -> None:
        """End a map stage whose tasks all ended, and run what waited for it."""
        self.end_stage(stage)
        if self.submission.rests.pop(stage.stage_id, None) is not None:
            # Earlier attempts wrote what was still to be submitted; nothing else would end the rest of this one.
            self.kill_tasks(stage, "the stage is finished")
        # Executors drop statuses that they know from an older epoch.
        self.map_outputs.increment_epoch()
        self.cached.clear()
        if not self.stages.is_available(stage):
            self.submission.submit_stage(stage)
            return
        self.submit_children(stage)

    def submit_children(self, stage: MapStage) -> None:
        """End the jobs that wanted a map stage alone, and run what waited for it."""
        self.finish_map_jobs(stage)
        for child in sorted(self.children(stage), key=lambda child: (child.first_job_id, child.stage_id)):
            # Submitting one may end a job, and with it the stages behind.
            if self.waiting.pop(child.stage_id, None) is not None:
                self.submission.submit_stage(child)

    def children(self, stage: MapStage) -> list[Stage]:
        """Return the stages that wait and read a stage; a job that needs one of them needs the stage, too."""
        near = {stage_id for job_id in stage.job_ids for stage_id in self.jobs[job_id].stage_ids}
        waiting = [self.waiting[stage_id] for stage_id in near if stage_id in self.waiting]
        return [child for child in waiting if stage in child.parents]

    def finish_map_jobs(self, stage: MapStage) -> None:
        """End the jobs that were to write a shuffle: all its outputs are there."""
        if stage.map_jobs:
            sizes = DirectResult(False, (pack_sizes(self.map_outputs.statistics(stage.shuffle_id)),))
            for job_id in list(stage.map_jobs):
                self.effects.append(DeliverResult(job_id, 0, sizes))
                self.end_job(job_id, "succeeded", "")
                self.effects.append(SucceedJob(job_id))

    # -- failures ----------------------------------------------------------------------------------------------------

    def task_set_failed(self, failed: TaskSetFailed) -> None:
        """Give up every job that needs a stage whose task set was given up."""
        stage = self.stages.by_id.get(failed.stage_id)
        if stage is not None:
            failure = JobFailure(
                failed.kind,
                failed.message,
                failed.failure,
                failed.stage_id,
                failed.partition,
                failed.attempt_number,
                failed.executor_id,
                stage.call_site,
            )
            self.abort_stage(stage, failure)

    def abort_stage(self, stage: Stage, failure: JobFailure) -> None:
        """Give up the jobs that cannot go on without this stage.

        A job that has the stage above complete outputs goes on; if these are lost, it submits the stage anew.
        """
        for job_id in sorted(stage.job_ids):
            if self.stages.needs(self.jobs[job_id].stage, stage):
                self.fail_job(job_id, failure)
        if stage.job_ids:
            self.failed.pop(stage.stage_id, None)
            if stage.stage_id in self.running:
                self.end_stage(stage, failure.message)
                self.kill_tasks(stage, failure.message)
            for later in list(self.waiting.values()):
                if self.stages.needs(later, stage):  # others wait for other parents, and go on
                    del self.waiting[later.stage_id]

    def kill_tasks(self, stage: Stage, reason: str) -> None:
        """Have all tasks of a stage stopped that only go on for nothing."""
        if self.can_kill_tasks:
            self.effects.append(
                KillTaskSet(stage.stage_id, self.interrupts(self.submission.properties(stage)), reason)
            )

    def interrupts(self, properties: Mapping[str, str]) -> bool:
        """Tell whether the tasks of a job with these properties are interrupted when they are to stop."""
        wish = properties.get("minispark.job.interruptOnCancel")
        return self.interrupt_on_cancel if wish is None else wish == "true"

    # -- the ends of jobs --------------------------------------------------------------------------------------------

    def runs_for(self, job_id: JobId) -> bool:
        """Tell whether a stage runs, or may have tasks left of a failed attempt, that only this job needs."""
        return any(self.may_have_tasks(stage) for stage in self.independent_stages(job_id))

    def independent_stages(self, job_id: JobId) -> list[Stage]:
        """Return the stages that only this job needs, parents first."""
        stages = (self.stages.by_id[stage_id] for stage_id in sorted(self.jobs[job_id].stage_ids))
        return [stage for stage in stages if stage.job_ids == {job_id}]

    def may_have_tasks(self, stage: Stage) -> bool:
        """Tell whether tasks of a stage may run; one that waits to be resubmitted may have some left."""
        return stage.stage_id in self.running or stage.stage_id in self.failed or bool(stage.failed_attempts)

    def fail_job(self, job_id: JobId, failure: JobFailure) -> None:
        """Stop what only this job needs, then forget it."""
        self.stop_stages(job_id, failure.message)
        self.end_job(job_id, "cancelled" if failure.kind == "cancelled" else "failed", failure.message)
        self.effects.append(FailJob(job_id, failure))

    def stop_stages(self, job_id: JobId, reason: str) -> None:
        """Stop what only this job needs and may still run."""
        interrupt = self.interrupts(self.jobs[job_id].properties)
        for stage in self.independent_stages(job_id):
            if self.may_have_tasks(stage):
                if self.can_kill_tasks:
                    self.effects.append(KillTaskSet(stage.stage_id, interrupt, reason))
                if stage.stage_id in self.running:
                    self.end_stage(stage, reason)

    def end_job(self, job_id: JobId, result: Literal["succeeded", "failed", "cancelled"], failure: str) -> None:
        """Forget a job and the stages that only it needed."""
        job = self.jobs.pop(job_id)
        if isinstance(job.stage, MapStage):
            del job.stage.map_jobs[job_id]
        stage_ids = sorted(job.stage_ids)
        self.recent.job_ended(job_id, job.properties, stage_ids, result)
        for stage in self.stages.release(job_id, stage_ids):
            self.watchers.stage_gone(stage.stage_id)
            for table in (self.running, self.waiting, self.failed, self.submission.rests):
                table.pop(stage.stage_id, None)
            if isinstance(stage, MapStage) and stage.shuffle_id in self.forgotten:
                self.forget_shuffle(stage.shuffle_id)
        if self.is_heard:
            self.effects.append(Post(JobEnd(job_id, self.now, result, failure)))

    def end_stage(self, stage: Stage, failure: str = "") -> None:
        """Note that a stage's latest attempt ended."""
        del self.running[stage.stage_id]
        assert stage.attempt is not None
        stage.attempt.completed_s = self.now
        stage.attempt.failure = failure
        if not failure:
            stage.failed_attempts.clear()
        self.watchers.attempt_ended(stage.stage_id, stage.attempt.number, is_done=not failure)
        if self.is_heard:
            self.effects.append(Post(StageCompleted(stage.info())))

    def forget_shuffle(self, shuffle_id: ShuffleId) -> None:
        """Drop a shuffle that no RDD refers to any more, once no active job reads it."""
        if shuffle_id in self.stages.by_shuffle:
            self.forgotten.add(shuffle_id)
            return
        self.forgotten.discard(shuffle_id)
        statuses = self.map_outputs.remove_shuffle(shuffle_id)
        locations = {status.location.directory: status.location for status in statuses}
        if locations:
            self.effects.append(RemoveShuffleFiles(shuffle_id, tuple(locations.values())))

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what always holds."""
        for job in self.jobs.values():
            assert all(stage_id in self.stages.by_id for stage_id in job.stage_ids), "an active job lost a stage"
            if isinstance(job.stage, ResultStage):
                assert job.stage.num_finished < len(job.stage.finished), "a job with all results is still active"
            else:
                assert job.job_id in job.stage.map_jobs, "a map stage lost a job"
        for stage in self.stages.by_id.values():
            assert stage.job_ids, f"stage {stage.stage_id} belongs to no job"
            assert stage.job_ids <= self.jobs.keys(), f"stage {stage.stage_id} belongs to a job that ended"
            places = [stage.stage_id in table for table in (self.running, self.waiting, self.failed)]
            assert sum(places) <= 1, f"stage {stage.stage_id} is in two states"
        for table in (self.running, self.waiting, self.failed):
            assert table.keys() <= self.stages.by_id.keys(), "a table holds a stage that is gone"
        for stage in self.waiting.values():
            assert any(
                not self.stages.is_available(parent) or self.is_underway(parent) for parent in stage.parents
            ), f"stage {stage.stage_id} waits for nothing"

    def assert_empty(self) -> None:
        """Assert that nothing is kept once all jobs have ended."""
        tables = (self.jobs, self.stages.by_id, self.stages.by_shuffle, self.waiting, self.running, self.failed)
        assert not self.forgotten
        assert not self.direct.running
        self.recent.assert_empty()
        self.barrier_checks.assert_empty()
        assert not any(tables), f"left over: {[dict(table) for table in tables if table]}"
