"""InlinePool: tasks run on the loop itself. For the simulation and for tests; never where a loop has other duties.

An attempt runs to its end in a callback of its own, and its outcome is delivered after a virtual duration: until then
it counts as running, a kill or a crash discards what it did. The executor must answer a runner's questions at once,
from what it prepared. Nothing depends on real time, so a history can be replayed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from minispark.conf import SparkConf
from minispark.errors import BarrierError, MiniSparkError
from minispark.executor.cooperative import CooperativeBracket
from minispark.executor.metrics import STOPPED, Clocks
from minispark.executor.progress import counters_of
from minispark.executor.runners import RunnerEvents
from minispark.executor.task_runner import TaskRunner
from minispark.ids import BlockId, BroadcastId, TaskId
from minispark.messages.coordination import RequestToSync
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, RunnerLost, TaskDescription, TaskKilled, TaskOutcome
from minispark.rdd.ports import MutableTaskMetrics
from minispark.rdd.runner_side import forget
from minispark.rpc.world import World

__all__ = ["Duration", "InlinePool"]

STARTED_AFTER_S: Final = 0.1  # a task that takes longer is reported as running

Duration = Callable[[TaskDescription], float]


def instant(task: TaskDescription) -> float:
    """Take no time."""
    return 0.0


@dataclass(slots=True, eq=False)
class Run:
    """An attempt in a slot: its outcome, once it was computed, is delivered by `timer`."""

    task: TaskDescription
    outcome: TaskOutcome | None = None
    kill_reason: str | None = None
    timer: asyncio.Handle | None = None
    started: asyncio.Handle | None = None

    def cancel(self) -> None:
        """Let nothing more happen by itself."""
        for handle in (self.timer, self.started):
            if handle is not None:
                handle.cancel()


class InlineServices:
    """What a slot's tasks get from their runner."""

    def __init__(self, pool: "InlinePool", slot: int) -> None:
        self.pool = pool
        self.slot = slot
        self.user_code = CooperativeBracket()
        self.metrics = MutableTaskMetrics()

    @property
    def location(self) -> BlockManagerId:
        """Where the executor's blocks are."""
        return self.pool.location

    @property
    def conf(self) -> SparkConf:
        """The application's settings."""
        return self.pool.conf

    def new_metrics(self) -> MutableTaskMetrics:
        """Return the metrics of the attempt that begins."""
        self.metrics = MutableTaskMetrics()
        return self.metrics

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask the executor, which answers before it returns."""
        return self.pool.ask(self.slot, request)


class InlinePool:
    """A RunnerPool on the loop.

    Args:
        slots: how many attempts are under way at once.
        conf: the application's settings.
        location: where the executor's blocks are.
        world: timers.
        duration: how many seconds an attempt takes.
        clocks: where its metrics come from; they stand still by default.
    """

    def __init__(
        self,
        slots: int,
        conf: SparkConf,
        location: BlockManagerId,
        world: World,
        *,
        duration: Duration = instant,
        clocks: Clocks = STOPPED,
    ) -> None:
        self.conf = conf
        self.location = location
        self.world = world
        self.duration = duration
        self.clocks = clocks
        self.services = [InlineServices(self, slot) for slot in range(slots)]
        self.runners = [TaskRunner(services, clocks) for services in self.services]
        self.runs: dict[int, Run] = {}
        self.asks = 0
        self.answers: dict[tuple[int, int], RunnerReply | AnswerFailed] = {}

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        return len(self.runners)

    def launch(self) -> None:
        """Do nothing: no other process has to start."""

    async def start(self, events: RunnerEvents) -> None:
        """Say that all runners are ready."""
        self.events = events
        self.loop = asyncio.get_running_loop()
        for slot in range(self.slots):
            self.loop.call_soon(events.runner_ready, slot)
        await self.world.sleep(0)

    def run(self, slot: int, task: TaskDescription) -> None:
        """Run an attempt in a callback of its own."""
        assert slot not in self.runs, f"slot {slot} is busy"
        run = self.runs[slot] = Run(task)
        run.timer = self.loop.call_soon(self.execute, slot, run)

    def execute(self, slot: int, run: Run) -> None:
        """Compute an attempt's outcome, and deliver it when its time has passed."""
        self.services[slot].user_code.begin(run.task.task_id)
        run.outcome = self.runners[slot].run(run.task)
        duration = self.duration(run.task)
        if duration > STARTED_AFTER_S:
            run.started = self.world.call_later(STARTED_AFTER_S, self.events.task_started, slot, run.task.task_id)
        if duration > 0:
            run.timer = self.world.call_later(duration, self.deliver, slot, run)
        else:
            self.deliver(slot, run)

    def deliver(self, slot: int, run: Run) -> None:
        """Report an attempt's end."""
        run.cancel()
        del self.runs[slot]
        outcome = run.outcome if run.kill_reason is None else TaskKilled(run.kill_reason)
        assert outcome is not None
        self.events.task_finished(slot, run.task.task_id, outcome)

    def kill(self, slot: int, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """Discard an attempt: at once with `interrupt`, else when its time has passed."""
        run = self.runs.get(slot)
        if run is None or run.task.task_id != task_id:
            return
        run.kill_reason = reason
        self.services[slot].user_code.kill(task_id, reason)
        if interrupt:
            run.cancel()
            run.timer = self.loop.call_soon(self.deliver, slot, run)

    def ask(self, slot: int, request: RunnerRequest) -> RunnerReply:
        """Bring a task's question to the executor and its answer back.

        Raises:
            BarrierError: it asks to wait for other tasks.
            MiniSparkError: there is no answer, or not yet.
        """
        if isinstance(request, RequestToSync):
            raise BarrierError(
                "the inline pool runs tasks one after another, and those of a barrier stage wait for each other: set "
                "minispark.executor.pool to process or thread"
            )
        self.asks += 1
        ask_id = self.asks
        self.events.runner_asked(slot, self.runs[slot].task.task_id, ask_id, request)
        answer = self.answers.pop((slot, ask_id), None)
        if answer is None:
            raise MiniSparkError(f"{type(request).__name__} was not answered at once, as a task on the loop needs it")
        if isinstance(answer, AnswerFailed):
            raise MiniSparkError(answer.error)
        return answer

    def answer(self, slot: int, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        """Answer a question; a late answer finds nobody."""
        if slot in self.runs and ask_id == self.asks:
            self.answers[slot, ask_id] = answer

    def forget_broadcasts(self, broadcast_ids: tuple[BroadcastId, ...]) -> None:
        """Let go of values: the runners are in this very process."""
        forget(broadcast_ids)

    def drop_blocks(self, slot: int, block_ids: tuple[BlockId, ...]) -> None:
        """Let go of objects; see `RunnerPool`."""
        self.runners[slot].drop_blocks(block_ids)

    def counters(self, slot: int) -> dict[str, int] | None:
        """Return how far the slot's attempt is: from its start, all that it will have counted; see `RunnerPool`."""
        return None if slot not in self.runs else counters_of(self.services[slot].metrics)

    def crash(self, slot: int, loss: RunnerLost, restart_s: float = 0.0) -> None:
        """Let a runner die, as a process would, with the attempt it runs; a fresh one is ready after a while."""
        run = self.runs.pop(slot, None)
        if run is not None:
            run.cancel()
        self.runners[slot] = TaskRunner(self.services[slot], self.clocks)
        self.loop.call_soon(self.events.runner_lost, slot, None if run is None else run.task.task_id, loss)
        self.world.call_later(restart_s, self.events.runner_ready, slot)

    def kill_all(self) -> None:
        """Do nothing: what runs on the loop has ended with it."""

    def private_bytes(self, slot: int) -> int | None:
        """Return None: its runners are no processes."""

    def discard_runner(self, slot: int, task_id: TaskId | None) -> None:
        """Do nothing: see `RunnerPool`."""

    async def stop(self, deadline_s: float) -> None:
        """Discard what runs."""
        for run in self.runs.values():
            run.cancel()
        self.runs.clear()
