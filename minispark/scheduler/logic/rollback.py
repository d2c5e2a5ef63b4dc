"""What must be undone when a map stage runs anew that would not write the same again.

Whoever has read the old output of an *indeterminate* stage must start over when the stage does, or records would be
lost or doubled. Map stages can: their outputs are dropped. A result that was given cannot be taken back: its job
fails.
A part of `dag.DagState`, which asks before it submits a map stage. Source: the rollback of Spark 4's DAGScheduler.
"""

from typing import TYPE_CHECKING

from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import MapStatus, Success
from minispark.scheduler.logic.effects import RemoveMapOutput
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.stage import MapStage, ResultStage, Stage

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["Rollback"]

ADVICE = "checkpoint the RDD before the shuffle, so that it is not computed twice"


class Rollback:
    """Undoes what followed from the output of indeterminate stages.

    Args:
        dag: the machine that this is a part of.
    """

    def __init__(self, dag: "DagState") -> None:
        self.dag = dag

    def start_over(self, stage: MapStage) -> bool:
        """Prepare a map stage for its next attempt; tell whether it is still needed.

        An indeterminate stage that lost an output runs again in full, and so does all that follows from it. This is
        decided here and not when the loss is noticed: results may have been given in the meantime.
        """
        if not stage.is_indeterminate or self.dag.stages.is_available(stage):
            return True
        if stage.next_attempt > 0:
            self.give_up_jobs_with_results(stage)
            for later in self.dag.stages.succeeding(stage):
                self.roll_back(later, stage)
        self.invalidate(stage)
        return bool(stage.job_ids)

    def give_up_jobs_with_results(self, stage: MapStage) -> None:
        """Fail the jobs that have given results which followed from a map stage."""
        for later in self.dag.stages.succeeding(stage):
            if isinstance(later, ResultStage) and later.num_finished and later.job_ids:
                reason = (
                    f"stage {later.stage_id} ({later.name}) has given {later.num_finished} of {len(later.finished)}"
                    " results already, which cannot be taken back"
                )
                self.dag.abort_stage(later, self.failure(later, stage, reason))

    def roll_back(self, later: Stage, stage: MapStage) -> None:
        """Stop a stage that follows from a map stage, and drop what it wrote."""
        reason = f"stage {stage.stage_id}, whose output it read, runs again and may write other records"
        if later.stage_id in self.dag.running:
            assert later.attempt is not None
            later.failed_attempts.add(later.attempt.number)
            self.dag.end_stage(later, reason)
            self.dag.recovery.run_again_later(later)
        if later.attempt is not None:
            self.dag.kill_tasks(later, reason)
        self.invalidate(later)

    def invalidate(self, stage: Stage) -> None:
        """Drop what a stage has written, and what its attempts so far are going to deliver."""
        stage.first_valid_attempt = stage.next_attempt
        if isinstance(stage, MapStage) and self.dag.map_outputs.available(stage.shuffle_id):
            self.dag.map_outputs.unregister_all(stage.shuffle_id)

    def is_surplus(self, stage: MapStage, status: MapStatus) -> bool:
        """Tell whether another output of a task may have been read, so that this copy's must not take its place.

        It may once the stage is done, also if the other output was lost since.
        """
        if not stage.is_indeterminate:
            return False
        known = self.dag.map_outputs.of(stage.shuffle_id).statuses[status.map_index]
        return known is not None or stage.stage_id not in self.dag.running

    def succeeded_too_late(self, stage: Stage, ended: TaskEnded, success: Success) -> None:
        """Take the success of an attempt that was rolled back: what it wrote goes; what it gave cannot."""
        if isinstance(success.result, MapStatus):
            self.dag.effects.append(RemoveMapOutput(success.result.location, success.result.map_id))
            return
        reason = (
            f"a task of attempt {ended.stage_attempt} of stage {stage.stage_id} ({stage.name}) ended after that"
            " attempt was given up, and what it wrote may be visible already"
        )
        self.dag.abort_stage(stage, self.failure(stage, None, reason))

    @staticmethod
    def failure(stage: Stage, lost: MapStage | None, reason: str) -> JobFailure:
        """Say why a job cannot be rolled back, and what helps."""
        cause = "" if lost is None else f"the output of stage {lost.stage_id} ({lost.name}) was lost, and "
        message = f"{cause}it may be computed differently again, but {reason}: {ADVICE}"
        return JobFailure("aborted", message, stage_id=stage.stage_id, call_site=stage.call_site)
