"""Matching: which task sets get the cores that are offered, and what each of them launches there.

Called by the TaskScheduler. The decisions are those of Spark's loops over sets, levels and offers; what cannot give
a task is not looked at: a set that wants other hosts and still waits is passed with two comparisons, and in a round
over everything a set is shown, at each level, only the offers on hosts or in racks that it prefers.
Source: Spark's TaskSchedulerImpl.resourceOffers.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Protocol

from minispark.ids import ExecutorId
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.locality import Locality
from minispark.scheduler.logic.task_set import Taken, TaskSet

__all__ = ["ApplicationExclusion", "Launcher", "Offers"]

PROCESS, NODE, NO_PREF, RACK, ANY = Locality

LAUNCH_COST = 64
SLICE_COST = 16_384  # of a full round in one turn of the loop: 256 launches, or as many looks as take as long
BARRIER_RETRY_S = 0.1

DONE = object()

Placed = tuple[WorkerOffer, Taken]
Declined = tuple[TaskSet, Locality | None]
"""A set that turned cores down, and the nearest level of what it launched besides."""


class Launcher(Protocol):
    """What makes attempts of what was matched, and takes their cores off the offers."""

    def launch(self, task_set: TaskSet, offer: WorkerOffer, taken: Taken) -> bool:
        """Launch one attempt; False if the set had to be given up."""

    def launch_together(self, task_set: TaskSet, placed: list[Placed]) -> None:
        """Launch all tasks of a barrier stage."""


class ApplicationExclusion(Protocol):
    """Which executors and hosts the whole application has left."""

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether an executor or its host gets no tasks."""


class Offers:
    """One at a time: an executor's free cores, or a round over everything that is free.

    Args:
        ordered: gives the task sets, the one to be served first in front.
        cluster: which executors are alive.
        shuffle: brings the offers of a round into an order by chance.
        launcher: makes the attempts.
        task_cpus: cores that a task takes.

    Attributes:
        exclusion: of the whole application; None costs nothing.
        wake_s: the earliest time at which a set that turned an offer down would take it.
    """

    def __init__(
        self,
        ordered: Callable[[], Iterable[TaskSet]],
        cluster: Cluster,
        shuffle: Callable[[list[WorkerOffer]], None],
        launcher: Launcher,
        task_cpus: int,
    ) -> None:
        self.ordered = ordered
        self.cluster = cluster
        self.shuffle = shuffle
        self.launcher = launcher
        self.task_cpus = task_cpus
        self.exclusion: ApplicationExclusion | None = None
        self.wake_s = math.inf
        self.now = 0.0
        self.budget = 0
        self.steps: Iterator[None] | None = None  # of the round that is not done

    def usable(self, offer: WorkerOffer) -> bool:
        """Tell whether an offer may be used (still): much may happen before a round is done."""
        if offer.cores < self.task_cpus:
            return False
        executor = self.cluster.executors.get(offer.executor_id)
        if executor is None or not executor.is_alive:
            return False
        return self.exclusion is None or not self.exclusion.refuses(offer.executor_id, offer.host)

    # -- one executor ------------------------------------------------------------------------------------------------

    def serve_one(self, offer: WorkerOffer, now: float, is_all_free: bool) -> None:
        """Let the sets use one executor's cores, in their order."""
        if not self.usable(offer):
            return
        self.now = now
        host, cpus = offer.host, self.task_cpus
        declined: list[Declined] = []
        for task_set in self.ordered():
            if now < task_set.near_until and host not in task_set.pending.hosts:
                declined.append((task_set, None))
                if task_set.near_until < self.wake_s:
                    self.wake_s = task_set.near_until
            elif task_set.has_pending():
                if task_set.is_barrier:
                    self.serve_barrier(task_set, [offer])
                elif task_set.takes_any_place:
                    self.serve_anywhere(task_set, offer)
                else:
                    self.serve_set(task_set, offer, is_all_free, declined)
                if offer.cores < cpus:
                    break
        if declined:
            self.settle(declined, offer.cores >= cpus, is_all_free)

    def serve_set(self, task_set: TaskSet, offer: WorkerOffer, is_all_free: bool, declined: list[Declined]) -> None:
        """Let a set use one executor's cores."""
        nearest: Locality | None = None
        now, cpus = self.now, self.task_cpus
        while offer.cores >= cpus:
            taken = task_set.take(offer.executor_id, offer.host, now)
            if taken is None:
                if task_set.has_pending():
                    if self.turned_down(task_set, [offer]):
                        declined.append((task_set, nearest))
                    return
                break
            if not self.launch(task_set, offer, taken):
                return
            if nearest is None or taken[1] < nearest:
                nearest = taken[1]
        if nearest is not None:
            task_set.launched_all(now, nearest, is_all_free)

    def serve_anywhere(self, task_set: TaskSet, offer: WorkerOffer) -> None:
        """Let a set use one executor's cores whose tasks may all run anywhere: there is nothing to be weighed."""
        pending, cpus = task_set.pending, self.task_cpus
        while offer.cores >= cpus:
            index = pending.top(pending.none, None)
            if index < 0 or not self.launcher.launch(task_set, offer, (index, PROCESS, False)):
                return

    def launch(self, task_set: TaskSet, offer: WorkerOffer, taken: Taken) -> bool:
        """Launch one attempt; False if its set had to be given up."""
        if not self.launcher.launch(task_set, offer, taken):
            return False
        timer = task_set.timer
        if timer.waits.legacy_reset and task_set.places.kinds[taken[0]]:
            timer.reset(self.now, taken[1])
            task_set.near_until = 0.0
        return True

    def turned_down(self, task_set: TaskSet, offers: Iterable[WorkerOffer]) -> bool:
        """Note that tasks of a set wait although there are cores; tell whether it is for the sake of a nearer place.

        What the whole set has left is not turned down for that, and waiting brings none.
        """
        exclusion = task_set.exclusion
        if exclusion is not None and all(exclusion.refuses(offer.executor_id, offer.host) for offer in offers):
            return False
        self.wake_s = min(self.wake_s, task_set.turned_down(self.now))
        return True

    def settle(self, declined: list[Declined], is_idle: bool, is_all_free: bool) -> None:
        """Note what came of it that sets turned cores down, when all sets were served.

        Cores that others use are not wasted, and who let them pass goes on as if they had not been offered: so a set
        keeps waiting for near places on a busy cluster, and stops it on an idle one (docs/decisions/0007).
        """
        for task_set, nearest in declined:
            if is_idle:
                task_set.no_rejects = False
            elif nearest is not None:
                task_set.launched_all(self.now, nearest, is_all_free)

    # -- everything that is free -------------------------------------------------------------------------------------

    def step(self, offers: list[WorkerOffer], now: float) -> bool:
        """Begin a round over everything that is free, or go on with the one that began; tell whether it is done.

        A round goes over many turns of the loop. The offers are the backend's own counts, so what happens to them
        between two steps is seen; those given to a later step are not looked at.
        """
        if self.steps is None:
            self.steps = self.round(offers, is_all_free=True)
        self.now, self.budget = now, SLICE_COST
        if next(self.steps, DONE) is DONE:
            self.steps = None
        return self.steps is None

    def serve_all(self, offers: list[WorkerOffer], now: float) -> None:
        """Let the sets use some of the free cores, in one go."""
        self.now, self.budget = now, SLICE_COST
        for _ in self.round(offers, is_all_free=False):
            self.budget = SLICE_COST

    def round(self, offers: list[WorkerOffer], *, is_all_free: bool) -> Iterator[None]:
        """Let the sets use the free cores; each step is a slice for one turn of the loop."""
        offered = Round([offer for offer in offers if self.usable(offer)], is_all_free)
        self.shuffle(offered.free)
        self.budget -= 2 * len(offers)
        for task_set in list(self.ordered()):
            if self.budget <= 0:
                yield
            if not task_set.has_pending():
                continue
            if task_set.is_barrier:
                self.serve_barrier(task_set, offered.free)
            else:
                yield from self.serve_levels(task_set, offered)
            if not self.has_free(offered):
                break
        self.settle(offered.declined, self.has_free(offered), is_all_free)

    def has_free(self, offered: "Round") -> bool:
        """Tell whether anything is left of a round; used up offers are dropped once they have come to the front."""
        if not offered.free or not self.usable(offered.free[0]):
            self.budget -= len(offered.free)
            offered.free = [offer for offer in offered.free if self.usable(offer)]
        return bool(offered.free)

    def serve_levels(self, task_set: TaskSet, offered: "Round") -> Iterator[None]:
        """Let a set use the free cores: the nearest level first."""
        if task_set.seen_version != self.cluster.version:
            task_set.recompute_levels()
        launched: list[Locality] = []
        exhausted: Locality | None = None
        for level in task_set.timer.levels:
            allowed = self.allowed(task_set, level)
            if allowed != exhausted and task_set.has_pending():
                yield from self.serve_level(task_set, level, self.candidates(task_set, allowed, offered), launched)
                exhausted = self.allowed(task_set, level)
        if task_set.has_pending() and self.has_free(offered):
            if self.turned_down(task_set, offered.free):
                offered.declined.append((task_set, min(launched, default=None)))
        elif launched:
            task_set.launched_all(self.now, min(launched), offered.is_all_free)

    def allowed(self, task_set: TaskSet, level: Locality) -> Locality:
        """Return how far a set may go when it is served at a level; who wants no place does not wait for one."""
        return level if level == NO_PREF else min(level, task_set.timer.allowed(self.now, task_set.pending.waiting))

    def serve_level(
        self, task_set: TaskSet, level: Locality, candidates: list[WorkerOffer], launched: list[Locality]
    ) -> Iterator[None]:
        """Launch what a set has for a level, one task an offer in turn; notes how near the launches are."""
        while candidates:
            again = []
            for offer in candidates:
                if self.budget <= 0:
                    yield
                if not task_set.has_pending():
                    return
                taken = (
                    task_set.take_at(level, offer.executor_id, offer.host, self.now) if self.usable(offer) else None
                )
                self.budget -= 1
                if taken is not None:
                    self.budget -= LAUNCH_COST
                    if not self.launch(task_set, offer, taken):
                        return
                    if not launched or taken[1] < launched[0]:
                        launched[:] = [taken[1]]
                    again.append(offer)
            candidates = again

    def candidates(self, task_set: TaskSet, allowed: Locality, offered: "Round") -> list[WorkerOffer]:
        """Return the offers that may have something for a set at a level, in the order of the round."""
        pending, free = task_set.pending, offered.free
        if allowed == ANY or (allowed >= NO_PREF and pending.waiting[NO_PREF]) or task_set.second is not None:
            return free
        hosts = pending.hosts
        if allowed < RACK and len(hosts) * 4 < len(free):
            self.budget -= len(hosts) // 4
            return offered.on_hosts(hosts)
        self.budget -= len(free) // 4
        if allowed < RACK:
            return [offer for offer in free if offer.host in hosts]
        racks, rack_of = task_set.wanted_racks(), self.cluster.rack_of
        return [offer for offer in free if offer.host in hosts or rack_of.get(offer.host) in racks]

    # -- barrier stages ----------------------------------------------------------------------------------------------

    def serve_barrier(self, task_set: TaskSet, offers: list[WorkerOffer]) -> None:
        """Launch all tasks of a barrier stage together, or none: then it gives back what it was given."""
        free = [offer for offer in offers if self.usable(offer)]
        if sum(offer.cores // self.task_cpus for offer in free) < task_set.num_tasks or not task_set.complete:
            self.wake_s = min(self.wake_s, self.now + BARRIER_RETRY_S)
            return
        if task_set.seen_version != self.cluster.version:
            task_set.recompute_levels()
        placed: list[Placed] = []
        for level in task_set.timer.levels:
            before = -1
            while before < len(placed) < task_set.num_tasks:
                before = len(placed)
                for offer in free:
                    taken = (
                        task_set.take_at(level, offer.executor_id, offer.host, self.now)
                        if self.usable(offer)
                        else None
                    )
                    if taken is not None:
                        offer.cores -= self.task_cpus
                        task_set.pending.strike(taken[0])
                        placed.append((offer, taken))
        for offer, _ in placed:
            offer.cores += self.task_cpus
        if len(placed) == task_set.num_tasks:
            self.launcher.launch_together(task_set, placed)
            return
        task_set.pending.start_over()
        task_set.changed()
        self.turned_down(task_set, free)


class Round:
    """What is offered in a round.

    Args:
        free: the offers, in the order of the round once they are shuffled.
        is_all_free: they are all that have a free core.

    Attributes:
        declined: the sets that turned some of it down.
    """

    __slots__ = ("by_host", "declined", "free", "is_all_free")

    def __init__(self, free: list[WorkerOffer], is_all_free: bool) -> None:
        self.free = free
        self.is_all_free = is_all_free
        self.declined: list[Declined] = []
        self.by_host: dict[str, list[tuple[int, WorkerOffer]]] | None = None

    def on_hosts(self, hosts: Iterable[str]) -> list[WorkerOffer]:
        """Return the offers on some hosts, in the order of the round."""
        if self.by_host is None:
            self.by_host = {}
            for position, offer in enumerate(self.free):
                self.by_host.setdefault(offer.host, []).append((position, offer))
        found = [placed for host in hosts for placed in self.by_host.get(host, ())]
        found.sort(key=itemgetter(0))
        return [offer for _, offer in found]
