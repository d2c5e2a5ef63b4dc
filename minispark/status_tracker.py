"""How far jobs and stages are: read from the driver's tables at the moment of the question, without listeners.

`SparkContext.status_tracker` gives it. Jobs and stages that have ended are known for a while: the last 1,000 of each.
Must not change anything. Source: Spark's SparkStatusTracker.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from minispark.ids import ExecutorId, JobId, StageId
from minispark.scheduler.logic.job import group_of, tags_of

if TYPE_CHECKING:
    from minispark.driver import Driver

__all__ = ["SparkExecutorInfo", "SparkJobInfo", "SparkStageInfo", "StatusTracker"]


class SparkJobInfo(NamedTuple):
    """A job.

    Attributes:
        job_id: its number.
        stage_ids: the stages that it needs, those that are skipped too; none for a job whose one task went straight
            to a runner, as that of `first` may.
        status: whether it runs, or how it ended.
    """

    job_id: int
    stage_ids: tuple[int, ...]
    status: Literal["running", "succeeded", "failed", "cancelled"]


class SparkStageInfo(NamedTuple):
    """A stage; the numbers are those of its latest attempt.

    Attributes:
        stage_id: its number.
        current_attempt_id: the number of the attempt.
        name: what it computes, and the user's line.
        num_tasks: tasks of the attempt: only what earlier ones have not given.
        num_active_tasks: task attempts that run.
        num_completed_tasks: tasks that have succeeded.
        num_failed_tasks: task attempts that have failed, without those that were killed.
    """

    stage_id: int
    current_attempt_id: int
    name: str
    num_tasks: int
    num_active_tasks: int
    num_completed_tasks: int
    num_failed_tasks: int


class SparkExecutorInfo(NamedTuple):
    """An executor.

    Attributes:
        executor_id: its name.
        host: where it is.
        port: where it serves blocks; 0 in local mode.
        num_running_tasks: task attempts that run there.
        memory_bytes: what blocks of persisted RDDs take there in memory, as files.
        disk_bytes: what they take there on disk.
    """

    executor_id: str
    host: str
    port: int
    num_running_tasks: int
    memory_bytes: int
    disk_bytes: int


class StatusTracker:
    """Answers questions about jobs, stages and executors; answers are values, and not kept up to date.

    Args:
        driver: whose tables are read.
    """

    def __init__(self, driver: "Driver") -> None:
        self.driver = driver

    def get_job_ids_for_group(self, group: str | None = None) -> list[int]:
        """Return the known jobs of a group, or those of none, in order: those that run and those that ended."""
        ended = self.driver.dag.state.recent.jobs
        found = [job_id for job_id, job in ended.items() if job.group == group]
        found += [job_id for job_id, properties in self.running().items() if group_of(properties) == group]
        return sorted(found)

    def get_job_ids_for_tag(self, tag: str) -> list[int]:
        """Return the known jobs that have a tag, in order: those that run and those that ended."""
        ended = self.driver.dag.state.recent.jobs
        found = [job_id for job_id, job in ended.items() if tag in job.tags]
        found += [job_id for job_id, properties in self.running().items() if tag and tag in tags_of(properties)]
        return sorted(found)

    def get_active_job_ids(self) -> list[int]:
        """Return the jobs that have not ended, in order."""
        return sorted(self.running())

    def get_active_stage_ids(self) -> list[int]:
        """Return the stages of which an attempt runs, in order."""
        return sorted(self.driver.dag.state.running)

    def get_job_info(self, job_id: int) -> SparkJobInfo | None:
        """Return what is known of a job; None if nothing is (any more)."""
        number = JobId(job_id)
        active = self.driver.dag.state.jobs.get(number)
        if active is not None:
            return SparkJobInfo(job_id, tuple(sorted(active.stage_ids)), "running")
        if number in self.running():
            return SparkJobInfo(job_id, (), "running")
        ended = self.driver.dag.state.recent.jobs.get(number)
        return None if ended is None else SparkJobInfo(job_id, tuple(ended.stages()), ended.result)

    def get_stage_info(self, stage_id: int) -> SparkStageInfo | None:
        """Return what is known of a stage; None if nothing is (any more), or if it was skipped."""
        number, state = StageId(stage_id), self.driver.dag.state
        stage = state.stages.by_id.get(number)
        counts = state.recent.stages.get(number) if stage is None else state.recent.counts(stage)
        if counts is None:
            return None
        task_set = self.driver.scheduler.sets_of_stage.get(number, {}).get(counts.attempt)
        return SparkStageInfo(
            stage_id,
            counts.attempt,
            counts.name,
            counts.num_tasks,
            0 if task_set is None else len(task_set.running),
            counts.num_completed,
            counts.num_failed,
        )

    def get_executor_infos(self) -> list[SparkExecutorInfo]:
        """Return the executors that are there, those that are going away too."""
        peers = self.driver.block_manager_master.peers
        infos = []
        for executor in self.driver.scheduler.cluster.executors.values():
            memory_bytes, disk_bytes = self.bytes_at(executor.executor_id)
            location = peers.get(executor.executor_id)
            port = 0 if location is None else location.port
            infos.append(
                SparkExecutorInfo(
                    executor.executor_id, executor.host, port, len(executor.tasks), memory_bytes, disk_bytes
                )
            )
        return infos

    def running(self) -> dict[JobId, Mapping[str, str]]:
        """Return the properties of the jobs that have not ended: with stages, without any, and waiting for slots."""
        state = self.driver.dag.state
        return {
            **{job_id: job.properties for job_id, job in state.jobs.items()},
            **{job_id: submitted.properties for job_id, (submitted, _) in state.direct.running.items()},
            **{job_id: waiting[0].properties for job_id, waiting in state.barrier_checks.waiting.items()},
        }

    def bytes_at(self, executor_id: ExecutorId) -> tuple[int, int]:
        """Return what the blocks of an executor take in memory and on disk."""
        table = self.driver.block_manager_master.table
        memory_bytes = disk_bytes = 0
        for block_id in table.blocks.get(executor_id, ()):
            holder = table.holders[block_id][executor_id]
            if holder.in_memory:
                memory_bytes += holder.size_bytes
            else:
                disk_bytes += holder.size_bytes
        return memory_bytes, disk_bytes
