"""The runners of a simulated executor: an InlinePool whose tasks may wait for answers while virtual time passes.

So they read map outputs from other hosts, ask for permission to commit and wait at barriers as in real runners.
Made by `sim_processes`. A task computes when it starts, and between its questions; its outcome is delivered after a
virtual duration.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import cast

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.inline_pool import STARTED_AFTER_S, Duration, InlinePool, Run
from minispark.ids import BroadcastId
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, RunnerLost, TaskDescription, TaskOutcome
from minispark.rpc.world import World
from minispark.testing.fibers import Abandoned, Fiber
from minispark.testing.sim_values import RunnerValues

__all__ = ["SimPool"]

WAITS = object()  # what a fiber says whose answer is not at hand


@dataclass(slots=True, eq=False)
class SimRun(Run):
    """An attempt with the fiber that computes it, and the number of the question that it waits for."""

    fiber: Fiber | None = None
    asked: int = 0


class SimPool(InlinePool):
    """A RunnerPool whose runners are fibers; see `InlinePool`.

    Args:
        disk: returns what is put around whatever a fiber does, because it may write.
    """

    def __init__(
        self,
        slots: int,
        conf: SparkConf,
        location: BlockManagerId,
        world: World,
        *,
        duration: Duration,
        disk: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        # No attempt has a process of its own, whose memory would be worth a look: this one is the whole cluster.
        super().__init__(
            slots, conf.copy().set("minispark.executor.pool", "inline"), location, world, duration=duration
        )
        self.sim_runs: dict[int, SimRun] = {}
        self.disk = disk
        self.values = [RunnerValues() for _ in range(slots)]

    def run(self, slot: int, task: TaskDescription) -> None:
        """Run an attempt in a callback of its own."""
        assert slot not in self.runs, f"slot {slot} is busy"
        run = self.runs[slot] = self.sim_runs[slot] = SimRun(task)
        run.timer = self.loop.call_soon(self.begin, slot, run)

    def begin(self, slot: int, run: SimRun) -> None:
        """Let a fiber compute until the first question."""
        self.services[slot].user_code.begin(run.task.task_id)
        run.fiber = Fiber.take()
        with self.disk(), self.values[slot].in_place():
            said = run.fiber.start(partial(self.runners[slot].run, run.task))
        self.advance(slot, run, said)

    def advance(self, slot: int, run: SimRun, said: object) -> None:
        """Wait for an answer, or deliver the outcome when its time has passed."""
        if said is WAITS or self.sim_runs.get(slot) is not run:
            return
        if isinstance(said, BaseException):
            raise said
        run.fiber, run.outcome = None, cast("TaskOutcome", said)
        duration = self.duration(run.task)
        if duration > STARTED_AFTER_S:
            run.started = self.world.call_later(STARTED_AFTER_S, self.events.task_started, slot, run.task.task_id)
        run.timer = self.world.call_later(duration, self.deliver, slot, run)

    def answer(self, slot: int, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        """Answer a question; a late answer finds nobody."""
        run = self.sim_runs.get(slot)
        if run is None or run.asked != ask_id or run.fiber is None:
            return
        if run.fiber.stands:
            self.loop.call_soon(self.answered, slot, run, ask_id, answer)
        else:
            self.answers[slot, ask_id] = answer

    def answered(self, slot: int, run: SimRun, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        """Let a fiber go on, if it still waits for this."""
        if run.asked == ask_id and run.fiber is not None and self.sim_runs.get(slot) is run:
            run.asked = 0
            with self.disk(), self.values[slot].in_place():
                said = run.fiber.resume(answer)
            self.advance(slot, run, said)

    def ask(self, slot: int, request: RunnerRequest) -> RunnerReply:
        """Bring a task's question to the executor and its answer back; in the fiber.

        Raises:
            MiniSparkError: the executor could not answer.
        """
        run = self.sim_runs.get(slot)
        fiber = None if run is None else run.fiber
        if run is None or fiber is None or not fiber.runs_here():
            raise Abandoned  # what unwinds asks nobody any more
        self.asks += 1
        run.asked = ask_id = self.asks
        fiber.call_outside(self.loop, partial(self.put, slot, run, ask_id, request))
        answer = self.answers.pop((slot, ask_id), None)
        if answer is None:
            answer = fiber.suspend(WAITS)
        run.asked = 0
        if isinstance(answer, AnswerFailed):
            raise MiniSparkError(answer.error)
        reply: RunnerReply = answer
        return reply

    def put(self, slot: int, run: SimRun, ask_id: int, request: RunnerRequest) -> None:
        """Put a question to the executor; what it raises is no error of the task."""
        try:
            self.events.runner_asked(slot, run.task.task_id, ask_id, request)
        except Exception as error:  # noqa: BLE001 — the loop's errors are looked at
            self.loop.call_exception_handler({"message": "the executor failed at a question", "exception": error})

    def deliver(self, slot: int, run: Run) -> None:
        """Report an attempt's end."""
        self.abandon(slot)
        super().deliver(slot, run)

    def abandon(self, slot: int) -> None:
        """Let what a slot's fiber computes unwind."""
        run = self.sim_runs.pop(slot, None)
        if run is not None and run.fiber is not None:
            run.fiber.abandon()
            run.fiber = None

    def crash(self, slot: int, loss: RunnerLost, restart_s: float = 0.0) -> None:
        """Let a runner die."""
        self.abandon(slot)
        self.values[slot] = RunnerValues()
        super().crash(slot, loss, restart_s)

    def forget_broadcasts(self, broadcast_ids: tuple[BroadcastId, ...]) -> None:
        """Let all runners let go of values."""
        for values in self.values:
            values.forget(broadcast_ids)

    def held_bytes(self) -> int:
        """Return 0: its tasks do not tell what they hold."""
        return 0

    def share_memory(self, share_bytes: int) -> None:
        """Take no note: nothing here is bound by it."""

    async def stop(self, deadline_s: float) -> None:
        """Discard what runs."""
        self.discard()
        await super().stop(deadline_s)

    def discard(self) -> None:
        """Let all fibers unwind, because the process has ended."""
        for slot in list(self.sim_runs):
            self.abandon(slot)
