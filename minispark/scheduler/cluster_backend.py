"""CoarseGrainedSchedulerBackend: the SchedulerBackend of a cluster: how many executors are wanted, and which must go.

The TaskScheduler, exclusion, the HeartbeatReceiver and dynamic allocation call it; it keeps no table of its own but
uses that of its `DriverEndpoint`, and has a `Provisioner` get and end processes. Source: Spark's class of that name.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol

from minispark.errors import MiniSparkError
from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import ExecutorProcessLost, RemoveExecutor, RemoveWorker
from minispark.messages.scheduler import ReviveOffers
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.coarse_grained import DriverEndpoint
from minispark.scheduler.executor_allocation import ExecutorAllocationManager
from minispark.scheduler.log_levels import LogLevels
from minispark.scheduler.logic.executors import Decommission

__all__ = ["CoarseGrainedSchedulerBackend", "Provisioner"]

logger = logging.getLogger(__name__)


class Provisioner(Protocol):
    """Who gets executors of a cluster and ends them; it only asks: what comes of it is told to the backend."""

    async def request_total_executors(self, total: int) -> bool:
        """Want so many executors in all; tell whether that was taken."""

    async def kill_executors(self, executor_ids: Sequence[ExecutorId]) -> bool:
        """Have executors ended; tell whether that was taken."""

    async def stop(self) -> None:
        """Give everything back."""


class CoarseGrainedSchedulerBackend:
    """Executors in processes of their own; also an `ExecutorAllocation` and an `ExecutorReplacer`.

    Args:
        endpoint: knows the executors.
        world: clock and timers.
        stop_deadline_s: how long executors may take to stop.
        force_kill_s: how long a decommissioned executor may take to go; None: for ever.

    Attributes:
        provisioner: gets and ends processes; set before the first use.
        scope: owns what is asked of it; set with it.
        allocation: follows the load, if executors come and go with it.
        log_levels: tells executors how much to log.
    """

    provisioner: Provisioner
    scope: TaskScope

    def __init__(
        self, endpoint: DriverEndpoint, world: World, stop_deadline_s: float, force_kill_s: float | None = None
    ) -> None:
        self.endpoint = endpoint
        self.table = endpoint.table
        self.world = world
        self.stop_deadline_s = stop_deadline_s
        self.force_kill_s = force_kill_s
        self.timers: dict[int, asyncio.TimerHandle] = {}
        self.next_timer = 0
        self.allocation: ExecutorAllocationManager | None = None
        self.log_levels = LogLevels(endpoint.refs.values)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def revive_offers(self) -> None:
        """Have free cores offered soon."""
        self.endpoint.self_ref.send(ReviveOffers())

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """End an attempt."""
        self.endpoint.kill_task(task_id, executor_id, interrupt, reason)

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks all executors together can run at once."""
        return self.table.max_concurrent_tasks

    # -- how many ----------------------------------------------------------------------------------------------------

    def is_executor_active(self, executor_id: ExecutorId) -> bool:
        """Tell whether an executor may be given tasks."""
        executor = self.table.executors.get(executor_id)
        return executor is not None and executor.is_active

    def executor_ids(self) -> list[ExecutorId]:
        """Return the executors that are registered and not told to go."""
        return [name for name, executor in self.table.executors.items() if not executor.is_leaving]

    async def request_executors(self, count: int) -> bool:
        """Ask for so many more; tell whether that was taken.

        Raises:
            ValueError: count is negative.
        """
        if count < 0:
            raise ValueError(f"{count} more executors cannot be asked for")
        return await self.provisioner.request_total_executors(self.table.request_more(count, self.world.monotonic()))

    async def request_total_executors(self, total: int) -> bool:
        """Ask for so many in all; tell whether that was taken.

        Raises:
            ValueError: total is negative.
        """
        if total < 0:
            raise ValueError(f"{total} executors cannot be asked for")
        return await self.provisioner.request_total_executors(self.table.request_total(total, self.world.monotonic()))

    async def kill_executors(
        self,
        executor_ids: Iterable[ExecutorId],
        *,
        adjust_target: bool = True,
        replace: bool = False,
        force: bool = False,
    ) -> list[ExecutorId]:
        """End executors; return those that are ended for it.

        Args:
            executor_ids: those that are not known, or told to end already, are left out.
            adjust_target: want as many fewer in all.
            replace: others are to come in their place, and what runs on them may have brought it about.
            force: also those on which tasks run.
        """
        killed = self.table.kill(executor_ids, force=force, replace=replace, count_failures=replace)
        if not killed:
            return []
        logger.info("executors %s are killed", ", ".join(killed))
        if adjust_target and not replace:
            total = self.table.want_fewer(len(killed), self.world.monotonic())
            if not await self.provisioner.request_total_executors(total):
                logger.warning("the cluster did not take that %d executors are wanted", total)
        return killed if await self.provisioner.kill_executors(killed) else []

    async def decommission_executors(
        self, executor_ids: Iterable[ExecutorId], reason: str, *, adjust_target: bool = True
    ) -> list[ExecutorId]:
        """Have executors finish what runs, hand over their blocks and go; return those that were told so.

        One that has not registered yet is told when it does.
        """
        order = Decommission(reason)
        told = [each for each in executor_ids if self.endpoint.decommission(each, order)]
        self.kill_stragglers_later(told)
        if told and adjust_target:
            await self.provisioner.request_total_executors(self.table.want_fewer(len(told), self.world.monotonic()))
        return told

    def kill_stragglers_later(self, executor_ids: list[ExecutorId]) -> None:
        """Kill decommissioned executors that do not go in the time that is set."""
        if self.force_kill_s is not None and executor_ids:
            number = self.next_timer = self.next_timer + 1
            self.timers[number] = self.world.call_later(self.force_kill_s, self.kill_stragglers, number, executor_ids)

    def kill_stragglers(self, number: int, executor_ids: list[ExecutorId]) -> None:
        """Kill those that are still there."""
        del self.timers[number]
        self.spawn(self.kill_executors(executor_ids, adjust_target=False, force=True), "kill what does not go")

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Have something done that nobody waits for."""
        self.scope.spawn(work, name=name, owner=self.endpoint)

    # -- for others --------------------------------------------------------------------------------------------------

    def kill_and_replace(self, executor_id: ExecutorId, reason: str) -> None:
        """End an executor, if it still lives, and have another one started; see `ExecutorReplacer`."""
        self.replace([executor_id], decommission=False, reason=reason, count_failures=True)
        # The cluster may have forgotten it long ago, and would never say that it is gone.
        self.endpoint.self_ref.send(RemoveExecutor(executor_id, ExecutorProcessLost(reason)))

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        """Kill or decommission an executor that is excluded; see `ExecutorAllocation`."""
        self.replace([executor_id], decommission=decommission, reason=reason)

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        """The same for all executors of a host."""
        self.replace(self.table.on_host(host), decommission=decommission, reason=reason)

    def replace(
        self, executor_ids: list[ExecutorId], *, decommission: bool, reason: str, count_failures: bool = False
    ) -> None:
        """Have executors go, and want as many as before."""
        logger.info("executors %s are to go: %s", ", ".join(executor_ids), reason)
        if decommission:
            told = [each for each in executor_ids if self.endpoint.decommission(each, Decommission(reason))]
            self.kill_stragglers_later(told)
        else:
            # Noted now, so that nothing more is launched there; done soon.
            killed = self.table.kill(executor_ids, force=True, replace=True, count_failures=count_failures)
            if killed:
                self.spawn(self.provisioner.kill_executors(killed), "kill executors")

    # -- from the provisioner ----------------------------------------------------------------------------------------

    def tell(self, message: RemoveExecutor | RemoveWorker) -> None:
        """Hand news of the cluster to the endpoint, behind what it has not handled yet."""
        self.endpoint.self_ref.send(message)

    def decommissioned(self, executor_id: ExecutorId, order: Decommission) -> None:
        """Give an executor nothing new of which the cluster says that it goes; the cluster tells it itself."""
        self.endpoint.decommission(executor_id, order)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End what runs on all executors, then give them back."""
        if self.allocation is not None:
            self.allocation.stop()
        for timer in self.timers.values():
            timer.cancel()
        # First of all: to a master that wants as many as before, each one that stops is one that is missing.
        self.scope.spawn(self.provisioner.request_total_executors(0), name="want no executor any more")
        answers = self.endpoint.stop_executors(self.stop_deadline_s)
        for error in await asyncio.gather(*answers, return_exceptions=True):
            if isinstance(error, MiniSparkError):
                logger.info("an executor did not stop in order: %s", error)
        await self.provisioner.stop()
