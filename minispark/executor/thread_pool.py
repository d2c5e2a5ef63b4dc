"""ThreadPool: tasks on threads of the executor's own process. For debugging, tests and light embedded work.

Threads share the interpreter with the loop, so CPU-bound tasks slow it down, and a kill is cooperative: the attempt
ends where its records are next looked at, where it asks its context, or at its own end. One that does not within
`minispark.executor.killGrace` is given up: its slot gets a fresh thread and it runs on unheard.

Only the loop touches the pool's state; a thread has its queues, and hands over by `call_soon_threadsafe`.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from queue import SimpleQueue
from typing import Final, TypeVarTuple

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.cooperative import CooperativeBracket, WatchingTaskRunner
from minispark.executor.grace import Grace
from minispark.executor.progress import counters_of
from minispark.executor.runners import RunnerEvents
from minispark.ids import BlockId, BroadcastId, TaskId
from minispark.messages import task as values
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, TaskDescription, TaskOutcome
from minispark.rdd.ports import MutableTaskMetrics
from minispark.rdd.runner_side import forget
from minispark.rpc.world import World

__all__ = ["ThreadPool"]

STARTED_AFTER_S: Final = 0.1  # a task that takes longer is reported as running

Ts = TypeVarTuple("Ts")
Answer = RunnerReply | AnswerFailed

log = logging.getLogger(__name__)


class ThreadRunner:
    """One thread: `main` runs in it, everything else on the loop.

    Attributes:
        task_id: the attempt it was given; None while it waits.
        started: reports the attempt as running, if it takes long.
        grace: gives the attempt up, after it was killed.
    """

    def __init__(self, pool: "ThreadPool", slot: int) -> None:
        self.pool = pool
        self.slot = slot
        self.location = pool.location
        self.conf = pool.conf
        self.user_code = CooperativeBracket()
        self.tasks: SimpleQueue[TaskDescription | None] = SimpleQueue()
        self.answers: SimpleQueue[tuple[int, Answer | None]] = SimpleQueue()
        self.metrics = MutableTaskMetrics()
        self.asks = 0
        self.task_id: TaskId | None = None
        self.started: asyncio.TimerHandle | None = None
        self.grace: asyncio.TimerHandle | None = None

    @cached_property
    def runner(self) -> WatchingTaskRunner:
        """What runs the attempts."""
        return WatchingTaskRunner(self, self.user_code)

    def main(self) -> None:
        """Run attempts until the pool says it is enough."""
        runner = self.runner
        while (task := self.tasks.get()) is not None:
            self.user_code.begin(task.task_id)
            outcome = runner.run(task)
            self.pool.hand_over(self.pool.task_ended, self, task.task_id, outcome)
            del task, outcome  # nothing is kept alive while the thread waits
        self.pool.hand_over(self.pool.thread_ended, self)

    def new_metrics(self) -> MutableTaskMetrics:
        """Return the metrics of the attempt that begins."""
        self.metrics = MutableTaskMetrics()
        return self.metrics

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask the executor and wait; runs in the thread. See `task_runner.RunnerServices`."""
        self.asks += 1
        self.pool.hand_over(self.pool.asked, self, self.asks, request)
        while True:
            ask_id, answer = self.answers.get()
            self.user_code.raise_if_killed()
            if ask_id == self.asks and answer is not None:
                break
        if isinstance(answer, AnswerFailed):
            raise MiniSparkError(answer.error)
        return answer

    def kill(self, task_id: TaskId, reason: str) -> None:
        """Set the flag, and wake the attempt if it waits for an answer."""
        self.user_code.kill(task_id, reason)
        self.answers.put((0, None))

    def cancel_timers(self) -> None:
        """Let nothing more happen by itself."""
        for timer in (self.started, self.grace):
            if timer is not None:
                timer.cancel()
        self.started = self.grace = None


class ThreadPool:
    """A RunnerPool of threads.

    Args:
        slots: how many attempts run at once.
        conf: the application's settings.
        location: where the executor's blocks are.
        world: starts threads; timers.
    """

    def __init__(self, slots: int, conf: SparkConf, location: BlockManagerId, world: World) -> None:
        self.conf = conf
        self.location = location
        self.world = world
        self.runners = [ThreadRunner(self, slot) for slot in range(slots)]
        self.alive: set[ThreadRunner] = set()
        self.all_ended = asyncio.Event()

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        return len(self.runners)

    def launch(self) -> None:
        """Do nothing: no other process has to start."""

    async def start(self, events: RunnerEvents) -> None:
        """Start the threads and say that they are ready."""
        self.events = events
        self.loop = asyncio.get_running_loop()
        for runner in self.runners:
            self.start_thread(runner)
            self.loop.call_soon(events.runner_ready, runner.slot)
        await self.world.sleep(0)

    def start_thread(self, runner: ThreadRunner) -> None:
        """Start a runner's thread."""
        self.alive.add(runner)
        self.world.start_thread(runner.main, name=f"minispark-runner-{runner.slot}")

    def hand_over(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Have something run on the loop, from a thread; if the loop is gone, nobody is there to care."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *args)

    def run(self, slot: int, task: TaskDescription) -> None:
        """Give an attempt to a waiting thread."""
        runner = self.runners[slot]
        assert runner.task_id is None, f"slot {slot} is busy"
        runner.task_id = task.task_id
        runner.started = self.world.call_later(STARTED_AFTER_S, self.events.task_started, slot, task.task_id)
        runner.tasks.put(task)

    def task_ended(self, runner: ThreadRunner, task_id: TaskId, outcome: TaskOutcome) -> None:
        """Report an attempt's end, unless it was given up."""
        if self.runners[runner.slot] is not runner:
            return
        runner.cancel_timers()
        runner.task_id = None
        self.events.task_finished(runner.slot, task_id, outcome)

    def asked(self, runner: ThreadRunner, ask_id: int, request: RunnerRequest) -> None:
        """Bring a question to the executor, unless the attempt was given up."""
        if self.runners[runner.slot] is runner and runner.task_id is not None:
            self.events.runner_asked(runner.slot, runner.task_id, ask_id, request)

    def kill(self, slot: int, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """Ask an attempt to end; with `interrupt` it is given up if it has not after the grace period."""
        runner = self.runners[slot]
        if runner.task_id != task_id:
            return
        runner.kill(task_id, reason)
        grace = Grace.of(self.conf)
        if interrupt and grace.ends and runner.grace is None:
            runner.grace = self.world.call_later(grace.seconds, self.give_up, runner, task_id, reason)

    def give_up(self, runner: ThreadRunner, task_id: TaskId, reason: str) -> None:
        """Put a fresh thread in the place of one that does not end its attempt."""
        log.warning("task %d does not stop; its thread is given up and runs on", task_id)
        runner.cancel_timers()
        runner.tasks.put(None)
        fresh = self.runners[runner.slot] = ThreadRunner(self, runner.slot)
        self.start_thread(fresh)
        self.events.task_finished(runner.slot, task_id, values.TaskKilled(reason))

    def answer(self, slot: int, ask_id: int, answer: Answer) -> None:
        """Answer a question; one that nobody waits for any more is dropped by the thread."""
        self.runners[slot].answers.put((ask_id, answer))

    def forget_broadcasts(self, broadcast_ids: tuple[BroadcastId, ...]) -> None:
        """Let go of values: the runners are in this very process."""
        forget(broadcast_ids)

    def drop_blocks(self, slot: int, block_ids: tuple[BlockId, ...]) -> None:
        """Let go of objects; see `RunnerPool`."""
        self.runners[slot].runner.drop_blocks(block_ids)

    def counters(self, slot: int) -> dict[str, int] | None:
        """Return how far the slot's attempt is; see `RunnerPool`."""
        runner = self.runners[slot]
        return None if runner.task_id is None else counters_of(runner.metrics)

    def thread_ended(self, runner: ThreadRunner) -> None:
        """Note that a thread is gone."""
        self.alive.discard(runner)
        if not self.alive:
            self.all_ended.set()

    def kill_all(self) -> None:
        """Tell all threads to end after what they run; a thread cannot be ended from outside."""
        for runner in self.runners:
            if runner.task_id is not None:
                runner.user_code.kill(runner.task_id, "the event loop has ended")
            runner.tasks.put(None)

    def private_bytes(self, slot: int) -> int | None:
        """Return None: threads are no processes."""

    def discard_runner(self, slot: int, task_id: TaskId | None) -> None:
        """Do nothing: see `RunnerPool`."""

    async def stop(self, deadline_s: float) -> None:
        """Ask all attempts to end and wait for the threads, until the deadline."""
        for runner in self.runners:
            runner.cancel_timers()
            if runner.task_id is not None:
                runner.kill(runner.task_id, "the executor was stopped")
            runner.tasks.put(None)
        timer = self.world.call_later(deadline_s, self.all_ended.set)
        if self.alive:
            await self.all_ended.wait()
        timer.cancel()
        stuck = sum(runner.task_id is not None for runner in self.alive)  # idle threads end by themselves
        if stuck:
            log.warning("%d tasks do not stop; their threads run on", stuck)
