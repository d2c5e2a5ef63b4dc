"""Whether the barrier stages of a job can run at all, asked when the job is submitted.

All tasks of a barrier stage start together. So its RDDs must have as many partitions as it has tasks, and there must
be as many slots; executors may still be starting, so a job that finds too few is looked at again, for a while.
A part of `dag.DagState`, which submits nothing of a job that is not admitted. Source: the barrier checks of Spark's
DAGScheduler.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal

from minispark.ids import JobId, RddId
from minispark.messages.scheduler import JobSubmitted, unpack_integers
from minispark.messages.task import NarrowDependency
from minispark.record import Record, record
from minispark.scheduler.logic.effects import CheckSlotsLater, FailJob, Warn
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.lineage import CutLineage

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["DEFAULT_BARRIER_RULES", "BarrierChecks", "BarrierRules"]


@record
class BarrierRules(Record):
    """The settings of barrier stages.

    Attributes:
        dynamic_allocation: executors come and go, so that no barrier stage can count on its slots.
        check_interval_s: after what time a job that needs more slots than there are is looked at again.
        max_check_failures: how often it may be; found too large once more, it fails.
    """

    dynamic_allocation: bool = False
    check_interval_s: float = 15.0
    max_check_failures: int = 40


DEFAULT_BARRIER_RULES: Final = BarrierRules()


class BarrierChecks:
    """Admits jobs with barrier stages.

    Args:
        dag: the machine that this is a part of.
        rules: what is checked, and how often.
        slots: says how many tasks all executors can run at once.

    Attributes:
        waiting: jobs that wait for slots.
        failures: how often each of them was found too large.
    """

    def __init__(self, dag: "DagState", rules: BarrierRules, slots: Callable[[], int]) -> None:
        self.dag = dag
        self.rules = rules
        self.slots = slots
        self.waiting: dict[JobId, tuple[JobSubmitted, int]] = {}  # with the slots that each needs
        self.failures: dict[JobId, int] = {}

    def admits(self, submitted: JobSubmitted) -> bool:
        """Tell whether a job can be submitted now; if not it has failed, or will be looked at again."""
        if not any(node.is_barrier for node in submitted.lineage.nodes):
            return True
        lineage = CutLineage(submitted.lineage)
        stages = list(barrier_stages(lineage, len(unpack_integers(submitted.partitions))))
        refusal = self.refusal(lineage, stages)
        if refusal:
            self.fail(submitted, "aborted", refusal)
            return False
        needed = max((num_tasks for _, num_tasks in stages), default=0)
        if needed <= self.slots():
            self.failures.pop(submitted.job_id, None)
            return True
        self.postpone(submitted, needed)
        return False

    def refusal(self, lineage: CutLineage, stages: list[tuple[RddId, int]]) -> str:
        """Return why the barrier stages can never run; empty if they can."""
        if stages and self.rules.dynamic_allocation:
            return (
                "barrier stages cannot run with minispark.dynamicAllocation.enabled: they need a fixed set of slots"
            )
        return next((problem for stage in stages if (problem := unsupported(lineage, *stage))), "")

    def postpone(self, submitted: JobSubmitted, needed: int) -> None:
        """Have a job looked at again, unless that was done often enough."""
        job_id = submitted.job_id
        failures = self.failures.pop(job_id, 0) + 1
        message = f"a barrier stage of job {job_id} needs {needed} slots at once, and there are {self.slots()}"
        if failures > self.rules.max_check_failures:
            advice = "use fewer partitions or more cores"
            self.fail(submitted, "aborted", f"{message}, after {failures} looks at them: {advice}")
            return
        self.failures[job_id] = failures
        self.waiting[job_id] = submitted, needed
        if failures == 1:
            self.dag.effects.append(Warn(f"{message}: the job waits for more"))
        self.dag.effects.append(CheckSlotsLater(job_id, self.rules.check_interval_s))

    def check_again(self, job_id: JobId) -> None:
        """Submit a job that waits for slots, if there are enough by now."""
        waiting = self.waiting.pop(job_id, None)
        if waiting is not None:
            self.dag.submit_job(waiting[0])

    def executor_added(self) -> None:
        """Submit the jobs for which there are slots now; Spark lets them wait for their next look, 15 s at most."""
        slots = self.slots() if self.waiting else 0
        for job_id in [job_id for job_id, (_, needed) in self.waiting.items() if needed <= slots]:
            self.check_again(job_id)

    def cancel(self, is_meant: Callable[[JobSubmitted], bool], reason: str) -> bool:
        """End the jobs that are meant among those that wait for slots; tell whether there was any."""
        meant = [submitted for submitted, _ in self.waiting.values() if is_meant(submitted)]
        for submitted in meant:
            del self.waiting[submitted.job_id], self.failures[submitted.job_id]
            self.fail(submitted, "cancelled", reason)
        return bool(meant)

    def fail(self, submitted: JobSubmitted, kind: Literal["aborted", "cancelled"], message: str) -> None:
        """End a job that was never given stages."""
        result: Literal["failed", "cancelled"] = "failed" if kind == "aborted" else "cancelled"
        self.dag.recent.job_ended(submitted.job_id, submitted.properties, (), result)
        self.dag.effects.append(FailJob(submitted.job_id, JobFailure(kind, message)))

    def assert_empty(self) -> None:
        """Assert that no job waits."""
        assert not self.waiting, f"jobs wait for slots: {list(self.waiting)}"
        assert not self.failures, f"jobs are gone but counted: {self.failures}"


def barrier_stages(lineage: CutLineage, num_results: int) -> Iterator[tuple[RddId, int]]:
    """Yield the last RDD and the number of tasks of each barrier stage, parents first."""
    for dependency in lineage.shuffles.values():
        if dependency.rdd_id in lineage.barrier_rdds:
            yield dependency.rdd_id, lineage.nodes[dependency.rdd_id].num_partitions
    if lineage.last.rdd_id in lineage.barrier_rdds:
        yield lineage.last.rdd_id, num_results


def unsupported(lineage: CutLineage, last: RddId, num_tasks: int) -> str:
    """Return what about the RDDs of a barrier stage cannot be; empty if nothing."""
    seen, pending = {last}, [last]
    while pending:
        node = lineage.nodes[pending.pop()]
        place = f"in a barrier stage, {node.name} at {node.call_site}"
        if node.num_partitions != num_tasks:
            return (
                f"{place} has {node.num_partitions} partitions, but the stage would run {num_tasks} tasks: partitions"
                " cannot be left out, joined or added (first, take, union, coalesce) where all tasks start together"
            )
        if sum(dependency.rdd_id in lineage.barrier_rdds for dependency in node.dependencies) > 1:
            return f"{place} depends on more than one barrier RDD; put a shuffle between them"
        for dependency in node.dependencies:
            if isinstance(dependency, NarrowDependency) and dependency.rdd_id not in seen:
                seen.add(dependency.rdd_id)
                pending.append(dependency.rdd_id)
    return ""
