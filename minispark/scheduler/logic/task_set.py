"""One attempt of a stage: which of its tasks are pending, running, done, and what their failures mean.

A hot machine: methods that return values. A pending task is a number in an array; nothing here costs more than the
task at hand. Delay scheduling, speculation and exclusion have their places in `next_index` and `failed`.
Source: Spark's TaskSetManager.
"""

from array import array
from dataclasses import dataclass
from typing import Literal

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import SubmitTaskSet, unpack_integers
from minispark.messages.task import (
    ExceptionFailure,
    ExecutorLostFailure,
    FetchFailed,
    RunnerLost,
    TaskCommitDenied,
    TaskFailure,
    TaskKilled,
    TaskResultLost,
    UnknownReason,
)

__all__ = ["Abort", "RunningTask", "TaskSet"]


@dataclass(slots=True, eq=False)
class RunningTask:
    """One attempt of one task that has not ended."""

    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str
    launched_s: float


@dataclass(frozen=True, slots=True)
class Abort:
    """The task set is given up."""

    kind: Literal["task failures", "result too large", "executor lost", "aborted"]
    message: str
    failure: TaskFailure | None = None
    task: RunningTask | None = None


class TaskSet:
    """The tasks of one stage attempt.

    Args:
        submitted: the first chunk; more come with `add`.
        max_failures: failures of one task that give the set up.
        max_result_bytes: bytes of all results together, 0 for no bound; map outputs are no results.
    """

    __slots__ = (
        "attempts", "binary_id", "complete", "epoch", "failures", "is_map_stage", "is_zombie", "job_id",
        "max_failures", "max_result_bytes", "num_successful", "num_tasks", "partitions", "pending", "properties",
        "result_bytes", "running", "shuffle_ids", "stage_attempt", "stage_id", "successful", "task_cpus",
    )  # fmt: skip

    def __init__(
        self, submitted: SubmitTaskSet, *, max_failures: int, max_result_bytes: int, task_cpus: int = 1
    ) -> None:
        self.stage_id = submitted.stage_id
        self.stage_attempt = submitted.stage_attempt
        self.job_id = submitted.job_id
        self.is_map_stage = submitted.is_map_stage
        self.binary_id = submitted.binary_id
        self.epoch = submitted.epoch
        self.shuffle_ids = submitted.shuffle_ids
        self.properties = submitted.properties
        self.num_tasks = submitted.num_tasks
        self.max_failures = max_failures
        self.max_result_bytes = 0 if submitted.is_map_stage else max_result_bytes
        self.task_cpus = task_cpus
        self.partitions = array("i")
        self.pending = array("i")  # a stack; pushed in reverse, so that low indices run first
        self.attempts = array("i")  # attempts launched so far, per task
        self.failures = array("i")  # counted failures since the last success, per task
        self.successful = bytearray()
        self.num_successful = 0
        self.running: dict[TaskId, RunningTask] = {}
        self.result_bytes = 0
        self.is_zombie = False
        self.complete = False
        self.add(submitted)

    @property
    def name(self) -> str:
        """The set's name; attempts of a stage have different ones."""
        return f"task set {self.stage_id}.{self.stage_attempt}"

    def add(self, submitted: SubmitTaskSet) -> None:
        """Take a chunk of tasks."""
        first = len(self.partitions)
        self.partitions.extend(unpack_integers(submitted.partitions))
        count = len(self.partitions) - first
        zeros = bytes(4 * count)
        self.attempts.frombytes(zeros)
        self.failures.frombytes(zeros)
        self.successful.extend(bytes(count))
        # Below what is pending already: earlier chunks run first.
        self.pending[:0] = array("i", range(first + count - 1, first - 1, -1))
        self.complete = submitted.is_last

    def has_pending(self) -> bool:
        """Tell whether a task may wait for a slot."""
        return bool(self.pending) and not self.is_zombie

    def next_index(self, executor_id: ExecutorId, host: str, now: float) -> int | None:
        """Take the task that suits this executor best off the pending ones.

        Entries whose task ended meanwhile are dropped when they are met.
        """
        if self.is_zombie:
            return None
        pending = self.pending
        while pending:
            index = pending.pop()
            if not self.successful[index]:
                return index
        return None

    def launched(self, index: int, task_id: TaskId, executor_id: ExecutorId, host: str, now: float) -> RunningTask:
        """Note that an attempt of a task runs."""
        number = self.attempts[index]
        self.attempts[index] = number + 1
        task = RunningTask(task_id, index, number, self.partitions[index], executor_id, host, now)
        self.running[task_id] = task
        return task

    def can_fetch(self, size_bytes: int) -> Abort | None:
        """Count a result's size in; give the set up if all results together become too large."""
        self.result_bytes += size_bytes
        if self.max_result_bytes and self.result_bytes > self.max_result_bytes:
            return Abort(
                "result too large",
                f"the results of {self.num_successful + 1} tasks take {self.result_bytes:,} bytes, and "
                f"minispark.driver.maxResultSize allows {self.max_result_bytes:,}: reduce or save them in the tasks, "
                "read them with to_local_iterator(), or raise the limit",
            )
        return None

    def succeeded(self, task_id: TaskId) -> tuple[RunningTask, bool]:
        """Note an attempt's success.

        Returns:
            The attempt, and whether it is its task's first success.
        """
        task = self.running.pop(task_id)
        index = task.index
        self.failures[index] = 0
        is_first = not self.successful[index]
        if is_first:
            self.mark_successful(index)
        return task, is_first

    def mark_successful(self, index: int) -> None:
        """Note that a task is done; the set runs nothing more when all are."""
        self.successful[index] = 1
        self.num_successful += 1
        if self.complete and self.num_successful == self.num_tasks:
            self.is_zombie = True

    def partition_completed(self, partition: int) -> None:
        """Note that another attempt of the stage delivered a partition."""
        if partition in self.partitions:
            index = self.partitions.index(partition)
            if not self.successful[index]:
                self.mark_successful(index)

    def siblings(self, task: RunningTask) -> list[RunningTask]:
        """Return the other running attempts of a task."""
        if self.attempts[task.index] == 1:
            return []
        return [other for other in self.running.values() if other.index == task.index]

    def failed(self, task_id: TaskId, reason: TaskFailure) -> tuple[RunningTask, Abort | None]:
        """Note an attempt's failure: its task becomes pending again, unless the set is given up."""
        task = self.running.pop(task_id)
        if isinstance(reason, FetchFailed):
            # The stage as a whole is tried again after its parent; this set has nothing more to start.
            if not self.successful[task.index]:
                self.mark_successful(task.index)
            self.is_zombie = True
            return task, None
        if self.is_zombie or self.successful[task.index]:
            return task, None
        if counts_as_failure(reason):
            self.failures[task.index] += 1
            if self.failures[task.index] >= self.max_failures:
                self.is_zombie = True
                return task, self.given_up(task, reason)
        self.pending.append(task.index)
        return task, None

    def given_up(self, task: RunningTask, reason: TaskFailure) -> Abort:
        """Say why a failure is the last one."""
        times = "once" if self.max_failures == 1 else f"{self.max_failures} times"
        text = (
            f"task {task.index} in stage {self.stage_id}.{self.stage_attempt} failed {times}, the last time "
            f"(attempt {task.attempt_number} on executor {task.executor_id}) with: {failure_text(reason)}"
        )
        kind: Literal["executor lost", "task failures"] = (
            "executor lost" if isinstance(reason, ExecutorLostFailure | RunnerLost) else "task failures"
        )
        return Abort(kind, text, reason, task)

    def executor_lost(
        self, executor_id: ExecutorId, reason: ExecutorLostFailure
    ) -> list[tuple[RunningTask, Abort | None]]:
        """Fail every attempt that ran there."""
        lost = [task.task_id for task in self.running.values() if task.executor_id == executor_id]
        return [self.failed(task_id, reason) for task_id in lost]

    @property
    def is_finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        return self.is_zombie and not self.running

    def check(self) -> None:
        """Assert what always holds."""
        assert self.num_successful == sum(self.successful), "successes are miscounted"
        assert len(self.partitions) == len(self.attempts) == len(self.failures) == len(self.successful)
        running = {task.index for task in self.running.values()}
        pending = set(self.pending)
        if not self.is_zombie:
            for index in range(len(self.partitions)):
                assert self.successful[index] or index in running or index in pending, f"task {index} is forgotten"
                assert index in pending or self.attempts[index] > 0 or self.successful[index]
        for task in self.running.values():
            assert task.attempt_number < self.attempts[task.index]


def counts_as_failure(reason: TaskFailure) -> bool:
    """Tell whether a failure is the task's own doing and counts towards giving up."""
    match reason:
        case FetchFailed() | TaskKilled() | TaskCommitDenied():
            return False
        case ExecutorLostFailure():
            return reason.exit_caused_by_app
        case _:
            return True


def failure_text(reason: TaskFailure) -> str:
    """Put a failure into a line."""
    match reason:
        case ExceptionFailure():
            return f"{reason.class_name}: {reason.description}"
        case ExecutorLostFailure():
            return f"executor {reason.executor_id} lost: {reason.reason}"
        case RunnerLost():
            how = f"signal {reason.signal}" if reason.signal else f"exit code {reason.exit_code}"
            return f"its runner process ended with {how}"
        case FetchFailed() | TaskResultLost() | UnknownReason():
            return reason.message or type(reason).__name__
        case TaskKilled():
            return f"killed: {reason.reason}"
        case TaskCommitDenied():
            return f"another attempt committed partition {reason.partition}"
