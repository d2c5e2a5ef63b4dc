"""The tasks of a set that wait, and which of them suits a place that is offered.

The base of `task_set.TaskSet`. What waits is in `pending.Pending`, how long it waits for a place near its data is
`locality.DelayTimer`'s.
Source: the offers' part of Spark's TaskSetManager.
"""

import math
from typing import Protocol

from minispark.ids import ExecutorId
from minispark.scheduler.logic.attempts import RunningTask
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.locality import DelayTimer, Locality, LocalityWaits
from minispark.scheduler.logic.pending import Pending, Places, Refused

__all__ = ["Exclusion", "Taken", "WaitingTasks"]

PROCESS, NODE, NO_PREF, RACK, ANY = Locality

Taken = tuple[int, Locality, bool]
"""A task that was taken off the pending ones: its index, how near it runs, whether it is a second attempt."""


class Exclusion(Protocol):
    """Which executors and hosts a set, or one of its tasks, has left; see `exclusion.TaskSetExclusion`."""

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether the whole set has left an executor or its host."""

    def refuses_task(self, index: int, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether a task has left an executor or its host."""

    def has_failures(self) -> bool:
        """Whether anything may be refused."""


class WaitingTasks:
    """What of a task set waits.

    Args:
        cluster: which executors are alive; only read.
        waits: how long it waits for places near its data.
        now: the time of a clock that never goes back, since when it waits.

    Attributes:
        exclusion: where the set's tasks have failed too often; None costs nothing.
        near_until: until then, only hosts in `pending.hosts` can be given a task; 0 if that is not known.
        no_rejects: no core that it turned down, for the sake of locality, stayed free since it last used all it was
            offered.
    """

    __slots__ = (
        "attempts_of", "cluster", "exclusion", "is_zombie", "near_until", "no_rejects", "pending", "places", "racks",
        "second", "seen_version", "timer",
    )  # fmt: skip

    def __init__(self, cluster: Cluster, waits: LocalityWaits, now: float) -> None:
        self.cluster = cluster
        self.seen_version = -1
        self.timer = DelayTimer(waits, now)
        self.places = Places()
        self.pending = Pending(self.places)
        self.second: Pending | None = None  # tasks that get a second attempt, once there are any
        self.attempts_of: dict[int, list[RunningTask]] = {}  # of tasks that got a second attempt; ended ones too
        self.racks: dict[str, list[str]] | None = None  # rack → hosts that tasks prefer; None: to be made
        self.exclusion: Exclusion | None = None
        self.near_until = 0.0
        self.no_rejects = True
        self.is_zombie = False

    def changed(self) -> None:
        """Note that tasks came to wait, or want other places than before."""
        self.near_until = 0.0
        self.racks = None

    def has_pending(self) -> bool:
        """Tell whether a task waits for a slot."""
        return not self.is_zombie and (
            self.pending.waiting[ANY] > 0 or (self.second is not None and self.second.waiting[ANY] > 0)
        )

    @property
    def takes_any_place(self) -> bool:
        """Whether all tasks may run anywhere, and each of them once at a time: then nothing is to be weighed."""
        return not self.places.starts and self.exclusion is None and self.second is None

    def recompute_levels(self) -> None:
        """See which levels of locality tasks want and live executors can give."""
        cluster, pending = self.cluster, self.pending
        self.seen_version = cluster.version
        self.changed()
        waiting = pending.waiting
        levels = []
        if waiting[PROCESS] and any(map(cluster.is_alive, pending.executors)):
            levels.append(PROCESS)
        if waiting[NODE] and not pending.hosts.keys().isdisjoint(cluster.hosts.keys()):
            levels.append(NODE)
        if waiting[NO_PREF]:
            levels.append(NO_PREF)
        if waiting[RACK] and cluster.racks and any(rack in cluster.racks for rack in self.wanted_racks()):
            levels.append(RACK)
        self.timer.change_levels((*levels, ANY))

    def wanted_racks(self) -> dict[str, list[str]]:
        """Return the racks that tasks prefer, with the hosts they prefer there."""
        if self.racks is None:
            self.racks = {}
            for host in self.pending.hosts:
                rack = self.cluster.rack_of.get(host)
                if rack is not None:
                    self.racks.setdefault(rack, []).append(host)
        return self.racks

    # -- offers ------------------------------------------------------------------------------------------------------

    def take(self, executor_id: ExecutorId, host: str, now: float) -> Taken | None:
        """Take the task that suits this executor best off the pending ones, as near as waiting has not made moot.

        What the levels up to ANY would give one after the other, in one go.
        """
        if self.is_zombie:
            return None
        if self.seen_version != self.cluster.version:
            self.recompute_levels()
        if self.second is not None and self.second.waiting[ANY]:
            for level in self.timer.levels:
                taken = self.take_at(level, executor_id, host, now)
                if taken is not None:
                    return taken
            return None
        refused = self.refusal(executor_id, host)
        if refused is refuse_all:
            return None
        timer, pending = self.timer, self.pending
        allowed = timer.allowed(now, pending.waiting)
        if allowed < NO_PREF and (NO_PREF in timer.levels or pending.waiting[NO_PREF]):
            allowed = NO_PREF  # who wants no place, and its set with it, does not wait for one
        found = self.find(pending, allowed, executor_id, host, refused)
        return None if found is None else (*found, False)

    def take_at(self, level: Locality, executor_id: ExecutorId, host: str, now: float) -> Taken | None:
        """Take a task no farther than a level; tasks that run for the first time before second attempts."""
        if self.seen_version != self.cluster.version:
            self.recompute_levels()
        refused = self.refusal(executor_id, host)
        if refused is refuse_all or self.is_zombie:
            return None
        allowed = level if level == NO_PREF else min(level, self.timer.allowed(now, self.pending.waiting))
        if self.pending.waiting[ANY]:
            found = self.find(self.pending, allowed, executor_id, host, refused)
            if found is not None:
                return (*found, False)
        if self.second is None or not self.second.waiting[ANY]:
            return None

        def refused_second(index: int) -> bool:
            if refused is not None and refused(index):
                return True
            return any(attempt.host == host for attempt in self.attempts_of.get(index, ()))

        found = self.find(self.second, allowed, executor_id, host, refused_second)
        return None if found is None else (*found, True)

    def refusal(self, executor_id: ExecutorId, host: str) -> Refused | None:
        """Return what tells which tasks may not run there: nothing if all may, `refuse_all` if none may."""
        exclusion = self.exclusion
        if exclusion is None or not exclusion.has_failures():
            return None
        if exclusion.refuses(executor_id, host):
            return refuse_all
        return lambda index: exclusion.refuses_task(index, executor_id, host)

    def find(
        self, pending: Pending, allowed: Locality, executor_id: ExecutorId, host: str, refused: Refused | None
    ) -> tuple[int, Locality] | None:
        """Take the nearest task off some pending ones."""
        if pending.executors:
            index = pending.from_executor(executor_id, refused)
            if index >= 0:
                return index, PROCESS
        if allowed >= NODE and pending.hosts:
            index = pending.from_host(host, refused)
            if index >= 0:
                return index, NODE
        if allowed >= NO_PREF and pending.none:
            index = pending.top(pending.none, refused)
            if index >= 0:
                return index, PROCESS
        if allowed >= RACK and pending.placed:
            return self.find_far(pending, allowed, host, refused)
        return None

    def find_far(
        self, pending: Pending, allowed: Locality, host: str, refused: Refused | None
    ) -> tuple[int, Locality] | None:
        """Take a task that prefers another host off some pending ones."""
        rack = self.cluster.rack_of.get(host)
        hosts = self.wanted_racks().get(rack) if rack is not None else None
        if hosts:
            while hosts and hosts[-1] not in pending.hosts and hosts[-1] not in self.pending.hosts:
                hosts.pop()
            index = pending.from_hosts(reversed(hosts), refused)
            if index >= 0:
                return index, RACK
        if allowed == ANY:
            index = pending.top(pending.placed, refused)
            if index >= 0:
                return index, ANY
        return None

    def turned_down(self, now: float) -> float:
        """Note that an offer was not used although tasks wait; returns when the set may take what is farther."""
        timer, waiting = self.timer, self.pending.waiting
        level = timer.allowed(now, waiting)
        if level == ANY or not waiting[ANY]:
            return math.inf
        if level <= NODE and not waiting[NO_PREF] and (self.second is None or not self.second.waiting[ANY]):
            self.near_until = timer.expires_s
        return timer.expires_s

    def launched_all(self, now: float, nearest: Locality, is_all_free: bool) -> None:
        """Note that what was offered was used up, in which case the wait begins anew.

        Args:
            now: the time.
            nearest: the nearest level of these launches.
            is_all_free: everything that is free was offered. A part counts only while no core was left idle since
                everything was used up, for else many small offers would keep a set from ever giving up a level.
        """
        if self.places.starts and not self.timer.waits.legacy_reset and (is_all_free or self.no_rejects):
            self.timer.reset(now, nearest)
            self.no_rejects = True
            self.near_until = 0.0


def refuse_all(index: int) -> bool:
    """Refuse every task: the set has left the executor."""
    return True
