"""Gives single tasks to an executor that has a free core, past task sets and offers.

The DAGScheduler calls it for the jobs of `logic.direct`; the backend's endpoint counts the cores, for them as for all
other tasks, and brings the end.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from minispark.ids import BinaryId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import DirectRunEnded, JobSubmitted, unpack_integers
from minispark.messages.task import IndirectResult, Success, TaskDescription
from minispark.rpc.ref import RpcEndpointRef
from minispark.scheduler.launcher import FRAME_BYTES, TaskPayloads

__all__ = ["DirectBackend", "DirectRunner"]

FIRST_TASK_ID: Final = 1 << 40
"""Far from the numbers of the TaskScheduler, which numbers its attempts from 0."""

NO_STAGE: Final = StageId(-1)


class DirectBackend(Protocol):
    """The backend's endpoint; called synchronously, on the driver's loop."""

    def launch_directly(self, task: TaskDescription, ended: Callable[[StatusUpdate], None]) -> bool:
        """Launch a task if there is a core for it; `ended` is called once, with its last status."""

    def kill_directly(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """End such a task."""


class DirectRunner:
    """Runs them.

    Args:
        backend: has the cores.
        payloads: the partitions' data.
        dag_scheduler: told of the ends.
        task_cpus: cores of a task.
        drop_result: does away with a result that was left with the executor.
        max_message_bytes: of a message to an executor.
    """

    def __init__(
        self,
        backend: DirectBackend,
        payloads: TaskPayloads,
        dag_scheduler: RpcEndpointRef,
        task_cpus: int,
        drop_result: Callable[[IndirectResult], object],
        max_message_bytes: int,
    ) -> None:
        self.backend = backend
        self.payloads = payloads
        self.dag_scheduler = dag_scheduler
        self.task_cpus = task_cpus
        self.drop_result = drop_result
        self.max_message_bytes = max_message_bytes
        self.next_task_id = FIRST_TASK_ID
        self.task_of: dict[JobId, TaskId] = {}

    def run(self, job: JobSubmitted) -> None:
        """Run a job's only task now, or have it told that this cannot be."""
        (partition,) = unpack_integers(job.partitions)
        data = self.data_of(job.binary_id, partition)
        if data is None or not self.launch(job, partition, data):
            self.dag_scheduler.send(DirectRunEnded(job.job_id, ExecutorId(""), None))

    def data_of(self, binary_id: BinaryId, partition: int) -> bytes | None:
        """Return a task's data; None if it cannot be had or sent: the usual way tells the job's caller why."""
        try:
            data = self.payloads.partition_data(binary_id, partition)
        except Exception:  # noqa: BLE001 — it is met, and told, again
            return None
        return data if len(data) + FRAME_BYTES <= self.max_message_bytes else None

    def launch(self, job: JobSubmitted, partition: int, data: bytes) -> bool:
        """Launch a task if there is a core for it; tell whether there is."""
        task_id = TaskId(self.next_task_id)
        self.next_task_id += 1
        task = TaskDescription(
            task_id,
            0,
            ExecutorId(""),
            job.job_id,
            NO_STAGE,
            0,
            0,
            partition,
            job.binary_id,
            0,
            self.task_cpus,
            (),
            job.properties,
            data,
        )
        is_launched = self.backend.launch_directly(task, partial(self.ended, job.job_id))
        if is_launched:
            self.task_of[job.job_id] = task_id
        return is_launched

    def kill(self, job_id: JobId, interrupt: bool, reason: str) -> None:
        """End a job's task, if it runs."""
        task_id = self.task_of.get(job_id)
        if task_id is not None:
            self.backend.kill_directly(task_id, interrupt, reason)

    def ended(self, job_id: JobId, update: StatusUpdate) -> None:
        """Tell the DAGScheduler; a result that stayed with the executor is taken the usual way, from the start."""
        del self.task_of[job_id]
        outcome = update.outcome
        if isinstance(outcome, Success) and isinstance(outcome.result, IndirectResult):
            self.drop_result(outcome.result)
            outcome = None
        self.dag_scheduler.send(DirectRunEnded(job_id, update.executor_id, outcome))
