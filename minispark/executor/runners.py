"""The seam between the Executor and what runs its tasks: processes, threads, or the loop itself.

A pool has `slots` places, one per core; each holds one runner at a time. A runner takes one task at a time. When a
runner dies, the pool says so and puts a fresh one, with a new incarnation number, in its place. The pool does the
fencing: what it reports is never about an attempt that is not the slot's current one, and each attempt that was
`run` gets exactly one `task_finished` or `runner_lost`.
"""

from collections.abc import Callable
from typing import Protocol

from minispark.ids import BlockId, BroadcastId, TaskId
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.task import RunnerLost, TaskDescription, TaskOutcome
from minispark.rpc.message import Message

__all__ = ["RunnerEvents", "RunnerHelper", "RunnerPool"]


class RunnerEvents(Protocol):
    """What a pool tells its executor; called on the executor's loop, never from inside a pool method."""

    def runner_ready(self, slot: int) -> None:
        """The slot's runner waits for a task (after start, and after a replacement)."""

    def task_started(self, slot: int, task_id: TaskId) -> None:
        """The attempt has run for more than a moment; short ones are only reported finished."""

    def task_finished(self, slot: int, task_id: TaskId, outcome: TaskOutcome) -> None:
        """The attempt ended and the slot's runner waits for the next task."""

    def runner_asked(self, slot: int, task_id: TaskId, ask_id: int, request: RunnerRequest) -> None:
        """The attempt waits for `pool.answer(slot, ask_id, …)`."""

    def runner_lost(self, slot: int, task_id: TaskId | None, loss: RunnerLost) -> None:
        """The slot's runner died, with the attempt it ran (None if it was idle); `runner_ready` follows."""


class RunnerHelper(Protocol):
    """Answers some of the runners' questions on this host, in place of the driver."""

    def answers_to(self) -> tuple[type[Message], ...]:
        """Return the classes of the requests it answers."""

    def asked(
        self, task_id: TaskId, request: RunnerRequest, answer: Callable[[RunnerReply | AnswerFailed], None]
    ) -> None:
        """Answer a request of an attempt, now or later; nobody waits for the answer once the attempt has ended."""

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Let go of what an attempt had that asked for something; called before the driver hears of its end."""


class RunnerPool(Protocol):
    """What an executor can do with its runners."""

    @property
    def slots(self) -> int:
        """How many tasks run at once."""

    def launch(self) -> None:
        """Begin to start the runners, if that takes other processes; `start` must follow before the loop runs on.

        Raises:
            MiniSparkError: they cannot be started; the text says why.
        """

    async def start(self, events: RunnerEvents) -> None:
        """Start all runners; returns when the first can take a task.

        Raises:
            MiniSparkError: they cannot be started; the text says why.
        """

    def run(self, slot: int, task: TaskDescription) -> None:
        """Run an attempt on an idle, ready slot."""

    def kill(self, slot: int, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """End an attempt: it is reported finished (TaskKilled, or what it had become), or its runner lost.

        With `interrupt`, an attempt that does not unwind within `minispark.executor.killGrace` loses its runner and
        is reported as finished with TaskKilled. Nothing happens if the slot runs another attempt, or none.
        """

    def answer(self, slot: int, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        """Answer a runner's question; dropped if the asker is gone."""

    def forget_broadcasts(self, broadcast_ids: tuple[BroadcastId, ...]) -> None:
        """Have all runners let go of broadcast values that their tasks have read."""

    def drop_blocks(self, slot: int, block_ids: tuple[BlockId, ...]) -> None:
        """Have a slot's runner let go of the objects of persisted partitions."""

    def counters(self, slot: int) -> dict[str, int] | None:
        """Return how far the slot's attempt is, by counter (`shared_page.COUNTERS`); None if none runs."""

    def private_bytes(self, slot: int) -> int | None:
        """Return how much memory a slot's runner holds for itself; None if it is no process, or not there yet."""

    def discard_runner(self, slot: int, task_id: TaskId | None) -> None:
        """End the slot's runner at once, with the attempt it runs (None: it is at rest), and replace it.

        Nothing happens if it does something else by now, or is no process. No further attempt is lost with it.
        """

    async def stop(self, deadline_s: float) -> None:
        """Kill what runs, end all runners, leave nothing behind; SIGKILL after the deadline."""

    def kill_all(self) -> None:
        """End all runners at once, without the loop, which has been closed; the pool cannot be used afterwards."""
