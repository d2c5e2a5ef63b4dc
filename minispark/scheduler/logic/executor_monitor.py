"""Which executors have been idle for too long, and why those that are idle stay.

`executor_allocation` tells it of tasks, blocks, shuffles and jobs. An executor that holds cached partitions, or map
outputs, is kept for as long as the settings say of those, whichever is longer; with map outputs that a running job
may read it is kept in any case. Source: Spark's ExecutorMonitor.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from minispark.ids import ExecutorId, JobId, RddId, ShuffleId, StageId
from minispark.record import Record, record

__all__ = ["Departures", "ExecutorMonitor", "MonitorRules"]


@record
class MonitorRules(Record):
    """How long an idle executor stays, in seconds; infinite: for ever.

    Attributes:
        idle_s: one that holds nothing.
        cached_s: one that holds cached partitions.
        shuffle_s: one that holds map outputs of no running job.
        tracks_shuffles: whether map outputs go with their executor, and therefore count.
    """

    idle_s: float = 60.0
    cached_s: float = math.inf
    shuffle_s: float = math.inf
    tracks_shuffles: bool = True


@dataclass(slots=True)
class Departures:
    """How the executors went that are gone: counters that only grow.

    Attributes:
        decommissioned: were decommissioned, and left in order.
        decommission_unfinished: were decommissioned, and ended before they were done.
        driver_killed: were idle, and killed for it.
        exited_unexpectedly: all others.
    """

    decommissioned: int = 0
    decommission_unfinished: int = 0
    driver_killed: int = 0
    exited_unexpectedly: int = 0


@dataclass(slots=True, eq=False)
class Tracked:
    """An executor.

    Attributes:
        running: attempts of tasks.
        idle_since_s: when the last one ended that left it idle.
        cached: the partitions of persisted RDDs that it holds.
        shuffles: those of which it has map outputs.
        has_active_shuffle: a running job may read one of these.
        deadline_s: when it has been idle for too long.
    """

    executor_id: ExecutorId
    idle_since_s: float
    deadline_s: float
    running: int = 0
    cached: dict[RddId, set[int]] = field(default_factory=dict)
    shuffles: set[ShuffleId] = field(default_factory=set)
    has_active_shuffle: bool = False
    is_pending_removal: bool = False
    is_decommissioning: bool = False

    @property
    def is_going(self) -> bool:
        """Whether it was told to go."""
        return self.is_pending_removal or self.is_decommissioning


class ExecutorMonitor:
    """The executors of an application.

    Args:
        rules: the times.

    Attributes:
        executors: in the order in which they came.
        departures: how those went that are gone.
        next_deadline_s: not before this time does another one become idle for too long.
    """

    def __init__(self, rules: MonitorRules) -> None:
        self.rules = rules
        self.executors: dict[ExecutorId, Tracked] = {}
        self.departures = Departures()
        self.next_deadline_s = math.inf
        self.has_late = False  # some were idle for too long when last seen, and may still be
        self.shuffle_of_stage: dict[StageId, ShuffleId] = {}
        self.jobs_of_shuffle: dict[ShuffleId, dict[JobId, None]] = {}
        self.shuffles_of_job: dict[JobId, list[ShuffleId]] = {}

    # -- executors ---------------------------------------------------------------------------------------------------

    def added(self, executor_id: ExecutorId, now: float) -> None:
        """Take an executor; it may have been heard of before."""
        self.update(self.tracked(executor_id, now), now)

    def tracked(self, executor_id: ExecutorId, now: float) -> Tracked:
        """Return what is known of an executor; one of which nobody has heard is idle from now on."""
        executor = self.executors.get(executor_id)
        if executor is None:
            executor = self.executors[executor_id] = Tracked(executor_id, now, math.inf)
            self.update(executor, now)
        return executor

    def removed(self, executor_id: ExecutorId, *, in_order: bool) -> None:
        """Let an executor go, and count how it went: in order means that it was done when it left."""
        executor = self.executors.pop(executor_id, None)
        if executor is None:
            return
        if executor.is_decommissioning and in_order:
            self.departures.decommissioned += 1
        elif executor.is_decommissioning:
            self.departures.decommission_unfinished += 1
        elif executor.is_pending_removal:
            self.departures.driver_killed += 1
        else:
            self.departures.exited_unexpectedly += 1

    def killed(self, executor_ids: Iterable[ExecutorId]) -> None:
        """Note that executors are killed for being idle."""
        for executor_id in executor_ids:
            if executor_id in self.executors:
                self.executors[executor_id].is_pending_removal = True

    def decommissioned(self, executor_ids: Iterable[ExecutorId]) -> None:
        """Note that executors were decommissioned, for whatever reason."""
        for executor_id in executor_ids:
            if executor_id in self.executors:
                self.executors[executor_id].is_decommissioning = True

    # -- tasks -------------------------------------------------------------------------------------------------------

    def task_started(self, executor_id: ExecutorId, now: float) -> None:
        """Count an attempt; this may be the first that is heard of the executor."""
        executor = self.tracked(executor_id, now)
        executor.running += 1
        executor.deadline_s = math.inf

    def task_ended(self, executor_id: ExecutorId, stage_id: StageId, now: float, *, succeeded: bool) -> None:
        """Count an attempt no more; the executor may be idle from now on, and may have a map output more."""
        executor = self.executors.get(executor_id)
        if executor is None:
            return
        shuffle_id = self.shuffle_of_stage.get(stage_id) if succeeded else None
        if shuffle_id is not None:
            self.hold_output(executor, shuffle_id)
        executor.running = max(executor.running - 1, 0)
        if executor.running == 0:
            executor.idle_since_s = now
            self.update(executor, now)

    # -- what executors hold -----------------------------------------------------------------------------------------

    def block_updated(
        self, executor_id: ExecutorId, rdd_id: RddId, partition: int, is_held: bool, now: float
    ) -> None:
        """Note that an executor holds a partition of a persisted RDD, or holds it no more."""
        if not is_held:
            executor = self.executors.get(executor_id)
            if executor is None or rdd_id not in executor.cached:
                return
            executor.cached[rdd_id].discard(partition)
            if not executor.cached[rdd_id]:
                del executor.cached[rdd_id]
        else:
            executor = self.tracked(executor_id, now)
            executor.cached.setdefault(rdd_id, set()).add(partition)
        self.update(executor, now)

    def rdd_removed(self, rdd_id: RddId, now: float) -> None:
        """Note that an RDD is persisted no more."""
        for executor in self.executors.values():
            if executor.cached.pop(rdd_id, None) is not None:
                self.update(executor, now)

    def output_moved(self, executor_id: ExecutorId, shuffle_id: ShuffleId, now: float) -> None:
        """Note that a map output was handed over to an executor."""
        executor = self.executors.get(executor_id)
        if executor is not None and self.rules.tracks_shuffles:
            self.hold_output(executor, shuffle_id)
            self.update(executor, now)

    def hold_output(self, executor: Tracked, shuffle_id: ShuffleId) -> None:
        """Note that an executor has a map output of a shuffle."""
        if shuffle_id not in executor.shuffles:
            executor.shuffles.add(shuffle_id)
            # An entry without jobs, too: the next job over this shuffle has executors looked at.
            jobs = self.jobs_of_shuffle.setdefault(shuffle_id, {})
            executor.has_active_shuffle = executor.has_active_shuffle or bool(jobs)

    def shuffle_forgotten(self, shuffle_id: ShuffleId, now: float) -> None:
        """Note that nobody can read a shuffle any more."""
        self.jobs_of_shuffle.pop(shuffle_id, None)
        stages = [stage for stage, shuffle in self.shuffle_of_stage.items() if shuffle == shuffle_id]
        for stage_id in stages:
            del self.shuffle_of_stage[stage_id]
        for executor in self.executors.values():
            if shuffle_id in executor.shuffles:
                executor.shuffles.discard(shuffle_id)
                self.see_shuffles(executor, now)

    # -- jobs --------------------------------------------------------------------------------------------------------

    def job_started(self, job_id: JobId, shuffles: Iterable[tuple[StageId, ShuffleId]], now: float) -> None:
        """Take a job: what it reads keeps the executors that have it."""
        if not self.rules.tracks_shuffles:
            return
        read = list(shuffles)
        self.shuffle_of_stage.update(read)
        self.shuffles_of_job[job_id] = [shuffle_id for _, shuffle_id in read]
        is_reused = False
        for _, shuffle_id in read:
            is_reused = is_reused or shuffle_id in self.jobs_of_shuffle
            self.jobs_of_shuffle.setdefault(shuffle_id, {})[job_id] = None
        if is_reused:
            for executor in self.executors.values():
                self.see_shuffles(executor, now)

    def job_ended(self, job_id: JobId, now: float) -> None:
        """Let a job go, and with it the executors that were kept for it alone."""
        is_any_unused = False
        for shuffle_id in self.shuffles_of_job.pop(job_id, ()):
            jobs = self.jobs_of_shuffle.get(shuffle_id)
            if jobs is not None:
                jobs.pop(job_id, None)
                is_any_unused = is_any_unused or not jobs
        if is_any_unused:
            for executor in self.executors.values():
                if executor.has_active_shuffle:
                    self.see_shuffles(executor, now)

    def see_shuffles(self, executor: Tracked, now: float) -> None:
        """Find out anew whether running jobs may read what an executor has."""
        executor.has_active_shuffle = any(self.jobs_of_shuffle.get(shuffle_id) for shuffle_id in executor.shuffles)
        self.update(executor, now)

    # -- time --------------------------------------------------------------------------------------------------------

    def update(self, executor: Tracked, now: float) -> None:
        """Compute anew when an executor will have been idle for too long."""
        rules = self.rules
        if executor.running or executor.has_active_shuffle:
            executor.deadline_s = math.inf
            return
        stay_s = rules.idle_s
        if executor.cached or executor.shuffles:
            stay_s = max(rules.cached_s if executor.cached else 0.0, rules.shuffle_s if executor.shuffles else 0.0)
        executor.deadline_s = executor.idle_since_s + stay_s
        self.next_deadline_s = min(self.next_deadline_s, max(executor.deadline_s, now))

    def timed_out(self, now: float) -> list[ExecutorId]:
        """Return the executors that have been idle for too long and were not told to go, in the order they came."""
        if now < self.next_deadline_s and not self.has_late:
            return []
        late = []
        following = math.inf
        for executor in self.executors.values():
            if executor.is_going:
                continue
            if executor.deadline_s <= now:
                late.append(executor.executor_id)
            else:
                following = min(following, executor.deadline_s)
        self.next_deadline_s = following
        self.has_late = bool(late)
        return late

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def num_executors(self) -> int:
        """How many there are, those included that were told to go."""
        return len(self.executors)

    @property
    def num_going(self) -> int:
        """How many were told to go."""
        return sum(executor.is_going for executor in self.executors.values())

    def check(self) -> None:
        """Assert the invariants."""
        for executor in self.executors.values():
            assert executor.running >= 0
            assert all(executor.cached.values()), "an RDD without partitions is not listed"
            is_read = any(self.jobs_of_shuffle.get(shuffle_id) for shuffle_id in executor.shuffles)
            assert executor.has_active_shuffle == is_read, f"{executor.executor_id} is kept for no job"
            if executor.running or is_read:
                assert executor.deadline_s == math.inf
