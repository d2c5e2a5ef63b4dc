"""One attempt of a stage: which of its tasks are pending, running, done, and what their failures mean.

A hot machine: methods that return values. A pending task is a number in arrays (`pending.Pending`); nothing here
costs more than the task at hand. Which task suits a place that is offered is in `waiting.WaitingTasks`.
Source: Spark's TaskSetManager.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Literal

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import SubmitTaskSet, unpack_integers
from minispark.messages.task import ExecutorLostFailure, FetchFailed, RunnerLost, TaskFailure
from minispark.scheduler.logic.attempts import Abort, FinishedTask, RunningTask
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.failures import counts_as_failure, failure_text, is_final
from minispark.scheduler.logic.locality import Locality, LocalityWaits
from minispark.scheduler.logic.pending import Pending
from minispark.scheduler.logic.speculation import TaskSetSpeculation
from minispark.scheduler.logic.waiting import Exclusion, Taken, WaitingTasks

__all__ = ["Abort", "Exclusion", "FinishedTask", "RunningTask", "Taken", "TaskSet"]


class TaskSet(WaitingTasks):
    """The tasks of one stage attempt.

    Args:
        submitted: the first chunk; more come with `add`.
        max_failures: failures of one task that give the set up.
        max_result_bytes: bytes of all results together, 0 for no bound; map outputs are no results.
        task_cpus: cores that a task takes.
        cluster: which executors are alive; only read.
        waits: how long it waits for places near its data.
        now: the time of a clock that never goes back, since when it waits.

    Attributes:
        speculation: how fast its tasks are; None costs nothing.
    """

    __slots__ = (
        "attempts", "binary_id", "complete", "copies", "entry", "epoch", "failures", "finished_on", "is_barrier",
        "is_map_stage", "job_id", "max_failures", "max_result_bytes", "num_successful", "num_tasks", "partitions",
        "properties", "result_bytes", "running", "shuffle_ids", "speculation", "stage_attempt", "stage_id",
        "successful", "task_cpus", "warned_of_size",
    )  # fmt: skip

    def __init__(
        self,
        submitted: SubmitTaskSet,
        *,
        max_failures: int,
        max_result_bytes: int,
        task_cpus: int = 1,
        cluster: Cluster | None = None,
        waits: LocalityWaits | None = None,
        now: float = 0.0,
    ) -> None:
        super().__init__(Cluster() if cluster is None else cluster, LocalityWaits() if waits is None else waits, now)
        self.stage_id = submitted.stage_id
        self.stage_attempt = submitted.stage_attempt
        self.job_id = submitted.job_id
        self.is_map_stage = submitted.is_map_stage
        self.is_barrier = submitted.is_barrier
        self.binary_id = submitted.binary_id
        self.epoch = submitted.epoch
        self.shuffle_ids = submitted.shuffle_ids
        self.properties = submitted.properties
        self.num_tasks = submitted.num_tasks
        self.max_failures = max_failures
        self.max_result_bytes = 0 if submitted.is_map_stage else max_result_bytes
        self.task_cpus = task_cpus
        self.partitions = array("i")
        self.attempts = array("i")  # attempts launched so far, per task
        self.failures = array("i")  # counted failures since the last success, per task
        self.copies = bytearray()  # attempts that run, per task
        self.successful = bytearray()
        self.num_successful = 0
        self.running: dict[TaskId, RunningTask] = {}
        # Executor → pairs of task id and index of the map outputs it wrote; None: there are none.
        self.finished_on: dict[ExecutorId, array[int]] | None = {} if submitted.is_map_stage else None
        self.result_bytes = 0
        self.speculation: TaskSetSpeculation | None = None
        self.complete = False
        self.warned_of_size = False
        self.entry: Any = None  # where its pool has it in the fair order
        self.add(submitted)

    @property
    def name(self) -> str:
        """The set's name; attempts of a stage have different ones."""
        return f"task set {self.stage_id}.{self.stage_attempt}"

    # -- pending tasks -----------------------------------------------------------------------------------------------

    def add(self, submitted: SubmitTaskSet) -> None:
        """Take a chunk of tasks; earlier chunks run first."""
        first = len(self.partitions)
        self.partitions.extend(unpack_integers(submitted.partitions))
        count = len(self.partitions) - first
        zeros = bytes(4 * count)
        self.attempts.frombytes(zeros)
        self.failures.frombytes(zeros)
        self.successful.extend(bytes(count))
        self.copies.extend(bytes(count))
        self.pending.extend(count, self.places.add(count, submitted.preferences))
        if self.second is not None:
            self.second.wanted.extend(bytes(count))
        self.complete = submitted.is_last
        self.seen_version = -1
        self.changed()

    def push(self, index: int) -> None:
        """Have a task run again, unless it is done or an attempt still runs."""
        if not self.is_zombie and not self.successful[index] and not self.copies[index]:
            self.pending.push(index)
            self.changed()

    def add_speculatable(self, task: RunningTask) -> bool:
        """Have a task tried a second time, on another host; tell whether it is not wanted twice already."""
        if self.second is None:
            self.second = Pending(self.places)
            self.second.wanted.extend(bytes(len(self.partitions)))
        if self.is_zombie or self.second.wanted[task.index] or self.copies[task.index] != 1:
            return False
        self.attempts_of.setdefault(task.index, [task])
        self.second.push(task.index)
        self.changed()
        return True

    def launched(
        self,
        index: int,
        task_id: TaskId,
        executor_id: ExecutorId,
        host: str,
        launched_s: float,
        locality: Locality = Locality.ANY,
        is_speculative: bool = False,
    ) -> RunningTask:
        """Note that an attempt of a task runs."""
        number = self.attempts[index]
        self.attempts[index] = number + 1
        self.copies[index] += 1
        self.pending.strike(index)
        task = RunningTask(
            task_id, index, number, self.partitions[index], executor_id, host, launched_s, locality, is_speculative
        )
        self.running[task_id] = task
        if self.second is not None:
            if is_speculative:
                self.second.strike(index)
            if index in self.attempts_of:
                self.attempts_of[index].append(task)
        return task

    # -- ends of attempts --------------------------------------------------------------------------------------------

    def can_fetch(self, size_bytes: int) -> Abort | None:
        """Count a result's size in; give the set up if all results together become too large."""
        self.result_bytes += size_bytes
        if self.max_result_bytes and self.result_bytes > self.max_result_bytes:
            return Abort(
                "result too large",
                f"the results that arrived so far take {self.result_bytes:,} bytes, and "
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
        self.copies[index] -= 1
        self.failures[index] = 0
        is_first = not self.successful[index]
        if self.finished_on is not None and (is_first or not task.is_superseded):
            self.finished_on.setdefault(task.executor_id, array("q")).extend((task_id, index))
        if is_first:
            self.mark_successful(index)
        return task, is_first

    def ended(self, task_id: TaskId) -> RunningTask:
        """Note that an attempt runs no more."""
        task = self.running.pop(task_id)
        self.copies[task.index] -= 1
        return task

    def mark_successful(self, index: int) -> None:
        """Note that a task is done; the set runs nothing more when all are."""
        self.successful[index] = 1
        self.num_successful += 1
        if self.pending.wanted[index]:
            self.pending.strike(index)
        if self.second is not None:
            self.second.strike(index)
        if self.complete and self.num_successful == self.num_tasks:
            self.is_zombie = True

    def partition_completed(self, partition: int) -> None:
        """Note that another attempt of the stage delivered a partition; barrier tasks need all their fellows."""
        if self.is_barrier:
            return
        # Partitions ascend but for jobs that name theirs in another order.
        index = bisect_left(self.partitions, partition)
        if self.partitions[index : index + 1] != array("i", (partition,)):
            if partition not in self.partitions:
                return
            index = self.partitions.index(partition)
        if not self.successful[index]:
            self.mark_successful(index)

    def siblings(self, task: RunningTask) -> list[RunningTask]:
        """Return the other running attempts of a task."""
        if not self.copies[task.index]:
            return []
        return [other for other in self.attempts_of.get(task.index, ()) if other.task_id in self.running]

    def failed(self, task_id: TaskId, reason: TaskFailure) -> tuple[RunningTask, Abort | None]:
        """Note an attempt's failure: its task becomes pending again, unless the set is given up."""
        task = self.ended(task_id)
        if isinstance(reason, FetchFailed):
            # The stage as a whole is tried again after its parent; this set has nothing more to start.
            if not self.successful[task.index]:
                self.mark_successful(task.index)
            self.is_zombie = True
            return task, None
        if self.is_zombie or self.successful[task.index]:
            return task, None
        if is_final(reason):
            self.is_zombie = True
            return task, Abort("task failures", self.final_text(task, reason), reason, task)
        if counts_as_failure(reason):
            self.failures[task.index] += 1
            if self.failures[task.index] >= self.max_failures:
                self.is_zombie = True
                return task, self.given_up(task, reason)
        if self.is_barrier:
            self.is_zombie = True  # the stage as a whole is tried again: the others wait for this task
        self.push(task.index)
        return task, None

    def final_text(self, task: RunningTask, reason: TaskFailure) -> str:
        """Say why there is no use in another attempt."""
        return (
            f"task {task.index} in stage {self.stage_id}.{self.stage_attempt} failed in a way that another attempt "
            f"cannot mend (attempt {task.attempt_number} on executor {task.executor_id}): {failure_text(reason)}"
        )

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

    def outputs_lost(
        self, executor_id: ExecutorId, has_moved: Callable[[TaskId], bool] = lambda task_id: False
    ) -> list[FinishedTask]:
        """Have the tasks run again whose map outputs went with an executor; returns their successes that are void.

        Args:
            executor_id: the executor.
            has_moved: whether it had handed an attempt's output over before.
        """
        if self.finished_on is None:
            return []
        lost = self.finished_on.pop(executor_id, None)
        if lost is None or self.is_zombie:
            return []
        void = []
        for task_id, index in zip(lost[::2], lost[1::2], strict=True):
            if self.successful[index] and not has_moved(TaskId(task_id)):
                self.successful[index] = 0
                self.num_successful -= 1
                self.push(index)
                void.append(FinishedTask(TaskId(task_id), index))
        return void

    @property
    def is_finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        return self.is_zombie and not self.running

    def check(self) -> None:
        """Assert what always holds."""
        assert self.num_successful == sum(self.successful), "successes are miscounted"
        assert len(self.partitions) == len(self.attempts) == len(self.failures) == len(self.successful)
        running = [0] * len(self.partitions)
        for task in self.running.values():
            assert task.attempt_number < self.attempts[task.index]
            assert task in self.attempts_of.get(task.index, (task,)), f"an attempt of task {task.index} is forgotten"
            running[task.index] += 1
        assert running == list(self.copies), "running attempts are miscounted"
        if self.is_zombie:
            return
        self.pending.check()
        for index in range(len(self.partitions)):
            states = bool(self.successful[index]) + bool(self.pending.wanted[index])
            assert states <= 1, f"task {index} is done and pending"
            assert states or running[index], f"task {index} is forgotten"
            assert not (self.pending.wanted[index] and running[index]), f"task {index} is pending and runs"
