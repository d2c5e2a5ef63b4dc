"""Exclusion as the TaskScheduler performs it: its machines, their events, the executors they want ended, the timers.

The TaskScheduler has one of these if `minispark.excludeOnFailure.enabled` or one of its parts is true, and none
otherwise. It tells it of every failure before the task is pending again, and asks about offers that were of no use.
Source: what Spark's TaskSchedulerImpl and TaskSetManager do with HealthTracker and TaskSetExcludelist.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.messages.listener import EventSink, Excluded, UnschedulableTaskSet
from minispark.messages.scheduler import SubmitTaskSet, UnschedulableExpired
from minispark.messages.task import FetchFailed, TaskFailure
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.exclusion import ExclusionRules, TaskSetExclusion
from minispark.scheduler.logic.failures import counts_as_failure, failure_text, is_final
from minispark.scheduler.logic.health import HealthAction, HealthTracker, RemoveExecutor
from minispark.scheduler.logic.task_set import Abort, RunningTask, TaskSet
from minispark.scheduler.logic.unschedulable import Remedy, SetKey, UnschedulableSets, is_excluded_everywhere
from minispark.scheduler.rules import exclusion_rules, health_rules

__all__ = ["Exclusions", "ExecutorAllocation", "Later", "exclusions"]

logger = logging.getLogger(__name__)

AFTER_EXPIRY_S = 0.001

Later = Callable[[float, UnschedulableExpired | None], object]
"""After so many seconds sends the TaskScheduler a message, or with None has free cores offered."""


@runtime_checkable
class ExecutorAllocation(Protocol):
    """A backend that can end executors so that others may come in their place.

    Source: Spark's ExecutorAllocationClient.
    """

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        """Kill an executor with what runs on it, or decommission it; the number of those wanted stays."""

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        """The same for all executors of a host."""


class Exclusions:
    """Where tasks of one application failed too often.

    Args:
        rules: of task sets; None: they only count for the application.
        health: the application's memory; None: each task set stands alone.
        unschedulable: the sets that no executor may run.
        cluster: which executors are alive; only read.
        events: told of what is excluded.
        later: sets timers.

    Attributes:
        allocation: ends executors, and gets others for them; None where nobody can, as in local mode.
    """

    def __init__(
        self,
        rules: ExclusionRules | None,
        health: HealthTracker | None,
        unschedulable: UnschedulableSets,
        cluster: Cluster,
        events: EventSink,
        later: Later,
    ) -> None:
        self.rules = rules
        self.health = health
        self.unschedulable = unschedulable
        self.cluster = cluster
        self.events = events
        self.later = later
        self.allocation: ExecutorAllocation | None = None
        self.awaits_expiry = False
        self.timed: set[SetKey] = set()  # sets that wait and have a timer

    def of_task_set(self, submitted: SubmitTaskSet) -> TaskSetExclusion:
        """Return the memory of a new task set."""
        dry_run = self.rules is None
        return TaskSetExclusion(
            submitted.stage_id, submitted.stage_attempt, self.rules or ExclusionRules(), dry_run=dry_run
        )

    # -- what happens ------------------------------------------------------------------------------------------------

    def task_failed(self, task_set: TaskSet, task: RunningTask, reason: TaskFailure, now: float) -> None:
        """Count the failure of an attempt that is still noted as running.

        Only failures count that count towards giving the set up; a map output that could not be read speaks against
        the executor that wrote it.
        """
        if isinstance(reason, FetchFailed):
            if self.health is not None and reason.location is not None:
                location = reason.location
                self.perform(self.health.fetch_failed(location.executor_id, location.host, now))
            return
        if task_set.is_zombie or task_set.successful[task.index]:
            return
        exclusion = task_set.exclusion
        if isinstance(exclusion, TaskSetExclusion) and counts_as_failure(reason) and not is_final(reason):
            text = failure_text(reason)
            self.perform(exclusion.failed(task.index, task.executor_id, task.host, text, now))

    def set_ended(self, task_set: TaskSet, now: float) -> None:
        """Take that a set is over; if all its tasks succeeded, what failed on the way was not the user's code."""
        self.unschedulable.forget(key_of(task_set))
        self.timed.discard(key_of(task_set))
        exclusion = task_set.exclusion
        if self.health is None or not isinstance(exclusion, TaskSetExclusion) or not exclusion.has_failures():
            return
        if task_set.num_successful == task_set.num_tasks:
            self.perform(self.health.task_set_succeeded(exclusion.by_executor, now))

    def executor_removed(self, executor_id: ExecutorId) -> None:
        """Take that an executor is gone."""
        if self.health is not None:
            self.health.executor_removed(executor_id)

    def perform(self, actions: Iterable[HealthAction]) -> None:
        """Post events and give orders, in their order."""
        for action in actions:
            match action:
                case Excluded():
                    logger.warning("%s", exclusion_text(action))
                    self.events.post(action)
                    if action.stage_id < 0:
                        self.await_expiry(action.time_s)
                case RemoveExecutor():
                    self.remove(action.executor_id, action.decommission, action.reason)
                case _:
                    if self.allocation is not None:
                        self.allocation.remove_executors_on_host(
                            action.host, decommission=action.decommission, reason=action.reason
                        )

    def remove(self, executor_id: ExecutorId, decommission: bool, reason: str) -> None:
        """Have an executor ended, where that is possible."""
        if self.allocation is None:
            logger.info("executor %s is kept, for nobody here can end it: %s", executor_id, reason)
        else:
            self.allocation.remove_executor(executor_id, decommission=decommission, reason=reason)

    # -- offers ------------------------------------------------------------------------------------------------------

    def lift_expired(self, now: float) -> None:
        """Give tasks again to what was excluded long enough; before every offer."""
        if self.health is not None:
            for event in self.health.lift_expired(now):
                what = f"executor {event.executor_id}" if event.executor_id else f"host {event.host}"
                logger.info("%s is not excluded any more", what)
                self.events.post(event)
            self.await_expiry(now)

    def await_expiry(self, now: float) -> None:
        """Have free cores offered when the next exclusion expires: offers lift it, and nothing else may cause one.

        Timers know nothing of the time of day, which may be set back; an offer that came too early sets another one.
        """
        if self.health is not None and not self.awaits_expiry and self.health.next_expiry_s < math.inf:
            self.awaits_expiry = True
            self.later(self.health.next_expiry_s - now + AFTER_EXPIRY_S, None)

    def expiry_is_due(self) -> None:
        """Take that the timer of the next expiry has rung."""
        self.awaits_expiry = False

    def offered(self, task_sets: Iterable[TaskSet], launched: bool, now: float) -> list[tuple[TaskSet, Abort]]:
        """See what came of offers: while anything is launched, no set is given up.

        Args:
            task_sets: all there are.
            launched: whether anything was launched.
            now: seconds.

        Returns:
            The sets that are given up because nothing can come of waiting.
        """
        if launched:
            self.set_free()
            return []
        aborts = [(task_set, self.unserved(task_set, now)) for task_set in task_sets if task_set.has_pending()]
        return [(task_set, abort) for task_set, abort in aborts if abort is not None]

    def set_free(self) -> None:
        """Let the sets that wait for a new executor wait without a deadline."""
        for stage_id, stage_attempt in self.unschedulable.launched():
            if self.unschedulable.dynamic_allocation:
                self.events.post(UnschedulableTaskSet(stage_id, stage_attempt, False))

    def unserved(self, task_set: TaskSet, now: float) -> Abort | None:
        """See whether a set was offered cores in vain because a task of it is excluded from all executors.

        Returns:
            That it is given up, if nothing can come of waiting.
        """
        if not isinstance(task_set.exclusion, TaskSetExclusion) or not self.may_refuse(task_set.exclusion):
            return None
        index = self.stuck_task(task_set, task_set.exclusion)
        if index is None:
            return None
        key = key_of(task_set)
        # Where nobody can replace an executor, and none is used again after a time, there is nothing to wait for.
        may_change = self.allocation is not None or (self.health is not None and not self.health.excludes_nothing())
        idle = self.idle_executor() if may_change else None
        verdict = self.unschedulable.found(key, idle, now)
        if verdict.remedy is Remedy.GIVE_UP:
            return give_up(task_set, index)
        if verdict.starts_timer:
            self.await_timeout(key, self.unschedulable.timeout_s)
        if verdict.executor_id is not None:
            reason = f"{task_set.name} can run nowhere, and executor {verdict.executor_id} is excluded and idle"
            decommission = self.health is not None and self.health.rules.decommission
            self.remove(verdict.executor_id, decommission, reason)
        elif verdict.remedy is Remedy.ASK_FOR_MORE:
            self.events.post(UnschedulableTaskSet(*key, True))
        return None

    def await_timeout(self, key: SetKey, delay_s: float) -> None:
        """Have a set that waits looked at again, once."""
        if key not in self.timed:
            self.timed.add(key)
            self.later(delay_s, UnschedulableExpired(*key))

    def may_refuse(self, exclusion: TaskSetExclusion) -> bool:
        """Tell whether anything is excluded that concerns a set."""
        return exclusion.has_failures() or (self.health is not None and not self.health.excludes_nothing())

    def stuck_task(self, task_set: TaskSet, exclusion: TaskSetExclusion) -> int | None:
        """Return a task that is to run next and may run nowhere."""
        for index in task_set.pending.next_ones():
            if is_excluded_everywhere(index, self.cluster.hosts, exclusion, self.health):
                return index
        return None

    def idle_executor(self) -> ExecutorId | None:
        """Return an executor that runs nothing."""
        for executor in self.cluster.executors.values():
            if executor.is_alive and not executor.tasks:
                return executor.executor_id
        return None

    def expired(self, task_set: TaskSet, now: float) -> Abort | None:
        """Give a set up whose wait is over, unless something was launched meanwhile; it may have to wait on."""
        key = key_of(task_set)
        self.timed.discard(key)
        if not self.unschedulable.has_expired(key, now):
            if key in self.unschedulable.expires_s:
                self.await_timeout(key, self.unschedulable.expires_s[key] - now)
            return None
        exclusion = task_set.exclusion
        index = self.stuck_task(task_set, exclusion) if isinstance(exclusion, TaskSetExclusion) else None
        return give_up(task_set, next(iter(task_set.pending.next_ones()), 0) if index is None else index)


def exclusions(conf: SparkConf, cluster: Cluster, events: EventSink, later: Later) -> Exclusions | None:
    """Return what the settings ask for; None if nothing is ever excluded.

    Raises:
        ConfigurationError: if settings contradict each other.
    """
    rules, health = exclusion_rules(conf), health_rules(conf)
    if rules is None and health is None:
        return None
    tracker = None if health is None else HealthTracker(health)
    unschedulable = UnschedulableSets(conf.unschedulable_task_set_timeout, dynamic_allocation=conf.dynamic_allocation)
    return Exclusions(rules, tracker, unschedulable, cluster, events, later)


def key_of(task_set: TaskSet) -> SetKey:
    """Return the name under which a set waits."""
    return task_set.stage_id, task_set.stage_attempt


def exclusion_text(event: Excluded) -> str:
    """Say in a line what is excluded, from what, and why."""
    whom = f"stage {event.stage_id}.{event.stage_attempt}" if event.stage_id >= 0 else "the application"
    if event.executor_id:
        return f"{whom} leaves executor {event.executor_id} on {event.host}: {event.failures} tasks failed there"
    return f"{whom} leaves host {event.host}: {event.failures} of its executors are excluded"


def give_up(task_set: TaskSet, index: int) -> Abort:
    """Say why a set can never end."""
    exclusion = task_set.exclusion
    last = exclusion.last_failure if isinstance(exclusion, TaskSetExclusion) else ""
    return Abort(
        "aborted",
        f"task {index} (partition {task_set.partitions[index]}) of {task_set.name} can run on no executor: where it "
        f"might, it or others have failed too often. The last failure was: {last or 'in another stage'}. What is "
        "forgiven is set by minispark.excludeOnFailure.*",
    )
