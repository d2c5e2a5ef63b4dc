"""Spark's own way of matching offers to task sets, told in Python: what `scheduler_scale` compares with.

Every offer sorts all task sets, then tries each set at each of its levels on each offer, as TaskSchedulerImpl and
TaskSetManager do. Decisions are what counts here, not style: nothing but the benchmark uses it. Retries, speculation,
exclusion and barriers are left out, so it does less than a real scheduler for each task.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Offer", "ReferenceScheduler", "ReferenceTask"]

PROCESS, NODE, NO_PREF, RACK, ANY = range(5)
WAITS: Final = (3.0, 3.0, 0.0, 3.0, 0.0)


@dataclass(slots=True)
class Offer:
    """Free cores of an executor."""

    executor: str
    host: str
    cores: int


@dataclass(slots=True)
class ReferenceTask:
    """A task that was launched."""

    task_set: "ReferenceTaskSet"
    index: int
    executor: str
    host: str


@dataclass(slots=True)
class PendingTasks:
    """Indexes of tasks by where they would like to run; lists are stacks, and what was launched stays until met."""

    by_executor: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_host: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_rack: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    no_prefs: list[int] = field(default_factory=list)
    everyone: list[int] = field(default_factory=list)


class ReferenceTaskSet:
    """Spark's TaskSetManager, as far as offers go.

    Args:
        name: orders sets that share equally.
        job: orders sets that were submitted.
        preferences: the hosts of each task's data.
        scheduler: knows which hosts live, and their racks.
    """

    def __init__(
        self, name: str, job: int, preferences: Sequence[tuple[str, ...]], scheduler: "ReferenceScheduler"
    ) -> None:
        self.name, self.job, self.scheduler = name, job, scheduler
        self.pending = PendingTasks()
        self.copies = [0] * len(preferences)
        self.successful = [False] * len(preferences)
        self.num_running = 0
        for index in range(len(preferences) - 1, -1, -1):
            for host in preferences[index]:
                self.pending.by_host[host].append(index)
                self.pending.by_rack[scheduler.rack_of[host]].append(index)
            if not preferences[index]:
                self.pending.no_prefs.append(index)
            self.pending.everyone.append(index)
        self.last_reset = 0.0
        self.level_index = 0
        self.compute_levels()

    def compute_levels(self) -> None:
        """Find the levels that some live executor can satisfy."""
        pending, scheduler = self.pending, self.scheduler
        self.levels = []
        if any(name in scheduler.executors for name in pending.by_executor):
            self.levels.append(PROCESS)
        if any(host in scheduler.hosts for host in pending.by_host):
            self.levels.append(NODE)
        if pending.no_prefs:
            self.levels.append(NO_PREF)
        if any(rack in scheduler.racks for rack in pending.by_rack):
            self.levels.append(RACK)
        self.levels.append(ANY)

    def needs(self, lists: dict[str, list[int]]) -> bool:
        """Tell whether a task waits in any of these lists; those that do not are cleaned up on the way."""
        empty = []
        found = False
        for name, indexes in lists.items():
            if self.waits(indexes):
                found = True
                break
            empty.append(name)
        for name in empty:
            del lists[name]
        return found

    def waits(self, indexes: list[int]) -> bool:
        """Tell whether a task waits in a list; ends of it that do not are dropped."""
        while indexes:
            index = indexes[-1]
            if self.copies[index] == 0 and not self.successful[index]:
                return True
            indexes.pop()
        return False

    def allowed_level(self, now: float) -> int:
        """Return the level that the wait allows, and move on where it is over or nothing waits."""
        while self.level_index < len(self.levels) - 1:
            level = self.levels[self.level_index]
            more = (
                self.needs(self.pending.by_executor) if level == PROCESS
                else self.needs(self.pending.by_host) if level == NODE
                else bool(self.pending.no_prefs) if level == NO_PREF
                else self.needs(self.pending.by_rack)
            )  # fmt: skip
            if not more:
                self.last_reset = now
                self.level_index += 1
            elif now - self.last_reset >= WAITS[level]:
                self.last_reset += WAITS[level]
                self.level_index += 1
            else:
                break
        return self.levels[self.level_index]

    def take(self, indexes: list[int]) -> int | None:
        """Take the last task off a list that still waits."""
        while indexes:
            index = indexes.pop()
            if self.copies[index] == 0 and not self.successful[index]:
                return index
        return None

    def dequeue(self, offer: Offer, level: int) -> tuple[int, int] | None:
        """Return the best task for an offer up to a level, and the level it has there."""
        pending = self.pending
        rack = self.scheduler.rack_of[offer.host]
        for needed, indexes, found_level in (
            (PROCESS, pending.by_executor.get(offer.executor), PROCESS),
            (NODE, pending.by_host.get(offer.host), NODE),
            (NO_PREF, pending.no_prefs, PROCESS),
            (RACK, pending.by_rack.get(rack), RACK),
            (ANY, pending.everyone, ANY),
        ):
            if level < needed:
                return None
            if indexes:
                index = self.take(indexes)
                if index is not None:
                    return index, found_level
        return None

    def resource_offer(self, offer: Offer, level: int, now: float) -> tuple[ReferenceTask, int] | None:
        """Take one task for an offer, if the wait allows it."""
        allowed = level if level == NO_PREF else min(level, self.allowed_level(now))
        found = self.dequeue(offer, allowed)
        if found is None:
            return None
        index, found_level = found
        self.copies[index] += 1
        self.num_running += 1
        return ReferenceTask(self, index, offer.executor, offer.host), found_level

    def is_waiting(self) -> bool:
        """Tell whether any task waits."""
        return self.waits(self.pending.everyone)


class ReferenceScheduler:
    """Spark's TaskSchedulerImpl, as far as offers go.

    Args:
        fair: whether sets share, or the older job goes first.
        rack_of: host → rack.
    """

    def __init__(self, *, fair: bool, rack_of: dict[str, str]) -> None:
        self.fair = fair
        self.rack_of = rack_of
        self.executors: set[str] = set()
        self.hosts: set[str] = set()
        self.racks: set[str] = set()
        self.task_sets: list[ReferenceTaskSet] = []
        self.no_rejects: dict[ReferenceTaskSet, bool] = {}

    def add_executor(self, executor: str, host: str) -> None:
        """Take an executor."""
        self.executors.add(executor)
        self.hosts.add(host)
        self.racks.add(self.rack_of[host])

    def submit(self, name: str, job: int, preferences: Sequence[tuple[str, ...]]) -> None:
        """Take a task set."""
        task_set = ReferenceTaskSet(name, job, preferences, self)
        self.task_sets.append(task_set)
        self.no_rejects[task_set] = True

    def sorted(self) -> list[ReferenceTaskSet]:
        """Return the sets in the order in which they are served."""
        if self.fair:
            return sorted(self.task_sets, key=lambda task_set: (task_set.num_running, task_set.name))
        return sorted(self.task_sets, key=lambda task_set: task_set.job)

    def resource_offers(self, offers: Sequence[Offer], now: float, *, is_all_free: bool) -> list[ReferenceTask]:
        """Return what to launch on these offers; their cores are counted down."""
        launched: list[ReferenceTask] = []
        for task_set in self.sorted():
            best: int | None = None
            any_reject = False
            for level in task_set.levels:
                more = True
                while more:
                    more = False
                    for offer in offers:
                        if offer.cores < 1:
                            continue
                        taken = task_set.resource_offer(offer, level, now)
                        if taken is None:
                            any_reject = any_reject or (level == ANY and task_set.is_waiting())
                            continue
                        task, found_level = taken
                        launched.append(task)
                        offer.cores -= 1
                        best = found_level if best is None else min(best, found_level)
                        more = True
            self.reset(task_set, best, any_reject, is_all_free, now)
        return launched

    def reset(
        self, task_set: ReferenceTaskSet, best: int | None, any_reject: bool, is_all_free: bool, now: float
    ) -> None:
        """Start a set's wait anew if it used all it was offered."""
        if any_reject:
            self.no_rejects[task_set] = False
        elif best is not None and (is_all_free or self.no_rejects[task_set]):
            task_set.last_reset = now
            if best in task_set.levels:
                task_set.level_index = task_set.levels.index(best)
            if is_all_free:
                self.no_rejects[task_set] = True

    def finished(self, task: ReferenceTask) -> None:
        """Note the success of a task."""
        task.task_set.successful[task.index] = True
        task.task_set.num_running -= 1
