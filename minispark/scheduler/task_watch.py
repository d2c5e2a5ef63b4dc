"""What watches the attempts of a TaskScheduler: exclusion of bad executors and speculation about slow tasks.

The TaskScheduler tells it what happens; most applications have neither turned on, and then each telling is a
comparison or two. It owns the timers of both; they come back to the TaskScheduler as messages to itself.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol, assert_never

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, TaskId
from minispark.messages.listener import EventSink
from minispark.messages.scheduler import AttemptsProgressed, CheckSpeculation, SubmitTaskSet, UnschedulableExpired
from minispark.messages.task import Success, TaskFailure
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.backend import SchedulerBackend, WorkerOffer
from minispark.scheduler.exclusions import ExecutorAllocation, exclusions
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.health import HealthTracker
from minispark.scheduler.logic.task_set import Abort, RunningTask, TaskSet
from minispark.scheduler.speculations import note_pace, speculations

__all__ = ["TaskWatch", "Watched"]


class Watched(Protocol):
    """The TaskScheduler, as its watch needs it.

    Attributes:
        set_of_task: the set of each attempt that runs.
    """

    set_of_task: dict[TaskId, TaskSet]

    @property
    def self_ref(self) -> RpcEndpointRef:
        """Where its timers send to."""

    def task_sets(self) -> Iterable[TaskSet]:
        """Go through all task sets."""

    def give_up(self, task_set: TaskSet, abort: Abort) -> None:
        """End a set."""

    def revive_offers(self) -> None:
        """Have free cores offered."""


class TaskWatch:
    """Both features of one application.

    Args:
        conf: what is on, and how strict.
        world: clock and timers.
        cluster: which executors are alive; only read.
        events: told of what is excluded, and of slow tasks.
        scheduler: the one that is watched.

    Attributes:
        exclusions: None if nothing is ever excluded.
        speculations: None if no task is ever tried twice at once.
        is_on: whether there is any of both; if not, nobody need ask with every task.

    Raises:
        ConfigurationError: if settings contradict each other.
    """

    def __init__(
        self, conf: SparkConf, world: World, cluster: Cluster, events: EventSink, scheduler: Watched
    ) -> None:
        self.world = world
        self.task_cpus = conf.task_cpus
        self.scheduler = scheduler
        self.exclusions = exclusions(conf, cluster, events, self.later)
        self.speculations = speculations(conf, cluster, events, self.later)
        self.is_on = self.exclusions is not None or self.speculations is not None
        self.timers: dict[int, asyncio.TimerHandle] = {}
        self.next_timer = 0

    def attach(self, backend: SchedulerBackend) -> None:
        """Say who may be able to end executors."""
        if self.exclusions is not None and isinstance(backend, ExecutorAllocation):
            self.exclusions.allocation = backend

    def health(self) -> HealthTracker | None:
        """Return the application's memory of failures; None if there is none."""
        return None if self.exclusions is None else self.exclusions.health

    # -- timers ------------------------------------------------------------------------------------------------------

    def later(self, delay_s: float, message: CheckSpeculation | UnschedulableExpired | None) -> None:
        """Send the scheduler a message after a while; None has free cores offered then."""
        number = self.next_timer
        self.next_timer += 1
        self.timers[number] = self.world.call_later(delay_s, self.send, number, message)

    def send(self, number: int, message: CheckSpeculation | UnschedulableExpired | None) -> None:
        """Do what a timer was set for."""
        del self.timers[number]
        if message is None:
            if self.exclusions is not None:
                self.exclusions.expiry_is_due()
            self.scheduler.revive_offers()
        else:
            self.scheduler.self_ref.send(message)

    def receive(self, message: CheckSpeculation | UnschedulableExpired | AttemptsProgressed) -> None:
        """Take a timer's message, or what heartbeats say."""
        match message:
            case UnschedulableExpired():
                self.unschedulable_expired(message)
            case AttemptsProgressed():
                for task_id, records, run_time_s in zip(
                    message.task_ids, message.records, message.run_times_s, strict=True
                ):
                    task_set = self.scheduler.set_of_task.get(task_id)
                    if task_set is not None and task_set.speculation is not None:
                        task_set.speculation.progress(task_id, records, run_time_s)
            case CheckSpeculation():
                sets = self.scheduler.task_sets()
                if self.speculations is not None and self.speculations.look(sets, self.world.wall()):
                    self.scheduler.revive_offers()
            case _:
                assert_never(message)

    def unschedulable_expired(self, expired: UnschedulableExpired) -> None:
        """Give a set up that has waited long enough."""
        for task_set in list(self.scheduler.task_sets()):
            if (task_set.stage_id, task_set.stage_attempt) == (expired.stage_id, expired.stage_attempt):
                abort = self.exclusions.expired(task_set, self.world.wall()) if self.exclusions is not None else None
                if abort is not None:
                    self.scheduler.give_up(task_set, abort)

    def stop(self) -> None:
        """Let the timers go."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()

    # -- what happens ------------------------------------------------------------------------------------------------

    def set_added(self, task_set: TaskSet, submitted: SubmitTaskSet) -> None:
        """Give a new task set its memory."""
        if self.exclusions is not None:
            task_set.exclusion = self.exclusions.of_task_set(submitted)
        if self.speculations is not None:
            task_set.speculation = self.speculations.of_task_set(submitted.num_tasks)

    def set_ended(self, task_set: TaskSet) -> None:
        """Take that a task set is over."""
        if self.exclusions is not None:
            self.exclusions.set_ended(task_set, self.world.wall())

    def before_offers(self, offers: list[WorkerOffer]) -> None:
        """See what may be used again."""
        if self.exclusions is not None:
            self.exclusions.lift_expired(self.world.wall())
        if self.speculations is not None:
            self.speculations.offered(offers, self.task_cpus)

    def after_offers(self, launched: bool) -> None:
        """See whether a set can go on nowhere."""
        if self.exclusions is not None:
            for task_set, abort in self.exclusions.offered(self.scheduler.task_sets(), launched, self.world.wall()):
                self.scheduler.give_up(task_set, abort)

    def task_succeeded(self, task_set: TaskSet, task: RunningTask, success: Success) -> None:
        """Learn from a task's first success."""
        if task_set.speculation is not None:
            note_pace(task_set.speculation, task, success.metrics, self.world.wall())

    def task_failed(self, task_set: TaskSet, task: RunningTask, reason: TaskFailure) -> None:
        """Learn from a failure while its attempt is still noted as running.

        That is before the task is pending again: the next offer may come from the same executor.
        """
        if self.exclusions is not None:
            self.exclusions.task_failed(task_set, task, reason, self.world.wall())
        if task_set.speculation is not None:
            task_set.speculation.ended(task.task_id, task.index, is_last=task_set.copies[task.index] == 1)

    def executor_removed(self, executor_id: ExecutorId) -> None:
        """Take that an executor is gone."""
        if self.exclusions is not None:
            self.exclusions.executor_removed(executor_id)
