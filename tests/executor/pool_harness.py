"""Real runner processes for tests: a pool with its recorder, and small tasks named by what they do."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgpack

from minispark.conf import SparkConf
from minispark.executor.process_pool import ProcessPool
from minispark.ids import BinaryId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.runner import AnswerFailed, Binary, RunnerRequest
from minispark.messages.task import (
    BlockManagerId,
    DirectResult,
    RunnerLost,
    Success,
    TaskDescription,
    TaskOutcome,
)
from minispark.rpc.world import SystemWorld
from tests.executor.stand_in import FACTORY

__all__ = ["Recorder", "running_pool", "task", "value_of", "with_pool"]

DEADLINE_S = 60.0
"""How long the tests wait for one event: far longer than it takes where ten processes share a core."""


def task(task_id: int, do: str = "echo", argument: bytes = b"") -> TaskDescription:
    return TaskDescription(
        TaskId(task_id), 0, ExecutorId("driver"), JobId(1), StageId(1), 0, 0, 0, BinaryId(1), 0, 1, (), {"do": do},
        argument,
    )  # fmt: skip


def value_of(outcome: TaskOutcome, task_id: int) -> Any:
    """Return what an action gave, after checking whose result it is."""
    assert isinstance(outcome, Success), outcome
    assert isinstance(outcome.result, DirectResult)
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
    unpacker.feed(outcome.result.batches[0])
    assert unpacker.unpack() == task_id
    return unpacker.unpack()


class Recorder:
    """Plays the executor: gives each task the next free slot, keeps what the pool says, checks what it promises."""

    def __init__(self, pool: ProcessPool) -> None:
        self.pool = pool
        self.idle: deque[int] = deque()
        self.slot_of: dict[TaskId, int] = {}
        self.ends: dict[TaskId, asyncio.Future[TaskOutcome | RunnerLost]] = {}
        self.started: list[TaskId] = []
        self.losses: list[RunnerLost] = []
        self.asked: list[tuple[int, int, RunnerRequest]] = []
        self.answer: Binary | AnswerFailed | None = Binary(b"binary")
        self.changed: asyncio.Event = asyncio.Event()
        self.last = 0

    def runner_ready(self, slot: int) -> None:
        assert slot not in self.idle
        assert slot not in self.slot_of.values()
        self.idle.append(slot)
        self.changed.set()

    def task_started(self, slot: int, task_id: TaskId) -> None:
        assert self.slot_of[task_id] == slot
        assert task_id not in self.started
        self.started.append(task_id)
        self.changed.set()

    def task_finished(self, slot: int, task_id: TaskId, outcome: TaskOutcome) -> None:
        self.end(slot, task_id, outcome)
        self.idle.append(slot)
        self.changed.set()

    def runner_asked(self, slot: int, task_id: TaskId, ask_id: int, request: RunnerRequest) -> None:
        assert self.slot_of[task_id] == slot
        self.asked.append((slot, ask_id, request))
        if self.answer is not None:
            self.pool.answer(slot, ask_id, self.answer)
        self.changed.set()

    def runner_lost(self, slot: int, task_id: TaskId | None, loss: RunnerLost) -> None:
        self.losses.append(loss)
        if task_id is None:
            self.idle.remove(slot)
        else:
            self.end(slot, task_id, loss)
        self.changed.set()

    def end(self, slot: int, task_id: TaskId, end: TaskOutcome | RunnerLost) -> None:
        assert self.slot_of.pop(task_id) == slot, "an attempt ends once, in its slot"
        if not self.ends[task_id].cancelled():  # a test that fails stops waiting
            self.ends[task_id].set_result(end)

    async def until(self, condition: Any) -> None:
        """Wait for something that the pool says."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def begin(self, do: str = "echo", argument: bytes = b"") -> TaskId:
        """Start a task when a slot is free; return its id."""
        await self.until(lambda: self.idle)
        self.last += 1
        description = task(self.last, do, argument)
        slot = self.idle.popleft()
        self.slot_of[description.task_id] = slot
        self.ends[description.task_id] = asyncio.get_running_loop().create_future()
        self.pool.run(slot, description)
        return description.task_id

    async def begin_long(self, do: str, argument: bytes = b"") -> TaskId:
        """Start a task and wait until it runs."""
        task_id = await self.begin(do, argument)
        await self.until(lambda: task_id in self.started)
        return task_id

    async def begin_deaf(self, do: str, argument: bytes = b"") -> TaskId:
        """Start a task that ignores kills and wait until it does, which it tells by its first record."""
        task_id = await self.begin(do, argument)
        await self.until_counting(task_id)
        return task_id

    async def until_counting(self, task_id: TaskId) -> None:
        """Wait for the first record that a task counts."""
        slot = self.slot_of[task_id]
        async with asyncio.timeout(DEADLINE_S):
            while not (self.pool.counters(slot) or {}).get("records_read"):  # noqa: ASYNC110 — a page has no event
                await asyncio.sleep(0.001)

    async def end_of(self, task_id: TaskId) -> TaskOutcome | RunnerLost:
        """Wait for the end of a task."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.ends[task_id]

    async def do(self, do: str = "echo", argument: bytes = b"") -> Any:
        """Run a task and return its value."""
        task_id = await self.begin(do, argument)
        return value_of(await self.end_of(task_id), task_id)

    def kill(self, task_id: TaskId, *, interrupt: bool = True, reason: str = "test") -> None:
        if task_id in self.slot_of:
            self.pool.kill(self.slot_of[task_id], task_id, interrupt, reason)


@contextlib.asynccontextmanager
async def running_pool(
    slots: int = 1, settings: Mapping[str, object] | None = None, *, directory: str = "", factory: str = FACTORY
) -> AsyncIterator[Recorder]:
    """Run a pool of stand-ins; settings as `{"executor_killGrace": 0.1}`."""
    texts = {f"minispark.{key.replace('_', '.')}": value for key, value in (settings or {}).items()}
    conf = SparkConf(texts, environment={})
    location = BlockManagerId(ExecutorId("driver"), "localhost", 0, directory)
    pool = ProcessPool(slots, conf, location, SystemWorld(), runner_factory=factory)
    recorder = Recorder(pool)
    try:
        await pool.start(recorder)
        yield recorder
    finally:
        await pool.stop(5.0)


def with_pool(
    scenario: Callable[[Recorder], Awaitable[None]], slots: int = 1, *, factory: str = FACTORY, **settings: object
) -> None:
    """Run a scenario with a pool, on a loop of its own; settings as `executor_killGrace=0.1`."""

    async def run() -> None:
        async with running_pool(slots, settings, factory=factory) as recorder:
            await scenario(recorder)

    asyncio.run(run())
