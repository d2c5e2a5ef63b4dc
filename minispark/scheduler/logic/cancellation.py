"""Which jobs a cancel means: one, a group, those with a tag, those that need a stage, all.

A part of `dag.DagState`, which ends them. Whatever is not known (any more) is left alone; where somebody named it, a
warning says so. Source: the cancel handlers of Spark's DAGScheduler.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, assert_never

from minispark.ids import JobId, StageId
from minispark.messages.scheduler import (
    AllJobsCancelled,
    JobCancelled,
    JobGroupCancelled,
    JobSubmitted,
    JobTagCancelled,
    StageCancelled,
)
from minispark.scheduler.logic.effects import FailJob, Warn
from minispark.scheduler.logic.job import JobFailure, group_of, tags_of

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["MAX_CANCELLED_GROUPS", "Cancellation"]

MAX_CANCELLED_GROUPS: Final = 1000
"""Groups whose future jobs are refused; of more, the ones cancelled first are forgotten."""


class Cancellation:
    """What was cancelled.

    Args:
        dag: the machine that this is a part of.

    Attributes:
        cancelled_groups: groups whose future jobs are cancelled too, and why.
    """

    def __init__(self, dag: "DagState") -> None:
        self.dag = dag
        self.cancelled_groups: dict[str, str] = {}

    def handle(
        self, message: JobCancelled | JobGroupCancelled | JobTagCancelled | StageCancelled | AllJobsCancelled
    ) -> None:
        """End the jobs that a message means."""
        match message:
            case JobCancelled():
                self.cancel_job(message.job_id, message.reason)
            case JobGroupCancelled():
                self.cancel_group(message.group, message.reason, message.cancel_future_jobs)
            case JobTagCancelled():
                self.cancel_tag(message.tag, message.reason)
            case StageCancelled():
                self.cancel_stage(message.stage_id, message.reason)
            case AllJobsCancelled():
                self.cancel_all(message.reason)
            case _:
                assert_never(message)

    def refuses(self, submitted: JobSubmitted) -> bool:
        """Tell whether a job's group was cancelled for good; if so the job has ended before it began."""
        group = group_of(submitted.properties)
        if group is None or group not in self.cancelled_groups:
            return False
        failure = JobFailure("cancelled", self.cancelled_groups[group])
        self.dag.recent.job_ended(submitted.job_id, submitted.properties, (), "cancelled")
        self.dag.effects.append(FailJob(submitted.job_id, failure))
        return True

    def cancel_job(self, job_id: JobId, reason: str) -> None:
        """End a job for its caller; a job that has ended already is left alone."""
        if job_id in self.dag.jobs:
            self.cancel([job_id], reason)
        else:
            self.cancel_unstaged(lambda waiting: waiting.job_id == job_id, reason)

    def cancel_group(self, group: str, reason: str, future_jobs: bool = False) -> None:
        """End all jobs of a group, and those that are submitted later if asked."""
        if future_jobs:
            self.cancelled_groups.pop(group, None)
            self.cancelled_groups[group] = reason
            if len(self.cancelled_groups) > MAX_CANCELLED_GROUPS:
                del self.cancelled_groups[next(iter(self.cancelled_groups))]
        members = [job_id for job_id, job in self.dag.jobs.items() if job.group == group]
        waited = self.cancel_unstaged(lambda waiting: group_of(waiting.properties) == group, reason)
        if not members and not waited:
            self.warn(f"no active job is in the group {group!r} that was to be cancelled")
        self.cancel(members, reason)

    def cancel_tag(self, tag: str, reason: str) -> None:
        """End all jobs that have a tag."""
        tagged = [job_id for job_id, job in self.dag.jobs.items() if tag in job.tags]
        waited = self.cancel_unstaged(lambda waiting: tag in tags_of(waiting.properties), reason)
        if not tagged and not waited:
            self.warn(f"no active job has the tag {tag!r} whose jobs were to be cancelled")
        self.cancel(tagged, reason)

    def cancel_stage(self, stage_id: StageId, reason: str) -> None:
        """End all jobs that need a stage."""
        stage = self.dag.stages.by_id.get(stage_id)
        if stage is None:
            self.warn(f"no active job needs stage {stage_id} that was to be cancelled")
        else:
            self.cancel(sorted(stage.job_ids), reason)

    def cancel_all(self, reason: str) -> None:
        """End all jobs."""
        self.cancel(list(self.dag.jobs), reason)
        self.cancel_unstaged(lambda waiting: True, reason)

    def cancel_unstaged(self, is_meant: Callable[[JobSubmitted], bool], reason: str) -> bool:
        """End the jobs that are meant among those without stages; tell whether there was any."""
        waited = self.dag.barrier_checks.cancel(is_meant, reason)
        return self.dag.direct.cancel(is_meant, reason) or waited

    def cancel(self, job_ids: Iterable[JobId], reason: str) -> None:
        """End jobs, unless their tasks cannot be stopped: such a job goes on to its own end."""
        for job_id in job_ids:
            if self.dag.can_kill_tasks or not self.dag.runs_for(job_id):
                self.dag.fail_job(job_id, JobFailure("cancelled", reason))
            else:
                self.warn(f"job {job_id} cannot be cancelled: the backend cannot kill tasks")

    def warn(self, message: str) -> None:
        """Have a warning logged."""
        self.dag.effects.append(Warn(message))
