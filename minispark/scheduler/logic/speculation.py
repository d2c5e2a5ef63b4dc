"""Which running tasks of a set are so slow that a second attempt elsewhere is worth a slot.

The TaskScheduler asks every `minispark.speculation.interval`. A set that knows too little to compare is passed at the
cost of a comparison; attempts are looked at from the oldest to the first that is young enough.
Source: the speculative half of Spark's TaskSetManager, its TaskProcessRateCalculator and PercentileHeap.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import heappush, heappushpop
from typing import Protocol, TypeVar

from minispark.ids import ExecutorId, TaskId
from minispark.record import Record, record

__all__ = ["Attempt", "Durations", "SpeculationRules", "TaskSetSpeculation"]


@record
class SpeculationRules(Record):
    """When a task is slow.

    Attributes:
        quantile: the part of the set that must have succeeded before tasks are compared.
        multiplier: how many times the median a task must run.
        min_runtime_s: no task is slow before.
        duration_threshold_s: a task of a set no larger than one executor's slots is slow after this time, though
            too few have succeeded to compare with; None: such sets wait too.
        efficiency: whether a task that processes records fast enough is let be.
        process_rate_multiplier: fast enough is at least this part of the average rate of the tasks that are done.
        long_run_factor: a task this many times over the threshold is slow whatever its rate.
        decommission_kill_interval_s: how long a decommissioned executor lives; None: not known.
    """

    quantile: float = 0.9
    multiplier: float = 3.0
    min_runtime_s: float = 0.1
    duration_threshold_s: float | None = None
    efficiency: bool = True
    process_rate_multiplier: float = 0.75
    long_run_factor: float = 2.0
    decommission_kill_interval_s: float | None = None


class Attempt(Protocol):
    """What is asked of a running attempt."""

    @property
    def task_id(self) -> TaskId:
        """Its own id."""

    @property
    def index(self) -> int:
        """Its task's place in the set."""

    @property
    def executor_id(self) -> ExecutorId:
        """Where it runs."""

    @property
    def launched_s(self) -> float:
        """When it was launched."""


A = TypeVar("A", bound=Attempt)


class Durations:
    """The durations of successful attempts, their median at hand at any time; adding one costs O(log n)."""

    __slots__ = ("lower", "upper")

    def __init__(self) -> None:
        self.lower: list[float] = []  # a heap of the shorter half, negated, so that its longest is on top
        self.upper: list[float] = []  # a heap of the longer half, as long or one longer

    def __len__(self) -> int:
        return len(self.lower) + len(self.upper)

    def add(self, duration_s: float) -> None:
        """Count a duration in."""
        if len(self.upper) > len(self.lower):
            heappush(self.lower, -heappushpop(self.upper, duration_s))
        else:
            heappush(self.upper, -heappushpop(self.lower, -duration_s))

    def median(self) -> float | None:
        """Return the median, of an even number the longer one of the two in the middle; None if there is none yet."""
        return self.upper[0] if self.upper else None


class TaskSetSpeculation:
    """What one task set knows of the pace of its tasks.

    Args:
        rules: when a task is slow.
        num_tasks: of the whole set.
    """

    __slots__ = ("durations", "min_successes", "num_tasks", "rates", "records", "rules", "run_time_s", "submitted")

    def __init__(self, rules: SpeculationRules, num_tasks: int) -> None:
        self.rules = rules
        self.num_tasks = num_tasks
        self.min_successes = max(int(rules.quantile * num_tasks), 1)
        self.durations = Durations()
        self.records = 0
        self.run_time_s = 0.0
        self.rates: dict[TaskId, float] = {}  # records per second, of running attempts that reported
        self.submitted: set[int] = set()  # tasks that were found slow

    def succeeded(self, task_id: TaskId, duration_s: float, records: int, run_time_s: float) -> None:
        """Learn from an attempt that was its task's first success."""
        self.durations.add(duration_s)
        self.records += records
        self.run_time_s += run_time_s
        self.rates.pop(task_id, None)

    def ended(self, task_id: TaskId, index: int, *, is_last: bool) -> None:
        """Forget an attempt; with its last running one gone a task may be found slow anew."""
        self.rates.pop(task_id, None)
        if is_last:
            self.submitted.discard(index)

    def progress(self, task_id: TaskId, records: int, run_time_s: float) -> None:
        """Note how far a running attempt is."""
        if run_time_s > 0:
            self.rates[task_id] = records / run_time_s

    def find(
        self,
        running: Iterable[A],
        is_alone: Callable[[int], bool],
        now: float,
        executor_slots: int,
        decommissioned: Mapping[ExecutorId, float],
        at_most: int = 1000,
    ) -> list[A]:
        """Return the attempts that are slow now, of tasks that were not found slow before.

        Args:
            running: in the order of their launch.
            is_alone: whether exactly one attempt of a task runs, and none has succeeded.
            now: seconds, as the times of launch.
            executor_slots: tasks that one executor runs at once.
            decommissioned: executors that will go away, and since when.
            at_most: how many; the others are found the next time, so that no turn of the loop is long.
        """
        threshold = self.threshold(executor_slots)
        if threshold is None:
            return []
        custom = len(self.durations) < self.min_successes
        look_at_all = bool(decommissioned) and self.rules.decommission_kill_interval_s is not None and not custom
        found: list[A] = []
        for attempt in running:
            run_time_s = now - attempt.launched_s
            if len(found) >= at_most or (run_time_s <= threshold and not look_at_all):
                break
            index = attempt.index
            if index in self.submitted or not is_alone(index):
                continue
            slow = run_time_s > threshold and (custom or self.is_inefficient(attempt.task_id, run_time_s, threshold))
            if slow or (look_at_all and self.ends_too_late(attempt, decommissioned)):
                self.submitted.add(index)
                found.append(attempt)
        return found

    def threshold(self, executor_slots: int) -> float | None:
        """Return the run time in seconds that is not slow yet; None if nothing can be said."""
        rules = self.rules
        if self.num_tasks == 1 and rules.duration_threshold_s is None:
            return None  # there are no fellows to compare with
        median = self.durations.median()
        if median is not None and len(self.durations) >= self.min_successes:
            return max(rules.multiplier * median, rules.min_runtime_s)
        if rules.duration_threshold_s is not None and self.num_tasks <= executor_slots:
            return rules.duration_threshold_s
        return None

    def is_inefficient(self, task_id: TaskId, run_time_s: float, threshold: float) -> bool:
        """Tell whether a task over the threshold has no excuse: neither a good pace nor a slight excess."""
        rules = self.rules
        if not rules.efficiency or run_time_s > rules.long_run_factor * threshold:
            return True
        average = self.records / self.run_time_s if self.run_time_s > 0 else 0.0
        return self.rates.get(task_id, 0.0) < rules.process_rate_multiplier * average

    def ends_too_late(self, attempt: Attempt, decommissioned: Mapping[ExecutorId, float]) -> bool:
        """Tell whether an attempt that takes as long as the median outlives its decommissioned executor."""
        since = decommissioned.get(attempt.executor_id)
        median = self.durations.median()
        interval = self.rules.decommission_kill_interval_s
        if since is None or median is None or interval is None:
            return False
        return attempt.launched_s + median > since + interval
