"""Executors that come and go, as far as a TaskScheduler's tasks are concerned.

The TaskScheduler has one and hands it the messages. It keeps the table of executors and decides which attempts
failed with one, and which finished tasks have to run again; what happens to a task is the TaskScheduler's.
Source: a part of Spark's TaskSchedulerImpl and TaskSetManager.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import ExecutorDecommissioned, ExecutorRemoved
from minispark.messages.task import ExecutorLostFailure, Resubmitted, TaskEndReason, TaskFailure
from minispark.rpc.world import World
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.task_set import FinishedTask, RunningTask, TaskSet
from minispark.scheduler.topology import Topology

__all__ = ["Affected", "ExecutorChanges"]


class Affected(Protocol):
    """The TaskScheduler, as its executors need it.

    Attributes:
        set_of_task: the set of each attempt that runs.
    """

    set_of_task: dict[TaskId, TaskSet]

    def task_sets(self) -> Iterable[TaskSet]:
        """Go through all task sets."""

    def fail_lost(self, task_id: TaskId, reason: TaskFailure) -> None:
        """End an attempt that its executor took with it, wherever its result is."""

    def tell_end(self, task_set: TaskSet, task: RunningTask, reason: TaskEndReason) -> None:
        """Tell the DAGScheduler of the end of an attempt."""

    def revive_offers(self) -> None:
        """Have free cores offered."""


class ExecutorChanges:
    """Which executors there are.

    Args:
        cluster: the table; written here alone.
        topology: finds out in which racks hosts are.
        world: the clock.
        scheduler: whose tasks run on the executors.
        has_shuffle_service: map outputs outlive their executors.

    Attributes:
        has_moved: tells whether a map output was handed over by the executor that wrote it.
    """

    def __init__(
        self, cluster: Cluster, topology: Topology, world: World, scheduler: Affected, *, has_shuffle_service: bool
    ) -> None:
        self.cluster = cluster
        self.topology = topology
        self.world = world
        self.scheduler = scheduler
        self.has_shuffle_service = has_shuffle_service
        self.has_moved: Callable[[TaskId], bool] = lambda task_id: False

    def added(self, executor_id: ExecutorId, host: str) -> None:
        """Take an executor, once: the backend says that it is there, or offers it."""
        self.topology.resolve((host,))
        if self.cluster.add(executor_id, host):
            self.levels_changed()

    def levels_changed(self) -> None:
        """Let every task set see anew which levels of locality are possible, when it is served next."""
        for task_set in self.scheduler.task_sets():
            task_set.near_until = 0.0

    def racks_changed(self) -> None:
        """Use racks that are known now."""
        self.cluster.racks_changed()
        self.levels_changed()
        self.scheduler.revive_offers()

    def loss_pending(self, executor_id: ExecutorId) -> None:
        """Give an executor no more tasks until it is known whether it is lost."""
        self.cluster.loss_pending(executor_id)
        self.levels_changed()

    def decommissioned(self, message: ExecutorDecommissioned) -> None:
        """Give an executor no more tasks, and note since when it goes away."""
        if self.cluster.decommission(message.executor_id, message.reason, self.world.wall(), message.host_too):
            self.levels_changed()

    def removed(self, removed: ExecutorRemoved) -> None:
        """Fail what ran on an executor that went away; have those run again whose outputs went with it."""
        decommission = self.cluster.decommissioned(removed.executor_id)
        executor = self.cluster.remove(removed.executor_id)
        self.levels_changed()
        host_goes = removed.worker_lost or (decommission is not None and decommission.host_too)
        if host_goes or not self.has_shuffle_service:
            for task_set in list(self.scheduler.task_sets()):
                for finished in task_set.outputs_lost(removed.executor_id, self.has_moved):
                    self.tell_resubmitted(task_set, finished, removed)
        by_app, reason = removed.caused_by_app, removed.reason
        if decommission is not None:
            by_app, reason = False, f"it was decommissioned ({decommission.reason}); {removed.reason}"
        for task_id in list(executor.tasks) if executor is not None else ():
            # Who has not even said that it runs cannot have brought the executor down.
            by_task = by_app and self.scheduler.set_of_task[task_id].running[task_id].has_started
            self.scheduler.fail_lost(task_id, ExecutorLostFailure(removed.executor_id, by_task, reason))
        self.scheduler.revive_offers()

    def tell_resubmitted(self, task_set: TaskSet, finished: FinishedTask, removed: ExecutorRemoved) -> None:
        """Tell the DAGScheduler that a finished task runs again."""
        index = finished.index
        void = RunningTask(
            finished.task_id, index, task_set.attempts[index] - 1, task_set.partitions[index], removed.executor_id,
            removed.host, self.world.wall(),
        )  # fmt: skip
        self.scheduler.tell_end(task_set, void, Resubmitted())
