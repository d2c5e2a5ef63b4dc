"""The executors of a cluster as the driver's backend knows them: registered, offered, going away, gone.

Written by `coarse_grained.DriverEndpoint` alone, by named methods that say what is to be told to whom. An executor is
*active* while it may be given tasks: once it has launched, and until it is killed, decommissioned or does not answer;
it never becomes active again. Source: the tables of Spark's CoarseGrainedSchedulerBackend.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import (
    ExecutorDecommission,
    ExecutorExited,
    ExecutorKilled,
    ExecutorLossReason,
    ExecutorProcessLost,
    LossReasonPending,
)
from minispark.record import Record, record
from minispark.scheduler.backend import WorkerOffer

__all__ = ["Decommission", "ExecutorTable", "KnownExecutor", "Loss", "RequestTimes", "exit_reason", "loss_of"]

Value = TypeVar("Value")

MAX_REMEMBERED = 1000

NOT_OF_THE_APPLICATION = {
    53: "it could not make its directories",
    56: "it could not reach the driver with its heartbeats",
    58: "it could not register its blocks again",
}
"""Exit codes of executors that ended themselves for reasons that no task brought about."""


@record
class Decommission(Record):
    """That an executor is to go: why, with which host (empty: it alone), and whether it said so itself."""

    text: str
    worker_host: str = ""
    by_executor: bool = False


@record
class Loss(Record):
    """What is told of an executor that is gone; see `messages.scheduler.ExecutorRemoved`."""

    text: str
    caused_by_app: bool
    worker_lost: bool = False
    in_order: bool = False


@dataclass(slots=True, eq=False)
class KnownExecutor:
    """A registered executor.

    Attributes:
        offer: its free cores; 0 unless it is active.
        has_launched: it was offered, so that the schedulers know of it.
        running: the cores of each attempt that was launched there and has not ended.
        is_killed: the driver has it ended.
        is_excused: so that what ran there failed by order, and nothing else is to blame.
        is_replaced: another one is to come in its place.
    """

    executor_id: ExecutorId
    host: str
    cores: int
    offer: WorkerOffer
    running: dict[TaskId, int] = field(default_factory=dict)
    has_launched: bool = False
    is_loss_pending: bool = False
    is_killed: bool = False
    is_excused: bool = False
    is_replaced: bool = False
    decommission: Decommission | None = None

    @property
    def is_leaving(self) -> bool:
        """Whether it gets nothing new because it goes, is gone, or may be."""
        return self.is_loss_pending or self.is_killed or self.decommission is not None

    @property
    def is_active(self) -> bool:
        """Whether it may be given tasks."""
        return self.has_launched and not self.is_leaving


class ExecutorTable:
    """All executors of an application.

    Args:
        task_cpus: cores that a task takes.

    Attributes:
        executors: those that are registered and not removed, in the order in which they came.
        target: how many are wanted in all; None as long as nobody said: as many as the cluster gives.
        requests: when executors were asked for.
    """

    def __init__(self, task_cpus: int = 1) -> None:
        self.task_cpus = task_cpus
        self.executors: dict[ExecutorId, KnownExecutor] = {}
        self.early_decommissions: dict[ExecutorId, Decommission] = {}
        self.gone: dict[ExecutorId, None] = {}
        self.target: int | None = None
        self.requests = RequestTimes()

    # -- coming ------------------------------------------------------------------------------------------------------

    def register(self, executor_id: ExecutorId, host: str, cores: int) -> KnownExecutor | None:
        """Take an executor, of which nothing is offered yet; None if the id is taken, or was: lost ones stay lost."""
        if executor_id in self.executors or executor_id in self.gone:
            return None
        executor = KnownExecutor(executor_id, host, cores, WorkerOffer(executor_id, host, 0))
        self.executors[executor_id] = executor
        return executor

    def early_decommission(self, executor_id: ExecutorId) -> Decommission | None:
        """Return, once, that an executor was told to go before it registered."""
        return self.early_decommissions.pop(executor_id, None)

    def launched(self, executor_id: ExecutorId) -> KnownExecutor | None:
        """Let an executor's cores be offered; None if it is to have no tasks."""
        executor = self.executors.get(executor_id)
        if executor is None or executor.has_launched or executor.is_leaving:
            return None
        executor.has_launched = True
        executor.offer.cores = executor.cores
        return executor

    # -- tasks -------------------------------------------------------------------------------------------------------

    def free_offers(self) -> list[WorkerOffer]:
        """Return the offers that have a free core."""
        return [executor.offer for executor in self.executors.values() if executor.offer.cores > 0]

    def task_launched(self, executor_id: ExecutorId, task_id: TaskId, cpus: int) -> None:
        """Note an attempt whose cores were taken off the offer."""
        self.executors[executor_id].running[task_id] = cpus

    def task_ended(self, executor_id: ExecutorId, task_id: TaskId) -> WorkerOffer | None:
        """Take back the cores of an attempt, once; return the offer if it may be used again."""
        executor = self.executors.get(executor_id)
        cpus = 0 if executor is None else executor.running.pop(task_id, 0)
        if executor is None or not cpus or executor.is_leaving:
            return None
        executor.offer.cores += cpus
        return executor.offer

    def with_room(self, cpus: int) -> KnownExecutor | None:
        """Return an executor with so many free cores."""
        return next((each for each in self.executors.values() if each.offer.cores >= cpus), None)

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def total_cores(self) -> int:
        """The cores of all executors."""
        return sum(executor.cores for executor in self.executors.values())

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks run at once on those that are not about to go, busy or not."""
        return sum(each.cores // self.task_cpus for each in self.executors.values() if not each.is_leaving)

    def on_host(self, host: str) -> list[ExecutorId]:
        """Return the executors of a host."""
        return [executor.executor_id for executor in self.executors.values() if executor.host == host]

    def is_killed(self, executor_id: ExecutorId) -> bool:
        """Tell whether the driver has an executor ended, so that nobody wonders why it goes."""
        executor = self.executors.get(executor_id)
        return executor is not None and executor.is_killed

    # -- going -------------------------------------------------------------------------------------------------------

    def leave(self, executor: KnownExecutor) -> None:
        """Take an executor out of the offers, also out of those of a round that goes on."""
        executor.offer.cores = 0

    def loss_pending(self, executor_id: ExecutorId) -> bool:
        """Offer an executor no more until it is known why it does not answer; tell whether that is news."""
        executor = self.executors.get(executor_id)
        if executor is None or executor.is_loss_pending:
            return False
        executor.is_loss_pending = True
        self.leave(executor)
        return True

    def decommission(self, executor_id: ExecutorId, order: Decommission) -> bool:
        """Offer an executor no more; tell whether it is news. An order for one that has not registered is kept."""
        executor = self.executors.get(executor_id)
        if executor is None:
            remember(self.early_decommissions, executor_id, order)
            return False
        before = executor.decommission
        if before is None and executor.is_leaving:
            return False
        executor.decommission = order
        self.leave(executor)
        return before is None or bool(order.worker_host and not before.worker_host)

    def kill(
        self, executor_ids: Iterable[ExecutorId], *, force: bool, replace: bool, count_failures: bool = False
    ) -> list[ExecutorId]:
        """Offer executors no more that are to be killed; return them.

        Args:
            executor_ids: those that nobody knows, or that are being killed already, are left out.
            force: also those that run tasks.
            replace: others are wanted in their place.
            count_failures: what runs there may have brought it about: the given reason of the loss stands.
        """
        killed = []
        for executor_id in executor_ids:
            executor = self.executors.get(executor_id)
            if executor is None or executor.is_killed or (executor.running and not force):
                continue
            executor.is_killed, executor.is_replaced, executor.is_excused = True, replace, not count_failures
            self.leave(executor)
            killed.append(executor_id)
        return killed

    def remove(self, executor_id: ExecutorId, reason: ExecutorLossReason) -> tuple[KnownExecutor, Loss] | None:
        """Let an executor go; return what is told of it, None if it is not known.

        An order of the driver's goes before a decommission, and that before the given reason.
        """
        self.early_decommissions.pop(executor_id, None)
        remember(self.gone, executor_id, None)
        executor = self.executors.pop(executor_id, None)
        if executor is None:
            return None
        self.leave(executor)
        if executor.is_excused:
            reason = ExecutorKilled()
        elif executor.decommission is not None:
            in_order = isinstance(reason, ExecutorDecommission) or exited_well(reason)
            reason = ExecutorDecommission(executor.decommission.text, worker_host=host_lost(executor, reason))
            return executor, loss_of(reason, in_order=in_order)
        return executor, loss_of(reason)

    # -- how many ----------------------------------------------------------------------------------------------------

    def request_total(self, total: int, now: float) -> int:
        """Want so many executors in all; returns that."""
        self.requests.changed(total - (self.target or 0), now)
        self.target = total
        return total

    def request_more(self, count: int, now: float) -> int:
        """Want so many more; returns how many in all."""
        return self.request_total(self.current_target + count, now)

    def want_fewer(self, count: int, now: float) -> int:
        """Want so many fewer, which were told to go; returns how many in all."""
        before = self.current_target if self.target is not None else self.current_target + count
        return self.request_total(max(before - count, 0), now)

    @property
    def current_target(self) -> int:
        """How many are wanted; as long as nobody said, as many as there are and stay, or are replaced."""
        if self.target is not None:
            return self.target
        return sum(
            each.is_replaced or not (each.is_killed or each.decommission is not None)
            for each in self.executors.values()
        )

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert that no core is lost or given twice, and that nobody is offered who goes."""
        for executor in self.executors.values():
            free, taken = executor.offer.cores, sum(executor.running.values())
            assert free >= 0, f"{executor.executor_id} gave more cores than it has"
            assert free == (executor.cores - taken if executor.is_active else 0), f"{executor.executor_id} lost cores"


class RequestTimes:
    """When the executors that have not come yet were asked for, the oldest request first."""

    def __init__(self) -> None:
        self.open: deque[tuple[int, float]] = deque()

    def changed(self, delta: int, now: float) -> None:
        """Take that more executors, or fewer, are wanted; who is wanted no more is taken off the oldest requests."""
        if delta > 0:
            self.open.append((delta, now))
        surplus = -delta
        while surplus > 0 and self.open:
            count, since = self.open.popleft()
            if count > surplus:
                self.open.appendleft((count - surplus, since))
            surplus -= count

    def registered(self) -> float | None:
        """Take that an executor came; return when it was asked for, None if nobody did."""
        if not self.open:
            return None
        count, since = self.open.popleft()
        if count > 1:
            self.open.appendleft((count - 1, since))
        return since


def remember(table: dict[ExecutorId, Value], executor_id: ExecutorId, value: Value) -> None:
    """Keep something of an executor that is not there, and let go of the oldest when there are many."""
    table[executor_id] = value
    if len(table) > MAX_REMEMBERED:
        del table[next(iter(table))]


def host_lost(executor: KnownExecutor, reason: ExecutorLossReason) -> str:
    """Return the host that went with a decommissioned executor; empty if it went alone."""
    assert executor.decommission is not None
    lost_too = reason.worker_host if isinstance(reason, ExecutorProcessLost | ExecutorDecommission) else ""
    return executor.decommission.worker_host or lost_too


def exited_well(reason: ExecutorLossReason) -> bool:
    """Tell whether a process ended by itself with nothing to complain of."""
    return isinstance(reason, ExecutorExited) and reason.code == 0


def exit_reason(exit_code: int | None, text: str, worker_host: str) -> ExecutorExited | ExecutorProcessLost:
    """Return the loss reason of a process of which a cluster's master says that it ended.

    Args:
        exit_code: negative for a signal; None if nobody knows.
        text: for people.
        worker_host: its host, if that went too.
    """
    if exit_code is None:
        return ExecutorProcessLost(text, worker_host, caused_by_app=not worker_host)
    excuse = NOT_OF_THE_APPLICATION.get(exit_code)
    return ExecutorExited(exit_code, excuse is None, "; ".join(filter(None, (text, excuse))))


def loss_of(reason: ExecutorLossReason, *, in_order: bool = False) -> Loss:
    """Return what is told of a loss; in order: the executor was told to go, and was done."""
    match reason:
        case ExecutorExited():
            how = f"signal {-reason.code}" if reason.code < 0 else f"exit code {reason.code}"
            return Loss(f"it ended with {how}" + (f": {reason.text}" if reason.text else ""), reason.caused_by_app)
        case ExecutorKilled():
            return Loss("the driver had it ended", False)
        case LossReasonPending():
            return Loss("it does not answer", False)
        case ExecutorProcessLost():
            return Loss(reason.text, reason.caused_by_app, bool(reason.worker_host))
        case ExecutorDecommission():
            text = "it was decommissioned" + (f": {reason.text}" if reason.text else "")
            return Loss(text, False, bool(reason.worker_host), in_order)
