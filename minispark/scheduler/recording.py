"""What goes into and comes out of the schedulers, seen by a recorder: for the journal, and for its replay.

A recorder wraps the ports of the two scheduler endpoints. It notes what comes in (messages, offers, status updates),
what they read of others meanwhile, and what they decide: messages to each other, launches, kills, results and ends of
jobs. The wrappers change nothing, but that the clock stands still while one message is handled, so that a replay sees
the same time. `Unrecorded` is what a driver has that keeps no journal: it wraps nothing.
"""

import dataclasses
import random
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import msgpack

from minispark import __version__
from minispark.conf import SparkConf
from minispark.ids import ExecutorId, JobId, RddId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import JobSubmitted, TaskStarted
from minispark.messages.task import DirectResult, TaskDescription, TaskLocation
from minispark.rpc.logic.codec import encode
from minispark.rpc.message import Ask, Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.backend import SchedulerBackend, TaskOffers, WorkerOffer
from minispark.scheduler.dag_scheduler import JobListener
from minispark.scheduler.direct_runner import DirectRunner
from minispark.scheduler.exclusions import ExecutorAllocation
from minispark.scheduler.journal import JournalEntry, JournalHeader, JournalWriter, python_version
from minispark.scheduler.logic.cached import CachedBlocks, Rows
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.pool import PoolSpec
from minispark.scheduler.payloads import without_payloads
from minispark.scheduler.topology import Topology
from minispark.scheduling_settings import SchedulingSettings
from minispark.setting import Setting

__all__ = [
    "CONFIGURE_POOL",
    "ENDPOINTS",
    "OFFERS",
    "STATUS",
    "Recorder",
    "Unrecorded",
    "describe",
    "pack_pool",
    "recorder_for",
]

T = TypeVar("T")

ENDPOINTS = ("DAGScheduler", "TaskScheduler")
OFFERS = "resource_offers"
STATUS = "status_update"
CONFIGURE_POOL = "configure_pool"
RACKS = "racks"


class Unrecorded:
    """Records nothing: every port is used as it is."""

    def world(self, world: World) -> World:
        """Return the world that the schedulers get."""
        return world

    def ref(self, ref: RpcEndpointRef) -> RpcEndpointRef:
        """Return the ref by which one scheduler talks to the other."""
        return ref

    def jobs(self, jobs: JobListener) -> JobListener:
        """Return the listener that is told of results and ends of jobs."""
        return jobs

    def backend(self, backend: SchedulerBackend) -> SchedulerBackend:
        """Return the backend that the TaskScheduler gets."""
        return backend

    def offers(self, scheduler: TaskOffers) -> TaskOffers:
        """Return the TaskScheduler that the backend endpoint gets."""
        return scheduler

    def cached(self, blocks: CachedBlocks) -> CachedBlocks:
        """Return the table of blocks that the DAGScheduler gets."""
        return blocks

    def direct(self, runner: DirectRunner) -> DirectRunner:
        """Return what runs single tasks directly for the DAGScheduler."""
        return runner

    def racks(self, topology: Topology) -> None:
        """Take note of the racks that the TaskScheduler knows, now and whenever it hears of more."""

    def message(self, endpoint: str, message: Message) -> None:
        """Take note of a message that an endpoint is about to get."""

    def pool(self, spec: PoolSpec) -> None:
        """Take note of a pool that is configured while the application runs."""

    async def close(self) -> None:
        """Write what is left; after the schedulers have stopped."""


class Recorder(Unrecorded):
    """Makes an entry of each thing that comes in, and hands it on when the next one begins.

    Args:
        clock: read once an entry.
        sink: takes finished entries; one more is finished by `finish`.
        seed: of the chance that the schedulers have.

    Attributes:
        wall_s: the time that the schedulers see, since the epoch.
        monotonic_s: the same on the clock that never goes back.
        decisions: the texts of the current entry's.
    """

    def __init__(self, clock: World, sink: Callable[[JournalEntry], object], seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.clock = clock
        self.sink = sink
        self.wall_s = clock.wall()
        self.monotonic_s = clock.monotonic()
        self.number = 0
        self.entry: JournalEntry | None = None
        self.decisions: list[str] = []

    # -- entries -----------------------------------------------------------------------------------------------------

    def begin(self, target: str, body: bytes) -> None:
        """Finish the entry before, and begin one."""
        self.finish()
        self.wall_s, self.monotonic_s = self.clock.wall(), self.clock.monotonic()
        self.entry = JournalEntry(self.number, self.wall_s, self.monotonic_s, target, body)
        self.number += 1

    def finish(self) -> None:
        """Hand the current entry on, with what was decided."""
        entry, self.entry = self.entry, None
        if entry is not None:
            entry.decisions = len(self.decisions)
            entry.digest = digest_of(self.decisions)
            self.decisions = []
            self.sink(entry)

    def note(self, decision: str) -> None:
        """Note a decision; what is decided before the first message is the same in every replay."""
        if self.entry is not None:
            self.decisions.append(decision)

    def read(self, value: Callable[[], Any]) -> Any:
        """Read something of others, and keep what was read."""
        found = value()
        if self.entry is not None:
            self.entry.reads.append(found)
        return found

    # -- ports -------------------------------------------------------------------------------------------------------

    def world(self, world: World) -> World:
        """Return a world whose clock stands still while a message is handled."""
        return cast(World, SteadyWorld(world, self))  # what is not the clock is passed on

    def ref(self, ref: RpcEndpointRef) -> RpcEndpointRef:
        """Return a ref that notes what is sent."""
        return NotedRef(ref, self)

    def jobs(self, jobs: JobListener) -> JobListener:
        """Return a listener that notes results and ends."""
        return NotedJobs(jobs, self)

    def backend(self, backend: SchedulerBackend) -> SchedulerBackend:
        """Return a backend that notes kills, and what is read of it."""
        # What is not noted is passed on.
        noted = NotedAllocation if isinstance(backend, ExecutorAllocation) else NotedBackend
        return cast(SchedulerBackend, noted(backend, self))

    def offers(self, scheduler: TaskOffers) -> TaskOffers:
        """Return a TaskScheduler whose calls are entries and whose launches are noted."""
        return NotedOffers(scheduler, self)

    def cached(self, blocks: CachedBlocks) -> CachedBlocks:
        """Return a table of blocks of which it is kept what was read."""
        return NotedBlocks(blocks, self)

    def direct(self, runner: DirectRunner) -> DirectRunner:
        """Return a runner that notes what is run directly."""
        return cast(DirectRunner, NotedDirect(runner, self))  # of its methods, these two are called

    def racks(self, topology: Topology) -> None:
        """Begin an entry for what is known, and one each time that more becomes known."""
        changed = topology.changed

        def changed_later() -> None:
            self.begin(RACKS, msgpack.packb(topology.rack_of))
            changed()

        topology.changed = changed_later
        if topology.rack_of:
            self.begin(RACKS, msgpack.packb(topology.rack_of))

    def message(self, endpoint: str, message: Message) -> None:
        """Begin an entry if a scheduler is about to get this message."""
        if endpoint in ENDPOINTS:
            self.begin(endpoint, encode(without_payloads(message))[0])

    def pool(self, spec: PoolSpec) -> None:
        """Begin an entry for a pool."""
        self.begin(CONFIGURE_POOL, msgpack.packb(pack_pool(spec)))

    async def close(self) -> None:
        """Finish the last entry."""
        self.finish()


class JournalRecorder(Recorder):
    """Writes its entries to a journal's file.

    Args:
        clock: read once an entry.
        writer: of the file.
        seed: of the chance that the schedulers have.
    """

    def __init__(self, clock: World, writer: JournalWriter, seed: int) -> None:
        super().__init__(clock, writer.add, seed)
        self.writer = writer

    async def close(self) -> None:
        """Write what is left."""
        self.finish()
        await self.writer.close()


def recorder_for(
    conf: SparkConf,
    world: World,
    scope: TaskScope,
    max_failures: int,
    pools: Iterable[PoolSpec],
    *,
    replaces_executors: bool = False,
) -> Unrecorded:
    """Return the recorder of a driver: one that writes `minispark.scheduler.journal`, or one that does nothing.

    Args:
        conf: those of its settings that schedulers read go to the journal's header.
        world: its clock and threads.
        scope: owns the writing.
        max_failures: failures of one task that give its set up.
        pools: the configured pools.
        replaces_executors: whether the backend can, so that the schedulers count on it.
    """
    if not conf.scheduler_journal:
        return Unrecorded()
    read_by_schedulers = {entry.key for entry in vars(SchedulingSettings).values() if isinstance(entry, Setting)}
    read_by_schedulers |= {"minispark.driver.maxResultSize"}
    settings = {key: text for key, text in conf.get_all() if key in read_by_schedulers}
    for key in ("minispark.scheduler.journal", "minispark.topology.resolver"):
        settings.pop(key, None)  # racks are recorded as they become known
    seed = world.rng.getrandbits(32)
    header = JournalHeader(
        f"minispark {__version__}",
        python_version(),
        settings,
        max_failures,
        seed,
        [pack_pool(p) for p in pools],
        replaces_executors,
    )
    return JournalRecorder(world, JournalWriter(Path(conf.scheduler_journal), world, scope, header), seed)


class Port(Generic[T]):
    """Passes on what it does not note.

    Args:
        inner: what is wrapped.
        recorder: is told.
    """

    def __init__(self, inner: T, recorder: Recorder) -> None:
        self.inner = inner
        self.recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class SteadyWorld(Port[World]):
    """A world whose clock shows the time of the current entry, and whose chance can be had again."""

    @property
    def rng(self) -> random.Random:
        """The schedulers' own chance."""
        return self.recorder.rng

    def wall(self) -> float:
        """Return the time of the current entry, since the epoch."""
        return self.recorder.wall_s

    def monotonic(self) -> float:
        """Return the time of the current entry."""
        return self.recorder.monotonic_s


class NotedRef(Port[RpcEndpointRef]):
    """A ref that notes what is sent by it; what only listeners want to know is no decision."""

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.inner.name

    @property
    def address(self) -> Any:
        """The env's address."""
        return self.inner.address

    def send(self, message: Message) -> None:
        """Note and send."""
        if not isinstance(message, TaskStarted):
            self.recorder.note(f"to {self.inner.name}: {describe(message)}")
        self.inner.send(message)

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> Any:
        """Note and ask."""
        self.recorder.note(f"asks {self.inner.name}: {describe(message)}")
        return self.inner.ask(message, timeout_s)


class NotedJobs(Port[JobListener]):
    """A listener that notes what jobs get."""

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        """Note and deliver a result."""
        self.recorder.note(f"result {position} of job {job_id}")
        self.inner.task_succeeded(job_id, position, result)

    def job_succeeded(self, job_id: JobId) -> None:
        """Note and tell the end of a job."""
        self.recorder.note(f"job {job_id} succeeded")
        self.inner.job_succeeded(job_id)

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        """Note and tell that a job was given up."""
        self.recorder.note(f"job {job_id} failed, {failure.kind}: {failure.message}")
        self.inner.job_failed(job_id, failure)

    def all_failed(self, failure: JobFailure) -> None:
        """Note and tell that all were."""
        self.recorder.note(f"all jobs failed: {failure.message}")
        self.inner.all_failed(failure)


class NotedBackend(Port[SchedulerBackend]):
    """A backend that notes kills; that offers are wished for is no decision: they come, and are entries."""

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """Note and pass on a kill."""
        self.recorder.note(f"kill task {task_id} on {executor_id}: {reason}")
        self.inner.kill_task(task_id, executor_id, interrupt, reason)

    @property
    def max_concurrent_tasks(self) -> int:
        """How many tasks can run at once, as read now."""
        found: int = self.recorder.read(lambda: self.inner.max_concurrent_tasks)
        return found


class NotedAllocation(NotedBackend):
    """A backend that also notes which executors it is to end; an `ExecutorAllocation` for the scheduler, too."""

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        """Note and pass on that an executor is to go."""
        self.recorder.note(f"remove executor {executor_id}, decommission={decommission}: {reason}")
        cast(ExecutorAllocation, self.inner).remove_executor(executor_id, decommission=decommission, reason=reason)

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        """Note and pass on that those of a host are."""
        self.recorder.note(f"remove executors on {host}, decommission={decommission}: {reason}")
        cast(ExecutorAllocation, self.inner).remove_executors_on_host(host, decommission=decommission, reason=reason)


class NotedDirect(Port[DirectRunner]):
    """A runner of single tasks that notes what it is given; how they end comes as messages."""

    def run(self, job: JobSubmitted) -> None:
        """Note and run a job."""
        self.recorder.note(f"run job {job.job_id} directly")
        self.inner.run(job)

    def kill(self, job_id: JobId, interrupt: bool, reason: str) -> None:
        """Note and pass on a kill."""
        self.recorder.note(f"kill job {job_id}, which runs directly: {reason}")
        self.inner.kill(job_id, interrupt, reason)


class NotedBlocks(Port[CachedBlocks]):
    """A table of blocks of which it is kept what was read; a failure to read is read as nothing."""

    def locations(self, rdd_id: RddId) -> Rows | None:
        """Return where an RDD is kept, as read now."""
        plain = self.recorder.read(lambda: plain_rows(self.inner.locations(rdd_id)))
        if plain is None:
            return None
        return [[TaskLocation(host, ExecutorId(executor_id)) for host, executor_id in row] for row in plain]


class NotedOffers(Port[TaskOffers]):
    """A TaskScheduler as its backend calls it."""

    def resource_offers(self, offers: list[WorkerOffer], *rest: Any, **named: Any) -> list[TaskDescription]:
        """Begin an entry, pass the offers on, note the launches."""
        plain = [dataclasses.astuple(offer) for offer in offers]
        self.recorder.begin(OFFERS, msgpack.packb([plain, rest, named]))
        tasks = self.inner.resource_offers(offers, *rest, **named)
        for task in tasks:
            self.recorder.note(
                f"launch {task.task_id} on {task.executor_id}: {task.name}, partition {task.partition}"
            )
        return tasks

    def status_update(self, update: StatusUpdate) -> None:
        """Begin an entry and pass the update on."""
        self.recorder.begin(STATUS, encode(without_payloads(update))[0])
        self.inner.status_update(update)


def plain_rows(rows: Rows | None) -> list[list[list[str]]] | None:
    """Return locations as plain values."""
    return None if rows is None else [[[place.host, place.executor_id] for place in row] for row in rows]


def describe(message: Message) -> str:
    """Put a message into a line: names and numbers as they are, of the rest what it is."""
    parts = [f"{name}={brief(getattr(message, name))}" for name in message.__match_args__]
    return f"{type(message).__name__}({', '.join(parts)})"


def brief(value: Any) -> str:
    """Return the short form of a field's value, the same for equal values."""
    match value:
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes {zlib.crc32(value):08x}"
        case Message():
            return type(value).__name__
        case dict():
            return f"{len(value)} pairs"
        case tuple() if any(isinstance(each, Message) for each in value):
            return f"{len(value)} values"
        case _:
            return repr(value)


def digest_of(decisions: list[str]) -> int:
    """Return a checksum of decisions."""
    return zlib.crc32("\n".join(decisions).encode("utf-8", "surrogatepass"))


def pack_pool(spec: PoolSpec) -> list[object]:
    """Return a pool's configuration as plain values."""
    return [spec.name, spec.mode.value, spec.min_share, spec.weight, spec.parent]
