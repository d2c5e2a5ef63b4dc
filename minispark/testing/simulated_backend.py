"""A scheduler backend whose executors are simulated: slots, attempts that end when their script says, losses.

It stands where a cluster's backend and all its executors stand: it offers cores to the TaskScheduler, takes the
attempts that come of it, and reports their ends. Nothing runs; an attempt is a timer. What the driver knows and what
is true may differ for a while, as in life: an executor that died is offered until the driver hears of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import ExecutorAdded, ExecutorDecommissioned, ExecutorRemoved, ReviveOffers
from minispark.messages.task import Success, TaskDescription, TaskKilled, TaskOutcome, TaskState
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.backend import TaskOffers, WorkerOffer
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript

__all__ = ["LaunchObserver", "RunningAttempt", "SimulatedBackend"]

LaunchObserver = Callable[[TaskDescription, SimulatedExecutor], object]
"""Is shown each attempt as it starts."""


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> None:
        """Do not call."""


@dataclass(slots=True, eq=False)
class RunningAttempt:
    """An attempt on a simulated executor, and the timer that ends it."""

    task: TaskDescription
    executor: SimulatedExecutor
    timer: Cancellable


@dataclass(slots=True, eq=False)
class Slots:
    """An executor as the driver sees it (`offer`: its free cores) and as it is (`running`, `is_alive`)."""

    executor: SimulatedExecutor
    offer: WorkerOffer
    is_alive: bool = True
    is_leaving: bool = False
    running: dict[TaskId, RunningAttempt] = field(default_factory=dict)


class SimulatedBackend(RpcEndpoint):
    """Executors that are timers; implements `SchedulerBackend` and is its own endpoint.

    Args:
        world: its timers.
        script: what attempts do.
        direct: whether the ends of attempts are handed over by a call instead of a message.

    Attributes:
        slots: the executors the driver knows of.
        num_launched: attempts so far.
        on_launch: if set, is shown each attempt as it starts.
    """

    scheduler: TaskOffers
    listeners: tuple[RpcEndpointRef, ...]

    def __init__(self, world: World, script: TaskScript, *, direct: bool = False) -> None:
        self.world = world
        self.script = script
        self.direct = direct
        self.slots: dict[ExecutorId, Slots] = {}
        self.cores_of: dict[TaskId, tuple[ExecutorId, int]] = {}
        self.num_launched = 0
        self.revive_asked = False
        self.on_launch: LaunchObserver | None = None

    def attach(self, scheduler: TaskOffers, listeners: Iterable[RpcEndpointRef]) -> None:
        """Say who takes the offers, and who is told of executors that come and go."""
        self.scheduler = scheduler
        self.listeners = tuple(listeners)

    # -- the driver's side -------------------------------------------------------------------------------------------

    def receive(self, message: ReviveOffers | StatusUpdate, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case ReviveOffers():
                self.revive_asked = False
                self.make_offers([slots.offer for slots in self.slots.values()], is_all_free=True)
            case StatusUpdate():
                self.status_update(message)
            case _:
                assert_never(message)

    def revive_offers(self) -> None:
        """Have all free cores offered soon; asking again before that changes nothing."""
        if not self.revive_asked:
            self.revive_asked = True
            self.self_ref.send(ReviveOffers())

    def make_offers(self, offers: list[WorkerOffer], *, is_all_free: bool) -> None:
        """Offer free cores and start what the scheduler gives."""
        free = [offer for offer in offers if offer.cores > 0]
        if free:
            for task in self.scheduler.resource_offers(free, is_all_free):
                self.launch(task)

    def status_update(self, update: StatusUpdate) -> None:
        """Take the cores of an ended attempt back, tell the scheduler, offer them again."""
        executor_id, cores = self.cores_of.pop(update.task_id, (update.executor_id, 0))
        slots = self.slots.get(executor_id)
        if slots is not None and not slots.is_leaving:
            slots.offer.cores += cores
        self.scheduler.status_update(update)
        if slots is not None:
            self.make_offers([slots.offer], is_all_free=False)

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """End an attempt, after the time its script takes to unwind."""
        slots = self.slots.get(executor_id)
        attempt = slots.running.get(task_id) if slots is not None else None
        if attempt is not None:
            attempt.timer.cancel()
            delay_s = self.script.unwind_s(attempt.task, attempt.executor)
            attempt.timer = self.world.call_later(delay_s, self.killed, attempt, reason)

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks all executors together can run at once, a core each."""
        return sum(slots.executor.cores for slots in self.slots.values())

    async def stop(self) -> None:
        """Nothing is to be stopped: attempts are timers."""

    # -- the executors' side -----------------------------------------------------------------------------------------

    def launch(self, task: TaskDescription) -> None:
        """Start an attempt; on an executor that is dead already nothing comes of it."""
        slots = self.slots[task.executor_id]
        self.cores_of[task.task_id] = (task.executor_id, task.cpus)
        self.num_launched += 1
        if not slots.is_alive:
            return
        executor = slots.executor
        attempt = RunningAttempt.__new__(RunningAttempt)
        attempt.task, attempt.executor = task, executor
        attempt.timer = self.world.call_later(self.script.duration_s(task, executor), self.ended, attempt)
        slots.running[task.task_id] = attempt
        if self.on_launch is not None:
            self.on_launch(task, executor)

    def ended(self, attempt: RunningAttempt) -> None:
        """Let an attempt end as its script says."""
        self.report(attempt, self.script.outcome(attempt.task, attempt.executor))

    def killed(self, attempt: RunningAttempt, reason: str) -> None:
        """Let an attempt end because it was killed."""
        self.report(attempt, TaskKilled(reason))

    def report(self, attempt: RunningAttempt, outcome: TaskOutcome) -> None:
        """Tell the driver how an attempt ended, now or later."""
        task = attempt.task
        slots = self.slots.get(task.executor_id)
        if slots is not None:
            slots.running.pop(task.task_id, None)
        state = TaskState.FINISHED if isinstance(outcome, Success) else TaskState.FAILED
        state = TaskState.KILLED if isinstance(outcome, TaskKilled) else state
        update = StatusUpdate(task.executor_id, task.task_id, state, outcome)
        delay_s = self.script.late_s(task, attempt.executor)
        if delay_s > 0.0:
            self.world.call_later(delay_s, self.self_ref.send, update)
        elif self.direct:
            self.status_update(update)
        else:
            self.self_ref.send(update)

    # -- executors that come and go ----------------------------------------------------------------------------------

    def add(self, executor: SimulatedExecutor) -> None:
        """Let an executor register.

        Raises:
            ValueError: one of that name is there.
        """
        if executor.executor_id in self.slots:
            raise ValueError(f"there is an executor {executor.executor_id} already")
        offer = WorkerOffer(executor.executor_id, executor.host, executor.cores)
        self.slots[executor.executor_id] = Slots(executor, offer)
        for listener in self.listeners:
            listener.send(ExecutorAdded(executor.executor_id, executor.host))
        self.revive_offers()

    def lose(
        self,
        executor_id: ExecutorId,
        *,
        after_s: float = 0.0,
        caused_by_app: bool = False,
        worker_lost: bool = False,
        reason: str = "lost",
    ) -> None:
        """Let an executor die now; the driver hears of it after a time.

        Args:
            executor_id: which; one that is dead already stays so.
            after_s: how long the driver goes on offering it.
            caused_by_app: whether its tasks count as failed.
            worker_lost: whether its host is gone with it.
            reason: for messages.
        """
        slots = self.slots.get(executor_id)
        if slots is None or not slots.is_alive:
            return
        slots.is_alive = False
        for attempt in slots.running.values():
            attempt.timer.cancel()
        slots.running.clear()
        removed = ExecutorRemoved(executor_id, slots.executor.host, reason, caused_by_app, worker_lost)
        self.world.call_later(after_s, self.forget, slots, removed)

    def forget(self, slots: Slots, removed: ExecutorRemoved) -> None:
        """Take note, as the driver, that an executor is gone."""
        del self.slots[removed.executor_id]
        slots.offer.cores = 0
        for task_id in [task_id for task_id, (where, _) in self.cores_of.items() if where == removed.executor_id]:
            del self.cores_of[task_id]
        for listener in self.listeners:
            listener.send(removed)

    def decommission(self, executor_id: ExecutorId, reason: str = "decommissioned") -> None:
        """Offer an executor no more and say so; what runs there ends in its own time."""
        slots = self.slots.get(executor_id)
        if slots is not None and not slots.is_leaving:
            slots.is_leaving = True
            slots.offer.cores = 0
            for listener in self.listeners:
                listener.send(ExecutorDecommissioned(executor_id, slots.executor.host, reason))

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert that cores are neither lost nor given twice."""
        used: dict[ExecutorId, int] = {}
        for executor_id, cores in self.cores_of.values():
            used[executor_id] = used.get(executor_id, 0) + cores
        for executor_id, slots in self.slots.items():
            taken, free = used.get(executor_id, 0), slots.offer.cores
            assert min(free, slots.executor.cores - taken) >= 0, f"{executor_id} gave more cores than it has"
            assert free + taken == slots.executor.cores or slots.is_leaving, f"{executor_id} lost cores"

    def assert_idle(self) -> None:
        """Assert that nothing runs and all cores are free."""
        assert not self.cores_of, f"not ended: {list(self.cores_of)}"
        for executor_id, slots in self.slots.items():
            assert not slots.running, f"{executor_id} still runs {list(slots.running)}"
            assert slots.offer.cores == slots.executor.cores or slots.is_leaving, f"{executor_id} lost cores"
