"""Replays a scheduler's journal: the same messages to new schedulers, and whether they decide the same.

`minispark replay` calls it. There is no cluster, no loop and no clock: the time of each entry, and what the
schedulers read of others, come from the journal; what they send goes nowhere, because what came of it is in the
journal too.
"""

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import msgpack

from minispark.conf import SparkConf
from minispark.errors import JournalError, MiniSparkError, ProtocolError
from minispark.ids import BinaryId, ExecutorId, JobId, TaskId
from minispark.messages.listener import ListenerEvent
from minispark.messages.scheduler import JobSubmitted
from minispark.messages.task import DirectResult, IndirectResult
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.logic.codec import decode
from minispark.rpc.message import Ask, Message
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler import recording
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.dag_scheduler import DAGScheduler
from minispark.scheduler.direct_runner import DirectRunner
from minispark.scheduler.journal import JournalEntry, JournalHeader, read_journal
from minispark.scheduler.logic.cached import NOTHING_CACHED
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.pool import Mode, PoolSpec, PoolTree
from minispark.scheduler.recording import Recorder, describe, digest_of
from minispark.scheduler.task_scheduler import TaskScheduler
from minispark.shuffle.logic.map_outputs import MapOutputs

__all__ = ["Replay", "ReplayedStep"]


@dataclass(slots=True)
class ReplayedStep:
    """One entry, replayed.

    Attributes:
        entry: as recorded.
        what: the message or call, in a line.
        decisions: what the schedulers decided now.
        agrees: whether that is what they decided then.
    """

    entry: JournalEntry
    what: str
    decisions: list[str] = field(default_factory=list)
    agrees: bool = True


class Divergence(Exception):
    """The schedulers cannot be replayed any farther along the way that was recorded."""


class Nowhere:
    """A ref, a backend, a job listener, an event sink and a scope: whatever is sent to it is gone."""

    address = None
    wants_tasks = False
    max_concurrent_tasks = 0

    def __init__(self, name: str = "") -> None:
        self.name = name

    def send(self, message: Message) -> None:
        """Drop a message."""

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> NoReturn:
        """Refuse: nobody answers."""
        raise NotImplementedError(f"{self.name} cannot be asked in a replay")

    def post(self, event: ListenerEvent) -> None:
        """Drop an event."""

    def revive_offers(self) -> None:
        """Do nothing: the offers are in the journal."""

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """Do nothing: nothing runs."""

    async def stop(self) -> None:
        """Do nothing."""

    def run(self, job: JobSubmitted) -> None:
        """Do nothing: how a job that runs directly ended is in the journal."""

    def kill(self, job_id: JobId, interrupt: bool, reason: str) -> None:
        """Do nothing: nothing runs."""

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        """Drop a result."""

    def job_succeeded(self, job_id: JobId) -> None:
        """Drop the end of a job."""

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        """Drop the end of a job."""

    def all_failed(self, failure: JobFailure) -> None:
        """Drop the end of all jobs."""

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        """Return nothing: tasks are not launched."""
        return b""

    async def read_result(self, result: IndirectResult) -> DirectResult | None:
        """Return nothing: results that were fetched are in the journal."""
        return None


class NobodysExecutors(Nowhere):
    """A backend that can end executors, of which there are none."""

    def remove_executor(self, executor_id: ExecutorId, *, decommission: bool, reason: str) -> None:
        """End nobody."""

    def remove_executors_on_host(self, host: str, *, decommission: bool, reason: str) -> None:
        """End nobody."""


class UnstartedScope(TaskScope):
    """Starts nothing: what came of it is in the journal."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str, owner: RpcEndpoint | None = None) -> Any:
        """Close a coroutine."""
        coroutine.close()


class JournalWorld:
    """A world in which the time is that of the current entry, and timers never fire."""

    def __init__(self) -> None:
        self.entry: JournalEntry | None = None

    def wall(self) -> float:
        """Return the entry's time, since the epoch."""
        return self.entry.wall_s if self.entry is not None else 0.0

    def monotonic(self) -> float:
        """Return the entry's time."""
        return self.entry.monotonic_s if self.entry is not None else 0.0

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: object) -> "JournalWorld":
        """Do nothing: the messages of timers are in the journal."""
        return self

    def cancel(self) -> None:
        """Cancel a timer, which is none."""


class ReplayRecorder(Recorder):
    """Notes what is decided now, and gives the schedulers what they read then."""

    def __init__(self, world: JournalWorld, seed: int) -> None:
        super().__init__(cast(World, world), lambda entry: None, seed)
        self.texts: list[str] = []
        self.recorded: list[object] = []

    def finish(self) -> None:
        """Keep the texts of the decisions."""
        if self.entry is not None:
            self.texts = list(self.decisions)
        super().finish()

    def read(self, value: Callable[[], Any]) -> Any:
        """Return what was read then.

        Raises:
            Divergence: then, less was read: the schedulers have gone another way.
        """
        if self.entry is None:
            return value()
        if not self.recorded:
            raise Divergence("the schedulers read more of others than was recorded")
        return self.recorded.pop(0)


class Replay:
    """New schedulers, fed with a journal.

    Args:
        path: the journal.

    Attributes:
        header: what the journal says of the application.

    Raises:
        JournalError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.header, self.entries = read_journal(path)
        self.world = JournalWorld()
        self.recorder = ReplayRecorder(self.world, self.header.seed)
        self.offers_of: dict[str, WorkerOffer] = {}
        self.endpoints: dict[str, RpcEndpoint] = {}
        try:
            self.compose(self.header)
        except MiniSparkError as error:
            raise JournalError(f"the settings in the journal {path} cannot be used: {error}") from None

    def compose(self, header: JournalHeader) -> None:
        """Put the schedulers together as a driver does."""
        conf = SparkConf(header.conf, environment={})
        nowhere, world = Nowhere(), self.recorder.world(cast(World, self.world))
        self.pools = PoolTree(Mode(conf.scheduler_mode), [pool_of(values) for values in header.pools])
        self.dag = DAGScheduler(
            conf,
            world,
            MapOutputs(),
            self.recorder.jobs(nowhere),
            nowhere,
            lambda what: None,
            cached_blocks=self.recorder.cached(NOTHING_CACHED),
            max_failures=header.max_failures,
        )
        self.dag.direct_runner = self.recorder.direct(cast(DirectRunner, nowhere))
        self.tasks = TaskScheduler(
            conf,
            header.max_failures,
            world,
            UnstartedScope("replay"),
            self.recorder.ref(Nowhere("DAGScheduler")),
            nowhere,
            nowhere.read_result,
            nowhere,
            self.pools,
        )
        self.dag.attach(self.recorder.ref(Nowhere("TaskScheduler")), self.tasks.max_concurrent_tasks)
        self.tasks.attach(self.recorder.backend(NobodysExecutors() if header.replaces_executors else nowhere))
        self.offers = self.recorder.offers(self.tasks)
        for name, endpoint in (("DAGScheduler", self.dag), ("TaskScheduler", self.tasks)):
            endpoint._ref = Nowhere(name)
            self.endpoints[name] = endpoint
            endpoint.on_start()

    def steps(self) -> Iterator[ReplayedStep]:
        """Replay the entries one by one.

        Raises:
            JournalError: the file is cut off or damaged here, or an entry cannot be understood.
        """
        for entry in self.entries:
            yield self.step(entry)

    def step(self, entry: JournalEntry) -> ReplayedStep:
        """Replay one entry."""
        self.world.entry = entry
        self.recorder.recorded = list(entry.reads)
        problem = ""
        try:
            what = self.take(entry)
        except Divergence as error:
            what, problem = entry.target, str(error)
        except (ProtocolError, ValueError, TypeError) as error:
            raise JournalError(f"entry {entry.number} for {entry.target} cannot be understood: {error}") from None
        self.recorder.finish()
        texts, self.recorder.texts = self.recorder.texts, []
        agrees = (len(texts), digest_of(texts)) == (entry.decisions, entry.digest) and not problem
        return ReplayedStep(entry, what, [*texts, problem] if problem else texts, agrees)

    def take(self, entry: JournalEntry) -> str:
        """Give an entry to whom it was meant for; return it in a line."""
        match entry.target:
            case "DAGScheduler" | "TaskScheduler":
                return self.deliver(entry.target, decode(entry.body))
            case recording.OFFERS:
                return self.offer(entry.body)
            case recording.STATUS:
                update = decode(entry.body)
                self.offers.status_update(update)
                return describe(update)
            case recording.RACKS:
                return self.racks(entry.body)
            case recording.CONFIGURE_POOL:
                spec = pool_of(msgpack.unpackb(entry.body))
                self.recorder.pool(spec)
                with contextlib.suppress(ValueError):  # what was refused then is refused now
                    self.pools.configure(spec)
                return repr(spec)
            case _:
                raise Divergence(f"entry {entry.number} is for {entry.target!r}, which nobody knows")

    def deliver(self, name: str, message: Message) -> str:
        """Give a message to an endpoint, whose errors are its own, as they were then."""
        self.recorder.message(name, message)
        endpoint = self.endpoints[name]
        try:
            endpoint.receive(message, Unasked())
        except Divergence:
            raise
        except Exception as error:  # noqa: BLE001 — the message boundary, as in an inbox
            endpoint.on_error(error)
        return describe(message)

    def offer(self, body: bytes) -> str:
        """Offer what was offered then.

        An executor's offer is one object as long as it lives, because the scheduler keeps it over a round of several
        steps; an executor that is not in an offer of everything has no free core, or is gone.
        """
        plain, rest, named = msgpack.unpackb(body)
        offers = []
        if all([*rest, *named.values()]):
            for known in self.offers_of.values():
                known.cores = 0
        for executor_id, host, cores in plain:
            offer = self.offers_of.setdefault(executor_id, WorkerOffer(ExecutorId(executor_id), host, cores))
            offer.cores = cores
            offers.append(offer)
        self.offers.resource_offers(offers, *rest, **named)
        return f"resource_offers({sum(values[2] for values in plain)} cores of {len(plain)} executors)"

    def racks(self, body: bytes) -> str:
        """Let the TaskScheduler know the racks that it knew then."""
        topology = self.tasks.topology
        self.recorder.begin(recording.RACKS, body)
        topology.rack_of.update(msgpack.unpackb(body))
        topology.changed()
        return f"racks of {len(topology.rack_of)} hosts"


class Unasked:
    """The context of a message that nobody waits for an answer to."""

    sender = None
    is_ask = False

    def reply(self, message: Message) -> None:
        """Drop it."""

    def send_failure(self, error: BaseException) -> None:
        """Drop it."""


def pool_of(values: Any) -> PoolSpec:
    """Undo `recording.pack_pool`."""
    name, mode, min_share, weight, parent = values
    return PoolSpec(name, Mode(mode), min_share, weight, parent)
