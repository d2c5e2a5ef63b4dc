"""Dynamic allocation: has the cluster start executors while tasks wait, and give back those that are idle.

Made by `cluster_mode` where `minispark.dynamicAllocation.enabled` is set; the listener bus, the BlockManagerMaster,
the MapOutputTracker and the backend tell it what happens. How many are wanted is decided in `logic.allocation`, who
is idle in `logic.executor_monitor`. It looks at most ten times a second, and only after something has happened or
when a time is up: an application at rest costs nothing. Source: Spark's ExecutorAllocationManager.
"""

import asyncio
import logging
import math
from collections.abc import Iterable
from typing import Final, Protocol

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.ids import ExecutorId, RddId, ShuffleId
from minispark.messages.listener import (
    ExecutorJoined,
    ExecutorLeft,
    JobEnd,
    JobStart,
    ListenerEvent,
    SpeculativeTaskSubmitted,
    StageCompleted,
    StageSubmitted,
    TaskEnd,
    TaskStart,
    UnschedulableTaskSet,
)
from minispark.messages.task import Resubmitted, Success, TaskKilled
from minispark.record import Record, record
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.logic.allocation import UNBOUNDED, AllocationRules, AllocationTarget, Request
from minispark.scheduler.logic.backlog import Backlog
from minispark.scheduler.logic.executor_monitor import Departures, ExecutorMonitor, MonitorRules

__all__ = [
    "INTERVAL_S",
    "AllocationClient",
    "AllocationFigures",
    "ExecutorAllocationManager",
    "allocation_rules",
    "monitor_rules",
]

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 0.1
"""Between two looks at what has changed."""

RETRY_S: Final = 1.0
"""After which what nobody took is asked for again."""


class AllocationClient(Protocol):
    """The backend, as dynamic allocation needs it."""

    def is_executor_active(self, executor_id: ExecutorId) -> bool:
        """Tell whether an executor is there and was not told to go."""

    async def request_total_executors(self, total: int) -> bool:
        """Want so many executors in all; tell whether that was taken."""

    async def kill_executors(
        self, executor_ids: Iterable[ExecutorId], *, adjust_target: bool = True
    ) -> list[ExecutorId]:
        """End executors that run nothing; return those that are ended for it."""

    async def decommission_executors(
        self, executor_ids: Iterable[ExecutorId], reason: str, *, adjust_target: bool = True
    ) -> list[ExecutorId]:
        """Have executors hand over their blocks and go; return those that were told so."""


@record
class AllocationFigures(Record):
    """What people look at.

    Attributes:
        executors: there are so many, those included that were told to go.
        target: so many are wanted.
        need: so many could be used by the tasks that wait and run.
        going: so many were told to go.
        step: so many more are wanted when tasks have waited again.
    """

    executors: int
    target: int
    need: int
    going: int
    step: int


class ExecutorAllocationManager:
    """Follows the load of one application.

    Args:
        rules: how many executors.
        monitoring: how long idle ones stay.
        tasks_per_executor: how many tasks an executor runs at a time; None: seen from those that come.
        task_cpus: cores of a task.
        client: gets and ends executors.
        world: clock and timer.
        scope: owns what is asked of the client.
        decommissions: whether idle executors are decommissioned instead of killed.
    """

    def __init__(
        self,
        rules: AllocationRules,
        monitoring: MonitorRules,
        tasks_per_executor: int | None,
        task_cpus: int,
        client: AllocationClient,
        world: World,
        scope: TaskScope,
        *,
        decommissions: bool = False,
    ) -> None:
        self.target = AllocationTarget(rules, tasks_per_executor or 1)
        self.monitor = ExecutorMonitor(monitoring)
        self.backlog = Backlog()
        self.learns_size = tasks_per_executor is None
        self.task_cpus = task_cpus
        self.client = client
        self.world = world
        self.scope = scope
        self.decommissions = decommissions
        self.timer: asyncio.TimerHandle | None = None
        self.is_soon = False  # the timer rings within the interval
        self.is_asking = False
        self.is_stopped = False

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the first executors."""
        first = self.target.total
        self.ask(Request(first, first, 1), [])

    def stop(self) -> None:
        """Do nothing more."""
        self.is_stopped = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    @property
    def departures(self) -> Departures:
        """How the executors went that are gone."""
        return self.monitor.departures

    def figures(self) -> AllocationFigures:
        """Return the figures of now."""
        monitor, target = self.monitor, self.target
        need = target.need(self.backlog, monitor.num_executors)
        return AllocationFigures(monitor.num_executors, target.total, need, monitor.num_going, target.step)

    # -- what happens ------------------------------------------------------------------------------------------------

    def observe(self, event: ListenerEvent) -> None:  # noqa: C901  # one match, one line a case
        """Take an event, in the turn in which it is posted, so that none is ever missed."""
        match event:
            case TaskStart():
                self.task_started(event)
            case TaskEnd():
                self.task_ended(event)
            case StageSubmitted(stage):
                self.target.begun()
                self.backlog.stage_submitted((stage.stage_id, stage.attempt), stage.num_tasks)
                self.target.backlogged(self.now)
            case StageCompleted(stage):
                self.backlog.stage_completed((stage.stage_id, stage.attempt))
                self.see_queue()
            case SpeculativeTaskSubmitted():
                self.backlog.copy_wanted((event.stage_id, event.stage_attempt), event.index)
                self.target.backlogged(self.now)
            case UnschedulableTaskSet(stage_id, stage_attempt, is_unschedulable):
                self.backlog.set_unschedulable((stage_id, stage_attempt), is_unschedulable)
                if is_unschedulable:
                    self.target.backlogged(self.now)
            case JobStart():
                read = [(stage.stage_id, stage.shuffle_id) for stage in event.stages if stage.shuffle_id >= 0]
                self.monitor.job_started(event.job_id, read, self.now)
            case JobEnd(job_id):
                self.monitor.job_ended(job_id, self.now)
            case ExecutorJoined():
                self.executor_joined(event)
            case ExecutorLeft():
                self.monitor.removed(event.executor_id, in_order=event.in_order)
            case _:
                return
        self.look_soon()

    @property
    def now(self) -> float:
        """The time."""
        return self.world.monotonic()

    def task_started(self, event: TaskStart) -> None:
        """Count an attempt."""
        info = event.task
        self.backlog.task_started((event.stage_id, event.stage_attempt), info.task_id, info.index)
        if self.client.is_executor_active(info.executor_id):  # a late event must not bring one back that is gone
            self.monitor.task_started(info.executor_id, self.now)
        self.see_queue()

    def task_ended(self, event: TaskEnd) -> None:
        """Count an attempt no more; where its task has to run again, that is a reason for more executors."""
        info, reason = event.task, event.reason
        key = (event.stage_id, event.stage_attempt)
        if self.backlog.task_ended(key, info.task_id, info.index, reason):
            self.target.backlogged(self.now)
        elif isinstance(reason, Success | TaskKilled):
            self.see_queue()
        if not isinstance(reason, Resubmitted):
            succeeded = isinstance(reason, Success)
            self.monitor.task_ended(info.executor_id, event.stage_id, self.now, succeeded=succeeded)

    def see_queue(self) -> None:
        """Stop waiting once nothing waits."""
        if self.target.add_s < math.inf and not (self.backlog.has_pending or self.backlog.unschedulable):
            self.target.queue_empty()

    def executor_joined(self, event: ExecutorJoined) -> None:
        """Take an executor; where nobody said how large they are, it shows."""
        if self.learns_size and event.cores:
            self.target.tasks_per_executor = max(event.cores // self.task_cpus, 1)
        self.monitor.added(event.executor_id, self.now)

    def executor_decommissioned(self, executor_id: ExecutorId) -> None:
        """Take that an executor was told to go, by whomever."""
        self.monitor.decommissioned([executor_id])
        self.look_soon()

    def block_updated(self, executor_id: ExecutorId, rdd_id: RddId, partition: int, is_held: bool) -> None:
        """Take that an executor holds a partition of a persisted RDD, or holds it no more; a `BlockWatcher`."""
        self.monitor.block_updated(executor_id, rdd_id, partition, is_held, self.now)
        self.look_soon()

    def rdd_removed(self, rdd_id: RddId) -> None:
        """Take that an RDD is persisted no more."""
        self.monitor.rdd_removed(rdd_id, self.now)
        self.look_soon()

    def output_moved(self, executor_id: ExecutorId, shuffle_id: ShuffleId) -> None:
        """Take that a map output was handed over to an executor."""
        self.monitor.output_moved(executor_id, shuffle_id, self.now)
        self.look_soon()

    def shuffle_forgotten(self, shuffle_id: ShuffleId) -> None:
        """Take that nobody can read a shuffle any more."""
        self.monitor.shuffle_forgotten(shuffle_id, self.now)
        self.look_soon()

    # -- looking -----------------------------------------------------------------------------------------------------

    def look_soon(self) -> None:
        """Have a look within the interval."""
        if not self.is_soon:
            self.look_in(INTERVAL_S)

    def look_in(self, delay_s: float) -> None:
        """Set the only timer; never, if nothing is to be expected."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.is_soon = delay_s <= INTERVAL_S
        if delay_s < math.inf and not (self.is_stopped or self.is_asking):
            self.timer = self.world.call_later(delay_s, self.look)

    def look(self) -> None:
        """Adapt the number of executors that are wanted, and let those go that are idle."""
        self.timer = None
        monitor, target, now = self.monitor, self.target, self.now
        late = monitor.timed_out(now)
        if late:
            target.begun()
        need = target.need(self.backlog, monitor.num_executors)
        request = target.update(need, monitor.num_executors, now)
        going = target.removable(
            [each for each in late if self.client.is_executor_active(each)],
            monitor.num_executors - monitor.num_going,
        )
        if request is not None or going:
            self.ask(request, going)
        else:
            self.look_in(self.rest_s())

    def rest_s(self) -> float:
        """Return how long nothing is to be expected that nobody tells."""
        return max(min(self.target.add_s, self.monitor.next_deadline_s) - self.now, INTERVAL_S)

    def ask(self, request: Request | None, going: list[ExecutorId]) -> None:
        """Have the cluster asked; until it answers nothing else is."""
        self.is_asking, self.is_soon = True, False
        self.scope.spawn(self.perform(request, going), name="ask for executors")

    async def perform(self, request: Request | None, going: list[ExecutorId]) -> None:
        """Ask the cluster for a number of executors, and to end some."""
        is_done = False
        try:
            is_done = request is None or await self.request(request)
            if going:
                is_done = await self.remove(going) and is_done
        finally:
            self.is_asking = False
            delay_s = self.rest_s() if is_done else RETRY_S
            self.look_in(INTERVAL_S if self.is_soon else delay_s)  # something may have happened meanwhile

    async def request(self, request: Request) -> bool:
        """Ask for a number of executors; tell whether that was taken."""
        if await self.client.request_total_executors(request.total):
            logger.info("%d executors are wanted now, after %d", request.total, request.before)
            return True
        level = logging.WARNING if request.total != request.before else logging.DEBUG  # asked anew, maybe for hours
        logger.log(level, "the cluster did not take that %d executors are wanted", request.total)
        self.target.refused(request)
        return False

    async def remove(self, going: list[ExecutorId]) -> bool:
        """Let idle executors go; the number that is wanted stays. Tell whether all go."""
        if self.decommissions:
            gone = await self.client.decommission_executors(going, "it was idle", adjust_target=False)
            self.monitor.decommissioned(gone)
        else:
            gone = await self.client.kill_executors(going, adjust_target=False)
            self.monitor.killed(gone)
        if gone:
            logger.info("executors %s were idle and go", ", ".join(gone))
        return len(gone) == len(going)


def allocation_rules(conf: SparkConf) -> AllocationRules:
    """Read how many executors there may be.

    Raises:
        ConfigurationError: the bounds contradict each other, or map outputs would be lost with idle executors.
    """
    prefix = "minispark.dynamicAllocation"
    least = conf.dynamic_allocation_min_executors
    most = conf.dynamic_allocation_max_executors or UNBOUNDED
    initial = max(least, conf.dynamic_allocation_initial_executors, conf.executor_instances)
    if least > most:
        raise ConfigurationError(
            f"{prefix}.minExecutors is {least}, more than {prefix}.maxExecutors, which is {most}"
        )
    if initial > most:
        raise ConfigurationError(
            f"{initial} executors to begin with (the larger of {prefix}.initialExecutors and "
            f"minispark.executor.instances) are more than {prefix}.maxExecutors, which is {most}"
        )
    if not 0 < conf.dynamic_allocation_executor_allocation_ratio <= 1:
        raise ConfigurationError(
            f"{prefix}.executorAllocationRatio must be above 0 and at most 1, not "
            f"{conf.dynamic_allocation_executor_allocation_ratio}"
        )
    hands_over = conf.decommission_enabled and conf.storage_decommission_shuffle_blocks
    if not (conf.shuffle_service or conf.dynamic_allocation_shuffle_tracking or hands_over):
        raise ConfigurationError(
            "idle executors would take map outputs with them that jobs still need; with dynamic allocation, "
            f"set one of minispark.shuffle.service.enabled, {prefix}.shuffleTracking.enabled and "
            "minispark.decommission.enabled"
        )
    backlog_s = conf.dynamic_allocation_scheduler_backlog_timeout
    sustained_s = conf.dynamic_allocation_sustained_backlog_timeout or backlog_s
    ratio = conf.dynamic_allocation_executor_allocation_ratio
    return AllocationRules(least, most, initial, ratio, backlog_s, sustained_s)


def monitor_rules(conf: SparkConf) -> MonitorRules:
    """Read how long idle executors stay."""
    return MonitorRules(
        conf.dynamic_allocation_executor_idle_timeout,
        never_if_unset(conf.dynamic_allocation_cached_executor_idle_timeout),
        never_if_unset(conf.dynamic_allocation_shuffle_tracking_timeout),
        conf.dynamic_allocation_shuffle_tracking and not conf.shuffle_service,
    )


def never_if_unset(time_s: float | None) -> float:
    """Return a time that is infinite unless it is set."""
    return math.inf if time_s is None else time_s
