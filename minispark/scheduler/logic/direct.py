"""Jobs of one task that go straight to an idle runner, without stages and offers.

A part of `dag.DagState`, for jobs whose caller allows it: one partition, and nothing above it to be written first.
What does not work out at the first attempt goes the usual way. Listeners hear of such a job when it is over.
Source: the allowLocal of Spark 1, which ran the task in the driver; here the driver never runs it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from minispark.ids import JobId
from minispark.messages.listener import JobEnd, JobStart
from minispark.messages.scheduler import DirectRunEnded, JobSubmitted, unpack_integers
from minispark.messages.task import DirectResult, ExceptionFailure, ShuffleDependencyInfo, Success
from minispark.scheduler.logic.effects import DeliverResult, FailJob, KillDirectRun, Post, RunDirectly, SucceedJob
from minispark.scheduler.logic.job import JobFailure

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["DirectJobs"]


class DirectJobs:
    """The jobs that run so.

    Args:
        dag: the machine that this is a part of.

    Attributes:
        running: each with the time of its submission.
    """

    def __init__(self, dag: "DagState") -> None:
        self.dag = dag
        self.running: dict[JobId, tuple[JobSubmitted, float]] = {}

    def takes(self, submitted: JobSubmitted) -> bool:
        """Start a job if it can be run so; tell whether it is."""
        if not submitted.allow_local or len(unpack_integers(submitted.partitions)) != 1:
            return False
        for node in submitted.lineage.nodes:
            if node.is_barrier or any(isinstance(above, ShuffleDependencyInfo) for above in node.dependencies):
                return False
        self.running[submitted.job_id] = submitted, self.dag.now
        self.dag.effects.append(RunDirectly(submitted))
        return True

    def ended(self, message: DirectRunEnded) -> None:
        """Give the result, or the user's exception if there is but one attempt; else submit the job as any other."""
        submitted, started_s = self.running.pop(message.job_id, (None, 0.0))
        if submitted is None:
            return
        match message.outcome:
            case Success(result=DirectResult() as result):
                self.dag.effects.append(DeliverResult(submitted.job_id, 0, result))
                self.post(submitted.job_id, submitted.properties, started_s, "succeeded", "")
                self.dag.effects.append(SucceedJob(submitted.job_id))
            case ExceptionFailure() as failure if self.dag.max_failures == 1:
                text = f"{failure.class_name}: {failure.description}"
                (partition,) = unpack_integers(submitted.partitions)
                call_site = submitted.lineage.nodes[-1].call_site
                reason = JobFailure(
                    "task failures",
                    text,
                    failure,
                    partition=partition,
                    executor_id=message.executor_id,
                    call_site=call_site,
                )
                self.fail(submitted, started_s, "failed", reason)
            case _:
                self.dag.submit_job(submitted, may_run_directly=False)

    def cancel(self, is_meant: Callable[[JobSubmitted], bool], reason: str) -> bool:
        """End the jobs that are meant; tell whether there was any."""
        meant = [job_id for job_id, (submitted, _) in self.running.items() if is_meant(submitted)]
        for job_id in meant:
            submitted, started_s = self.running.pop(job_id)
            self.dag.effects.append(KillDirectRun(job_id, self.dag.interrupts(submitted.properties), reason))
            self.fail(submitted, started_s, "cancelled", JobFailure("cancelled", reason))
        return bool(meant)

    def fail(
        self, submitted: JobSubmitted, started_s: float, result: Literal["failed", "cancelled"], failure: JobFailure
    ) -> None:
        """End a job without its result."""
        self.post(submitted.job_id, submitted.properties, started_s, result, failure.message)
        self.dag.effects.append(FailJob(submitted.job_id, failure))

    def post(
        self,
        job_id: JobId,
        properties: dict[str, str],
        started_s: float,
        result: Literal["succeeded", "failed", "cancelled"],
        failure: str,
    ) -> None:
        """Remember the job, and tell listeners of all of it."""
        self.dag.recent.job_ended(job_id, properties, (), result)
        if self.dag.is_heard:
            self.dag.effects.append(Post(JobStart(job_id, started_s, (), dict(properties))))
            self.dag.effects.append(Post(JobEnd(job_id, self.dag.now, result, failure)))
