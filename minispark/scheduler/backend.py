"""What the task scheduler and the backends need of each other."""

from dataclasses import dataclass
from typing import Protocol

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.task import TaskDescription

__all__ = ["SchedulerBackend", "TaskOffers", "WorkerOffer"]


@dataclass(slots=True)
class WorkerOffer:
    """Free cores of an executor.

    A backend keeps one for each executor as long as it lives: the scheduler counts `cores` down for what it launches,
    the backend counts them up for what ends, and sets them to 0 when the executor goes. So nothing is offered twice,
    and a round over many executors may go over several turns of the loop.
    """

    executor_id: ExecutorId
    host: str
    cores: int


class TaskOffers(Protocol):
    """The task scheduler, as the backend endpoint calls it: synchronously, so that no core is offered twice."""

    def resource_offers(self, offers: list[WorkerOffer], is_all_free: bool = True) -> list[TaskDescription]:
        """Return the attempts to launch on these cores now; their cores are taken off the offers.

        Args:
            offers: of executors that can take tasks.
            is_all_free: these are all that have a free core, as after `ReviveOffers`, and not just those where a task
                ended. A large round launches a part, and has the backend asked again (`revive_offers`) for the next.
        """

    def status_update(self, update: StatusUpdate) -> None:
        """Take what an executor reports of an attempt."""


class SchedulerBackend(Protocol):
    """Where the executors are. Source: Spark's SchedulerBackend."""

    def revive_offers(self) -> None:
        """Have free cores offered soon."""

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """End an attempt."""

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks all executors together can run at once."""

    async def stop(self) -> None:
        """End all executors."""
