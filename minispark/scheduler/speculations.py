"""Speculation as the TaskScheduler performs it: looks at its task sets now and then, while there are any.

The TaskScheduler has one of these if `minispark.speculation` is true, else none. Second attempts run on other hosts,
so where there is but one executor, as in local mode, there is nothing to look for.
Source: the speculation timer of Spark's TaskSchedulerImpl.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from minispark.conf import SparkConf
from minispark.ids import ExecutorId
from minispark.messages.heartbeat import TaskProgress
from minispark.messages.listener import EventSink, SpeculativeTaskSubmitted
from minispark.messages.scheduler import AttemptsProgressed, CheckSpeculation
from minispark.messages.task import TaskMetrics
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.speculation import SpeculationRules, TaskSetSpeculation
from minispark.scheduler.logic.task_set import RunningTask, TaskSet
from minispark.scheduler.rules import speculation_rules

__all__ = ["Speculations", "attempts_progressed", "note_pace", "slow_attempts", "speculations"]

logger = logging.getLogger(__name__)

AT_MOST = 1000  # tasks that are found slow in one turn of the loop


class Speculations:
    """Finds slow tasks of all task sets.

    Args:
        rules: when a task is slow.
        interval_s: between two looks.
        cluster: which executors go away; only read.
        events: told of each slow task.
        later: sends the TaskScheduler a message after so many seconds.
    """

    def __init__(
        self,
        rules: SpeculationRules,
        interval_s: float,
        cluster: Cluster,
        events: EventSink,
        later: Callable[[float, CheckSpeculation], object],
    ) -> None:
        self.rules = rules
        self.interval_s = interval_s
        self.cluster = cluster
        self.events = events
        self.later = later
        self.is_ticking = False
        self.slots = 1  # of the largest executor so far

    def of_task_set(self, num_tasks: int) -> TaskSetSpeculation:
        """Return the memory of a new task set, and see to it that it is looked at."""
        if not self.is_ticking:
            self.is_ticking = True
            self.later(self.interval_s, CheckSpeculation())
        return TaskSetSpeculation(self.rules, num_tasks)

    def offered(self, offers: Iterable[WorkerOffer], task_cpus: int) -> None:
        """Note how many tasks an executor can run at once; only small sets are measured by that."""
        if self.rules.duration_threshold_s is not None:
            self.slots = max(self.slots, max((offer.cores // task_cpus for offer in offers), default=1))

    def look(self, task_sets: Iterable[TaskSet], now: float) -> bool:
        """Have slow tasks tried a second time; tell whether there are any. Without task sets this was the last look.

        Args:
            task_sets: all there are.
            now: seconds since the epoch.
        """
        gone: dict[ExecutorId, float] = {}
        if self.rules.decommission_kill_interval_s is not None:
            for executor in self.cluster.executors.values():
                if executor.decommission is not None:
                    gone[executor.executor_id] = executor.decommission.since_s
        self.is_ticking = False
        found = 0
        for task_set in task_sets:
            self.is_ticking = True
            if len(self.cluster.executors) < 2:
                continue
            for task in slow_attempts(task_set, now, self.slots, gone, AT_MOST - found):
                found += 1
                logger.info(
                    "task %d of %s has run for %.1f s on %s and is tried a second time",
                    task.index, task_set.name, now - task.launched_s, task.host,
                )  # fmt: skip
                self.events.post(
                    SpeculativeTaskSubmitted(task_set.stage_id, task_set.stage_attempt, task.index, task.partition)
                )
        if self.is_ticking:
            self.later(self.interval_s, CheckSpeculation())
        return found > 0


def slow_attempts(
    task_set: TaskSet,
    now: float,
    executor_slots: int,
    decommissioned: Mapping[ExecutorId, float],
    at_most: int = AT_MOST,
) -> list[RunningTask]:
    """Return the attempts whose tasks now wait for a second one; barrier tasks wait for each other, none is slow."""
    speculation = task_set.speculation
    if speculation is None or task_set.is_zombie or task_set.is_barrier:
        return []

    def is_alone(index: int) -> bool:
        return task_set.copies[index] == 1 and not task_set.successful[index]

    running = task_set.running.values()
    found = speculation.find(running, is_alone, now, executor_slots, decommissioned, at_most)
    return [task for task in found if task_set.add_speculatable(task)]


def note_pace(speculation: TaskSetSpeculation, task: RunningTask, metrics: TaskMetrics, now: float) -> None:
    """Learn from a task's first success how long its fellows may take, and how many records a second they read."""
    records = metrics.records_read + metrics.shuffle_read_records
    speculation.succeeded(task.task_id, now - task.launched_s, records, metrics.run_time_ns / 1e9)


def attempts_progressed(tasks: Sequence[TaskProgress]) -> AttemptsProgressed:
    """Return what a heartbeat says of the pace of running attempts."""
    return AttemptsProgressed(
        tuple(task.task_id for task in tasks),
        tuple(task.counters.get("records_read", 0) + task.counters.get("shuffle_read_records", 0) for task in tasks),
        tuple(task.run_time_s for task in tasks),
    )


def speculations(
    conf: SparkConf, cluster: Cluster, events: EventSink, later: Callable[[float, CheckSpeculation], object]
) -> Speculations | None:
    """Return what the settings ask for; None if no task is ever tried twice at once."""
    rules = speculation_rules(conf)
    return None if rules is None else Speculations(rules, conf.speculation_interval, cluster, events, later)
