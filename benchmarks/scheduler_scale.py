"""What scheduling a task costs: task sets from 1 k tasks on 10 executors to 1 M tasks on 10 k executors.

The real TaskScheduler gets task sets, offers and the ends of attempts; nothing runs, and the DAGScheduler is a sink.
Executors have 4 cores, hosts 10 executors, racks 25 hosts; with locality each task prefers three hosts. Once all
cores are busy, tasks end in random order, and what it takes to note an end and to launch the next task is the figure:
process CPU time a task, garbage collection on. By hand is Spark's way (`spark_offers`), in the same run.
"""

import gc
import random
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import psutil

from benchmarks.harness import Result, machine
from benchmarks.spark_offers import Offer, ReferenceScheduler
from minispark import SparkConf
from minispark.ids import BinaryId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import ExecutorAdded, ReviveOffers, SubmitTaskSet, ToDagScheduler, pack_integers
from minispark.messages.task import Preferences, TaskLocation, TaskState
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.pool import DEFAULT_POOL, Mode, PoolSpec, PoolTree
from minispark.scheduler.logic.submission import CHUNK
from minispark.scheduler.task_scheduler import TaskScheduler
from minispark.testing.scripted_tasks import DONE
from minispark.testing.simulated_cluster import NoPayloads, Silence
from minispark.testing.stepped_world import ONE_WAY, SteppedScope, SteppedWorld

__all__ = ["Case", "run", "steady_state"]

CORES = 4
EXECUTORS_PER_HOST = 10
HOSTS_PER_RACK = 25
REPLICAS = 3
TASK_S = 5.0
SIZES = ((1_000, 10), (10_000, 100), (100_000, 1_000), (1_000_000, 10_000))
QUICK_SIZES = ((200, 10), (1_000, 10))
MEASURED = 50_000  # ends of tasks, at most; and no more than four fifths of all
REFERENCE_MEASURED = 20_000
REFERENCE_LIMIT_S = 20.0
REVIVE_S = 1.0  # how often Spark's backend offers everything that is free


@dataclass(frozen=True)
class Case:
    """What is measured: so many tasks in so many sets on so many executors."""

    tasks: int
    executors: int
    sets: int
    has_locality: bool
    is_fair: bool

    @property
    def name(self) -> str:
        """For people."""
        near = "with locality" if self.has_locality else "no locality"
        mode = "fair" if self.is_fair else "fifo"
        return f"{self.tasks} tasks, {self.executors} executors, {self.sets} sets, {near}, {mode}"

    def hosts(self) -> list[str]:
        """Return the host of each executor."""
        return [f"host-{number // EXECUTORS_PER_HOST}" for number in range(self.executors)]

    def replicas(self, seed: int) -> Iterator[tuple[int, int, int]]:
        """Yield the hosts that each task prefers: three that differ, where there are three."""
        hosts = max(1, self.executors // EXECUTORS_PER_HOST)
        rng = random.Random(seed)
        for _ in range(self.tasks // self.sets):
            first = rng.randrange(hosts)
            yield first, (first + 1 + rng.randrange(7)) % hosts, (first + 8 + rng.randrange(5)) % hosts


def rack_of(host: str) -> str:
    """Return a host's rack."""
    return f"rack-{int(host.removeprefix('host-')) // HOSTS_PER_RACK}"


class Contender(Protocol):
    """A scheduler that is measured."""

    running: list[Any]

    def fill(self) -> None:
        """Give all cores a task."""

    def end_one(self) -> bool:
        """End a random task and offer its core; False if none runs."""


class Sink(RpcEndpoint):
    """A DAGScheduler that does nothing."""

    def receive(self, message: ToDagScheduler, context: CallContext) -> None:
        """Drop a message."""


class Calls:
    """Times every call into the scheduler that would be one callback of a loop, in CPU time: others run here too.

    Attributes:
        longest_ms: of all, collections of garbage left out.
        collection_ms: the longest collection.
    """

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.collection_ms = 0.0
        self.collected_ms = 0.0
        self.started = 0.0
        self.collection_started = 0.0

    def __enter__(self) -> None:
        self.collected_ms = 0.0
        self.started = time.thread_time()

    def __exit__(self, *error: object) -> None:
        took_ms = (time.thread_time() - self.started) * 1000 - self.collected_ms
        self.longest_ms = max(self.longest_ms, took_ms)

    def note_collection(self, phase: str, info: dict[str, int]) -> None:
        """Be a callback of the collector."""
        if phase == "start":
            self.collection_started = time.thread_time()
        else:
            took_ms = (time.thread_time() - self.collection_started) * 1000
            self.collected_ms += took_ms
            self.collection_ms = max(self.collection_ms, took_ms)


class Ours(RpcEndpoint):
    """The TaskScheduler with a backend of offers; this is the backend and its endpoint.

    Args:
        case: what to run.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.calls = Calls()
        self.world = SteppedWorld(1)
        self.rng = random.Random(2)
        self.step_s = TASK_S / (case.executors * CORES)
        mode = Mode.FAIR if case.is_fair else Mode.FIFO
        conf = SparkConf(environment={})
        self.scheduler = TaskScheduler(
            conf, 4, self.world, SteppedScope("scale"), self.world.register("DAGScheduler", Sink()), NoPayloads(),
            read_nothing, Silence(), PoolTree(mode, [PoolSpec(DEFAULT_POOL, mode)] if case.is_fair else ()),
        )  # fmt: skip
        self.world.register("TaskScheduler", self.scheduler)
        self.world.register("Backend", self)
        self.scheduler.attach(self)
        # A resolver would run off the loop, and here is none.
        self.scheduler.topology.rack_of.update({host: rack_of(host) for host in case.hosts()})
        self.offers: dict[ExecutorId, WorkerOffer] = {}
        self.running: list[Any] = []
        self.is_revived = False
        for number, host in enumerate(case.hosts()):
            executor = ExecutorId(f"exec-{number}")
            self.offers[executor] = WorkerOffer(executor, host, CORES)
            self.tell(ExecutorAdded(executor, host))

    def tell(self, message: Any) -> None:
        """Give the scheduler a message."""
        with self.calls:
            self.scheduler.receive(message, ONE_WAY)

    def submit(self) -> float:
        """Submit all task sets; return how many bytes the process grew by for each task."""
        locations = tuple(TaskLocation(host) for host in dict.fromkeys(self.case.hosts()))
        messages = [list(chunks(self.case, number, locations)) for number in range(self.case.sets)]
        gc.collect()
        before = psutil.Process().memory_info().rss
        for each in messages:
            for message in each:
                self.tell(message)
        grown = psutil.Process().memory_info().rss - before
        return grown / self.case.tasks

    def receive(self, message: ReviveOffers, context: CallContext) -> None:
        """Offer everything that is free."""
        self.is_revived = False
        with self.calls:
            free = [offer for offer in self.offers.values() if offer.cores]
            self.running += self.scheduler.resource_offers(free, True)

    def revive_offers(self) -> None:
        """Offer everything that is free, soon."""
        if not self.is_revived:
            self.is_revived = True
            self.self_ref.send(ReviveOffers())

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """Nothing is to be killed."""

    @property
    def max_concurrent_tasks(self) -> int:
        """All cores."""
        return self.case.executors * CORES

    async def stop(self) -> None:
        """Nothing is to be stopped."""

    def fill(self) -> None:
        """Give all cores a task."""
        self.world.run(self.world.now)

    def end_one(self) -> bool:
        """End a random task and offer its core."""
        running = self.running
        if not running:
            return False
        place = self.rng.randrange(len(running))
        task = running[place]
        running[place] = running[-1]
        running.pop()
        offer = self.offers[task.executor_id]
        offer.cores += 1
        with self.calls:
            self.scheduler.status_update(StatusUpdate(task.executor_id, task.task_id, TaskState.FINISHED, DONE))
            running += self.scheduler.resource_offers([offer], False)
        self.world.run(self.world.now + self.step_s)
        return True


async def read_nothing(result: object) -> None:
    """All results come with the end of their task."""


def chunks(case: Case, number: int, locations: tuple[TaskLocation, ...]) -> Iterator[SubmitTaskSet]:
    """Yield the messages that submit one task set."""
    count = case.tasks // case.sets
    rows = case.replicas(number) if case.has_locality else iter(())
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        preferences = Preferences()
        if case.has_locality:
            places = array("i", [place for _, row in zip(range(size), rows, strict=False) for place in row])
            starts = pack_integers(range(0, REPLICAS * size + 1, REPLICAS))
            preferences = Preferences(locations, starts, places.tobytes())
        partitions = pack_integers(range(start, start + size))
        yield SubmitTaskSet(
            StageId(number), 0, JobId(number), False, BinaryId(number), 0, (), partitions, count,
            start + size == count, {}, preferences, first=start,
        )  # fmt: skip


class Reference:
    """Spark's way.

    Args:
        case: what to run.
    """

    def __init__(self, case: Case) -> None:
        self.step_s = TASK_S / (case.executors * CORES)
        self.now = 0.0
        self.rng = random.Random(2)
        hosts = case.hosts()
        self.scheduler = ReferenceScheduler(fair=case.is_fair, rack_of={host: rack_of(host) for host in hosts})
        self.offers = {f"exec-{number}": Offer(f"exec-{number}", host, CORES) for number, host in enumerate(hosts)}
        for offer in self.offers.values():
            self.scheduler.add_executor(offer.executor, offer.host)
        self.running: list[Any] = []
        self.next_revive_s = REVIVE_S
        for number in range(case.sets):
            rows: Iterable[tuple[int, ...]] = (
                case.replicas(number) if case.has_locality else [()] * (case.tasks // case.sets)
            )
            self.scheduler.submit(f"{number:05}", number, [tuple(f"host-{place}" for place in row) for row in rows])

    def fill(self) -> None:
        """Give all cores a task."""
        offers = [offer for offer in self.offers.values() if offer.cores]
        self.rng.shuffle(offers)
        self.running += self.scheduler.resource_offers(offers, self.now, is_all_free=True)

    def end_one(self) -> bool:
        """End a random task and offer its core."""
        if not self.running:
            return False
        place = self.rng.randrange(len(self.running))
        task = self.running[place]
        self.running[place] = self.running[-1]
        self.running.pop()
        self.now += self.step_s
        offer = self.offers[task.executor]
        offer.cores += 1
        self.scheduler.finished(task)
        self.running += self.scheduler.resource_offers([offer], self.now, is_all_free=False)
        if self.now >= self.next_revive_s:
            self.next_revive_s += REVIVE_S
            self.fill()
        return True


def steady_state(contender: Contender, ends: int, limit_s: float) -> float:
    """Return the CPU time, in µs, that a launch takes, and the end before it: the median of ten parts."""
    contender.fill()
    parts: list[float] = []
    deadline = time.perf_counter() + limit_s
    while len(parts) < 10 and time.perf_counter() < deadline:
        before, start, ended = len(contender.running), time.process_time(), 0
        while ended < max(1, ends // 10) and time.perf_counter() < deadline and contender.end_one():
            ended += 1
        launched = len(contender.running) - before + ended
        if not launched:
            break
        parts.append((time.process_time() - start) / launched * 1e6)
    return median(parts)


def measure(case: Case, quick: bool) -> dict[str, Any]:
    """Measure our scheduler on one case; small cases several times over, unless in a hurry."""
    repeats = 1 if quick else max(1, min(20, 10_000 // case.tasks))
    found = []
    for _ in range(repeats):
        ours = Ours(case)
        gc.callbacks.append(ours.calls.note_collection)
        pending_bytes = ours.submit()
        took = steady_state(ours, min(MEASURED, case.tasks * 4 // 5), float("inf"))
        gc.callbacks.remove(ours.calls.note_collection)
        found.append((took, pending_bytes, ours.calls))
        del ours
        gc.collect()
    return {
        "cpu_us": median(took for took, _, _ in found),
        "longest_ms": max(calls.longest_ms for _, _, calls in found),
        "collection_ms": max(calls.collection_ms for _, _, calls in found),
        "pending_bytes": found[0][1] if case.tasks >= 100_000 else None,
    }


def measure_reference(case: Case) -> float:
    """Measure Spark's way on one case, in µs a task."""
    ends = min(REFERENCE_MEASURED, case.tasks * 4 // 5)
    took = steady_state(Reference(case), ends, REFERENCE_LIMIT_S)
    gc.collect()
    return took


def run(quick: bool = False) -> Result:
    """Measure; the figure is the largest case with locality, one set, FIFO."""
    sizes = QUICK_SIZES if quick else SIZES
    cases = [
        Case(tasks, executors, sets, has_locality, is_fair)
        for tasks, executors in sizes
        for has_locality in (False, True)
        for sets, is_fair in ((1, False), (1, True), (200, False), (200, True))
    ]
    figures = {case: measure(case, quick) for case in cases}
    reference = {
        case: measure_reference(case)
        for case in cases
        if case.has_locality and case.executors >= sizes[-2][1] and case.sets in (1, 200) and case.is_fair
    }
    largest = Case(*sizes[-1], 1, True, False)
    twin = Case(*sizes[-1], 1, True, True)
    value, limit = figures[largest]["cpu_us"], reference[twin]
    details = {
        "cases": {case.name: found for case, found in figures.items()},
        "spark_us": {case.name: took for case, took in reference.items()},
        "growth_from_next_size": value / figures[Case(*sizes[-2], 1, True, False)]["cpu_us"],
        "growth_from_smallest": value / figures[Case(*sizes[0], 1, True, False)]["cpu_us"],
        "longest_ms": max(found["longest_ms"] for found in figures.values()),
        "collection_ms": max(found["collection_ms"] for found in figures.values()),
        "ratio_spread": [value / limit, value / limit],
        "ratio_tuned": value / limit,
        "cpu_ratio": value / limit,
    }
    return Result("scheduler_scale", value, "µs a task", "lower", limit, value / limit, details | machine())
