"""TaskContextImpl: what a running attempt knows and may do; made by `task_runner`, one per attempt.

User code gets it as an argument or from `minispark.current_task_context()`. It lives in the runner, beside the user's
code, and talks to the driver only through the runner's `ask`. Source: Spark's TaskContextImpl.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from minispark.errors import CommitDenied, FetchFailedError, TaskKilled, TaskListenerError
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.messages.task import TaskDescription
from minispark.rdd.ports import BlockAccess, MutableTaskMetrics, ShuffleAccess, TaskContext

__all__ = ["KillState", "TaskContextImpl"]

CompletionListener: TypeAlias = Callable[[TaskContext], object]
FailureListener: TypeAlias = Callable[[TaskContext, BaseException], object]


class KillState(Protocol):
    """Whether an attempt was asked to stop."""

    @property
    def killed(self) -> bool:
        """Whether it was."""

    @property
    def reason(self) -> str:
        """Why; empty if it was not."""


class TaskContextImpl:
    """The context of one attempt.

    Args:
        task: what the attempt was launched with.
        metrics: counted up while it runs.
        kill: tells whether and why the attempt was asked to stop.
        open_shuffle: makes the attempt's view of the shuffle at its first use.
        ask: asks the executor and waits; None: there is nobody to ask, nor any other attempt.

    Attributes:
        fetch_failure: a map output that could not be read, whatever user code made of the exception.
        blocks: the persisted partitions that the runner can get at; None: nothing is kept.
        commit_denied: whether another attempt puts the output in place.
    """

    __slots__ = (
        "ask",
        "blocks",
        "commit_denied",
        "completion_listeners",
        "error",
        "failure_listeners",
        "fetch_failure",
        "finished",
        "invoking",
        "kill",
        "lock",
        "metrics",
        "open_shuffle",
        "opened_shuffle",
        "task",
    )

    def __init__(
        self,
        task: TaskDescription,
        metrics: MutableTaskMetrics,
        kill: KillState,
        open_shuffle: "Callable[[TaskContextImpl], ShuffleAccess]",
        ask: Callable[[RunnerRequest], RunnerReply] | None = None,
    ) -> None:
        self.task = task
        self.metrics = metrics
        self.kill = kill
        self.open_shuffle = open_shuffle
        self.ask = ask
        self.opened_shuffle: ShuffleAccess | None = None
        self.blocks: BlockAccess | None = None
        self.fetch_failure: FetchFailedError | None = None
        self.commit_denied = False
        self.completion_listeners: list[CompletionListener] = []
        self.failure_listeners: list[FailureListener] = []
        self.finished = False
        self.error: BaseException | None = None
        self.invoking = False
        self.lock = threading.Lock()

    @property
    def stage_id(self) -> int:
        """The stage this task belongs to."""
        return self.task.stage_id

    @property
    def stage_attempt_number(self) -> int:
        """How many times the stage was attempted before."""
        return self.task.stage_attempt

    @property
    def partition_id(self) -> int:
        """The partition this task computes."""
        return self.task.partition

    @property
    def attempt_number(self) -> int:
        """How many times this task was attempted before."""
        return self.task.attempt_number

    @property
    def task_attempt_id(self) -> int:
        """The attempt's id, unique in the application."""
        return self.task.task_id

    @property
    def cpus(self) -> int:
        """How many cores the task may use."""
        return self.task.cpus

    def get_local_property(self, key: str) -> str | None:
        """Return a property of the job (group, description, pool, …)."""
        return self.task.properties.get(key)

    def is_interrupted(self) -> bool:
        """Tell whether the attempt was asked to stop."""
        return self.kill.killed

    def kill_task_if_interrupted(self) -> None:
        """Raise TaskKilled if the attempt was asked to stop: for user code that looks from time to time."""
        if self.kill.killed:
            raise TaskKilled(self.kill.reason)

    def is_completed(self) -> bool:
        """Tell whether the attempt has ended."""
        return self.finished

    def is_failed(self) -> bool:
        """Tell whether the attempt has failed."""
        return self.error is not None

    @property
    def shuffle(self) -> ShuffleAccess:
        """The shuffle, as this attempt sees it."""
        if self.opened_shuffle is None:
            self.opened_shuffle = self.open_shuffle(self)
        return self.opened_shuffle

    def fetch_failed(self, error: FetchFailedError) -> None:
        """Note that a map output could not be read: it is what the attempt reports, even if user code hides it."""
        if self.fetch_failure is None:
            self.fetch_failure = error

    def request_commit(self) -> None:
        """Ask to put this attempt's output in place: for code that writes where other attempts may write too.

        Of all attempts of a task, in all attempts of its stage, one gets the permission, and another only if that
        one has failed.

        Raises:
            CommitDenied: another attempt has it; this one ends as killed, and is not counted as failed.
        """
        if self.ask is None:
            return
        task = self.task
        reply = self.ask(
            AskPermissionToCommit(task.stage_id, task.stage_attempt, task.partition, task.attempt_number)
        )
        assert isinstance(reply, PermissionToCommit)
        if not reply.granted:
            self.commit_denied = True
            raise CommitDenied(f"{task.name} may not commit partition {task.partition}: another attempt does")

    def add_task_completion_listener(self, listener: CompletionListener) -> None:
        """Have a function run at the end, whatever it is; last registered first. Runs now if the task has ended.

        Raises:
            TaskListenerError: it ran now, and failed.
        """
        self.completion_listeners.append(listener)
        if self.finished:
            self.invoke_listeners()

    def add_task_failure_listener(self, listener: FailureListener) -> None:
        """Have a function run if the attempt fails, before the completion listeners. Runs now if it has failed.

        Raises:
            TaskListenerError: it ran now, and failed.
        """
        self.failure_listeners.append(listener)
        if self.error is not None:
            self.invoke_listeners()

    def mark_failed(self, error: BaseException) -> None:
        """Note that the attempt failed, and run the failure listeners; only the first failure counts.

        Raises:
            TaskListenerError: after all have run, if some failed.
        """
        if self.error is None:
            self.error = error
        if self.failure_listeners:
            self.invoke_listeners()

    def mark_completed(self) -> None:
        """Note that the attempt ended, and run the completion listeners.

        If one fails, so has the attempt, and the failure listeners run if they have not.

        Raises:
            TaskListenerError: after all have run, if some failed.
        """
        self.finished = True
        if self.completion_listeners:
            self.invoke_listeners()

    def end_with(self, error: BaseException) -> None:
        """Fail and complete; listeners that fail leave a note on the error. Safe to repeat: nothing runs twice."""
        self.invoking = False  # a kill may have torn an earlier call
        ends: tuple[Callable[[], None], ...] = (partial(self.mark_failed, error), self.mark_completed)
        for end in ends:
            try:
                end()
            except (TaskListenerError, TaskKilled) as failure:
                error.add_note(f"While it ended, {failure}")

    def invoke_listeners(self) -> None:
        """Run the listeners whose time has come, one at a time, whichever thread registered them.

        Raises:
            TaskListenerError: some failed; all have run.
            TaskKilled: the attempt was killed meanwhile; all have run.
        """
        with self.lock:
            if self.invoking:
                return  # whoever invokes them takes the new one too
            self.invoking = True
        before = self.error
        errors = self.drain()
        if not errors:
            return
        failure = next((error for error in errors if isinstance(error, TaskKilled)), None) or combined(errors, before)
        self.mark_failed(failure)  # a failed listener fails the attempt
        raise failure

    def drain(self) -> list[BaseException]:
        """Run listeners until none is left and return what they raised."""
        errors: list[BaseException] = []
        while True:
            with self.lock:
                call = self.next_listener()
                if call is None:
                    self.invoking = False
                    return errors
            try:
                call()
            except BaseException as error:  # noqa: BLE001 — user code; a listener must not keep the others from running
                errors.append(error)

    def next_listener(self) -> Callable[[], object] | None:
        """Take the next listener to run: failure listeners first, last registered first."""
        if self.error is not None and self.failure_listeners:
            return partial(self.failure_listeners.pop(), self, self.error)
        if self.finished and self.completion_listeners:
            return partial(self.completion_listeners.pop(), self)
        return None


def combined(errors: list[BaseException], previous: BaseException | None) -> TaskListenerError:
    """Make one exception of those that listeners raised, and of what the task had failed with before."""
    texts = [f"{type(error).__name__}: {error}" for error in errors]
    text = f"{len(errors)} listener(s) of the task failed: {'; '.join(texts)}"
    if previous is not None:
        text += f"; before that the task failed with {type(previous).__name__}: {previous}"
    failure = TaskListenerError(text)
    failure.__cause__ = errors[0]
    return failure
