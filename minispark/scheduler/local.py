"""Local mode's backend: one executor, in the driver's own process.

LocalEndpoint is an endpoint, not a set of calls, for Spark's reason: the scheduler calls the backend while it handles
a message, and the backend calls the scheduler while it handles one; with messages between them neither re-enters the
other. Source: Spark's LocalEndpoint and LocalSchedulerBackend.
"""

from collections.abc import Callable
from typing import assert_never

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import ExecutorStopped, KillTask, LaunchTasks, StatusUpdate, StopExecutor
from minispark.messages.scheduler import ReviveOffers
from minispark.messages.task import TaskDescription
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.scheduler.backend import TaskOffers, WorkerOffer

__all__ = ["LocalEndpoint", "LocalSchedulerBackend"]


class LocalEndpoint(RpcEndpoint):
    """Counts the local executor's free cores and offers them.

    Args:
        scheduler: takes offers and status updates.
        executor: runs the tasks.
        executor_id: its name.
        host: the name of this host.
        cores: how many tasks may run at once.
    """

    def __init__(
        self, scheduler: TaskOffers, executor: RpcEndpointRef, executor_id: ExecutorId, host: str, cores: int
    ) -> None:
        self.scheduler = scheduler
        self.executor = executor
        self.offer = WorkerOffer(executor_id, host, cores)
        self.cores_of: dict[TaskId, int] = {}
        self.direct: dict[TaskId, Callable[[StatusUpdate], None]] = {}  # tasks that the scheduler does not know

    def receive(self, message: ReviveOffers | StatusUpdate | ExecutorStopped, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case StatusUpdate():
                self.status_update(message)
            case ReviveOffers():
                self.make_offers()
            case ExecutorStopped():
                pass
            case _:
                assert_never(message)

    def status_update(self, update: StatusUpdate) -> None:
        """Take the cores of an ended attempt back, tell the scheduler, offer what is free."""
        has_ended = update.outcome is not None or update.state.is_finished
        if has_ended:
            self.offer.cores += self.cores_of.pop(update.task_id, 0)
        if update.task_id not in self.direct:
            self.scheduler.status_update(update)
        elif has_ended:
            self.direct.pop(update.task_id)(update)
        if has_ended:
            self.make_offers()

    def make_offers(self) -> None:
        """Offer all free cores and launch what the scheduler gives."""
        if self.offer.cores <= 0:
            return
        tasks = self.scheduler.resource_offers([self.offer])
        if not tasks:
            return
        for task in tasks:
            self.cores_of[task.task_id] = task.cpus
        self.executor.send(LaunchTasks(tuple(tasks)))

    def launch_directly(self, task: TaskDescription, ended: Callable[[StatusUpdate], None]) -> bool:
        """Launch a task if there is a core for it; see `direct_runner.DirectBackend`."""
        if self.offer.cores < task.cpus:
            return False
        self.offer.cores -= task.cpus
        self.cores_of[task.task_id] = task.cpus
        self.direct[task.task_id] = ended
        self.executor.send(LaunchTasks((task,)))
        return True

    def kill_directly(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """End a task that was launched so."""
        self.executor.send(KillTask(task_id, self.offer.executor_id, interrupt, reason))


class LocalSchedulerBackend:
    """The SchedulerBackend of local mode.

    Args:
        cores: those of the executor.
        executor: the executor's ref.
        stop_deadline_s: how long the executor may take to stop.
        task_cpus: cores that a task takes.
    """

    def __init__(self, cores: int, executor: RpcEndpointRef, stop_deadline_s: float, task_cpus: int = 1) -> None:
        self.slots = cores // task_cpus
        self.executor = executor
        self.stop_deadline_s = stop_deadline_s
        self.endpoint: RpcEndpointRef | None = None

    def attach(self, endpoint: RpcEndpointRef) -> None:
        """Say who counts the cores."""
        self.endpoint = endpoint

    def revive_offers(self) -> None:
        """Have free cores offered soon."""
        if self.endpoint is not None:
            self.endpoint.send(ReviveOffers())

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """End an attempt."""
        self.executor.send(KillTask(task_id, executor_id, interrupt, reason))

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks the executor runs at once."""
        return self.slots

    async def stop(self) -> None:
        """End the executor and its runners."""
        await self.executor.ask(StopExecutor(), timeout_s=self.stop_deadline_s * 2)
