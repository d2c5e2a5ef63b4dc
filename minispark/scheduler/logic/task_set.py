"""One attempt of a stage: which of its tasks are pending, running, done, and what their failures mean.

A hot machine: methods that return values. A pending task is a number in arrays (`pending.Pending`); nothing here
costs more than the task at hand. How long it waits for a place near its data is `locality.DelayTimer`'s.
Source: Spark's TaskSetManager.
"""

import math
from array import array
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from minispark.ids import ExecutorId, TaskId
from minispark.messages.scheduler import SubmitTaskSet, unpack_integers
from minispark.messages.task import ExecutorLostFailure, FetchFailed, RunnerLost, TaskFailure
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.failures import counts_as_failure, failure_text, is_final
from minispark.scheduler.logic.locality import DelayTimer, Locality, LocalityWaits
from minispark.scheduler.logic.pending import Pending, Places, Refused
from minispark.scheduler.logic.speculation import TaskSetSpeculation

__all__ = ["Abort", "Exclusion", "FinishedTask", "RunningTask", "TaskSet"]

PROCESS, NODE, NO_PREF, RACK, ANY = Locality
Taken = tuple[int, Locality, bool]
"""A task that was taken off the pending ones: its index, how near it runs, whether it is a second attempt."""


@dataclass(slots=True, eq=False)
class RunningTask:
    """One attempt of one task that has not ended.

    Attributes:
        launched_s: seconds since the epoch.
        locality: how near its data it runs.
        is_speculative: another attempt of the task runs already.
        has_started: the executor has said that it runs.
        is_superseded: it is being killed because another attempt succeeded.
    """

    task_id: TaskId
    index: int
    attempt_number: int
    partition: int
    executor_id: ExecutorId
    host: str
    launched_s: float
    locality: Locality = ANY
    is_speculative: bool = False
    has_started: bool = False
    is_superseded: bool = False


@dataclass(frozen=True, slots=True)
class FinishedTask:
    """A task whose success is void, because its output went away with its executor."""

    task_id: TaskId
    index: int


@dataclass(frozen=True, slots=True)
class Abort:
    """The task set is given up."""

    kind: Literal["task failures", "result too large", "executor lost", "aborted"]
    message: str
    failure: TaskFailure | None = None
    task: RunningTask | None = None


class Exclusion(Protocol):
    """Which executors and hosts a set, or one of its tasks, has left; see `exclusion.TaskSetExclusion`."""

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether the whole set has left an executor or its host."""

    def refuses_task(self, index: int, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether a task has left an executor or its host."""

    def has_failures(self) -> bool:
        """Whether anything may be refused."""


class TaskSet:
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
        exclusion: where the set's tasks have failed too often; None costs nothing.
        speculation: how fast its tasks are; None costs nothing.
        near_until: until then, only hosts in `pending.hosts` can be given a task; 0 if that is not known.
        no_rejects: no offer was turned down, for the sake of locality, since the wait was last started anew.
    """

    __slots__ = (
        "__weakref__",
        "attempts",
        "attempts_of",
        "binary_id",
        "cluster",
        "complete",
        "copies",
        "entry",
        "epoch",
        "exclusion",
        "failures",
        "finished_on",
        "is_barrier",
        "is_map_stage",
        "is_zombie",
        "job_id",
        "max_failures",
        "max_result_bytes",
        "near_until",
        "no_rejects",
        "num_successful",
        "num_tasks",
        "partitions",
        "pending",
        "places",
        "properties",
        "racks",
        "result_bytes",
        "running",
        "second",
        "seen_version",
        "shuffle_ids", "speculation",
        "stage_attempt",
        "stage_id",
        "successful",
        "task_cpus",
        "timer",
        "warned_of_size",
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
        self.cluster = Cluster() if cluster is None else cluster
        self.seen_version = -1
        self.timer = DelayTimer(LocalityWaits() if waits is None else waits, now)
        self.partitions = array("i")
        self.places = Places()
        self.pending = Pending(self.places)
        self.second: Pending | None = None  # tasks that get a second attempt, once there are any
        self.racks: dict[str, list[str]] | None = None  # rack → hosts that tasks prefer; None: to be made
        self.attempts = array("i")  # attempts launched so far, per task
        self.failures = array("i")  # counted failures since the last success, per task
        self.copies = bytearray()  # attempts that run, per task
        self.successful = bytearray()
        self.num_successful = 0
        self.running: dict[TaskId, RunningTask] = {}
        self.attempts_of: dict[int, list[RunningTask]] = {}  # of tasks that got a second attempt; ended ones too
        # Executor → pairs of task id and index of the map outputs it wrote; None: there are none.
        self.finished_on: dict[ExecutorId, array[int]] | None = {} if submitted.is_map_stage else None
        self.result_bytes = 0
        self.exclusion: Exclusion | None = None
        self.speculation: TaskSetSpeculation | None = None
        self.near_until = 0.0
        self.no_rejects = True
        self.is_zombie = False
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
        self.near_until = 0.0
        self.racks = None

    def has_pending(self) -> bool:
        """Tell whether a task waits for a slot."""
        return not self.is_zombie and (
            self.pending.waiting[ANY] > 0 or (self.second is not None and self.second.waiting[ANY] > 0)
        )

    def push(self, index: int) -> None:
        """Have a task run again, unless it is done or an attempt still runs."""
        if not self.is_zombie and not self.successful[index] and not self.copies[index]:
            self.pending.push(index)
            self.near_until = 0.0
            self.racks = None

    def add_speculatable(self, task: RunningTask) -> bool:
        """Have a task tried a second time, on another host; tell whether it is not wanted twice already."""
        if self.second is None:
            self.second = Pending(self.places)
            self.second.wanted.extend(bytes(len(self.partitions)))
        if self.is_zombie or self.second.wanted[task.index] or self.copies[task.index] != 1:
            return False
        self.attempts_of.setdefault(task.index, [task])
        self.second.push(task.index)
        self.near_until = 0.0
        return True

    def recompute_levels(self) -> None:
        """See which levels of locality tasks want and live executors can give."""
        cluster, pending = self.cluster, self.pending
        self.seen_version = cluster.version
        self.near_until = 0.0
        self.racks = None
        waiting = pending.waiting
        levels = []
        if waiting[PROCESS] and any(map(cluster.is_alive, pending.executors)):
            levels.append(PROCESS)
        if waiting[NODE] and not pending.hosts.keys().isdisjoint(cluster.hosts.keys()):
            levels.append(NODE)
        if waiting[NO_PREF]:
            levels.append(NO_PREF)
        if waiting[RACK] and cluster.racks and any(rack in cluster.racks for rack in self.wanted_racks()):
            levels.append(RACK)
        self.timer.change_levels((*levels, ANY))

    def wanted_racks(self) -> dict[str, list[str]]:
        """Return the racks that tasks prefer, with the hosts they prefer there."""
        if self.racks is None:
            self.racks = {}
            for host in self.pending.hosts:
                rack = self.cluster.rack_of.get(host)
                if rack is not None:
                    self.racks.setdefault(rack, []).append(host)
        return self.racks

    # -- offers ------------------------------------------------------------------------------------------------------

    def take(self, executor_id: ExecutorId, host: str, now: float) -> Taken | None:
        """Take the task that suits this executor best off the pending ones, as near as waiting has not made moot.

        What the levels up to ANY would give one after the other, in one go.
        """
        if self.is_zombie:
            return None
        if self.seen_version != self.cluster.version:
            self.recompute_levels()
        if self.second is not None and self.second.waiting[ANY]:
            for level in self.timer.levels:
                taken = self.take_at(level, executor_id, host, now)
                if taken is not None:
                    return taken
            return None
        refused = self.refusal(executor_id, host)
        if refused is refuse_all:
            return None
        timer, pending = self.timer, self.pending
        allowed = timer.allowed(now, pending.waiting)
        if allowed < NO_PREF and (NO_PREF in timer.levels or pending.waiting[NO_PREF]):
            allowed = NO_PREF  # who wants no place, and its set with it, does not wait for one
        found = self.find(pending, allowed, executor_id, host, refused)
        return None if found is None else (*found, False)

    def take_at(self, level: Locality, executor_id: ExecutorId, host: str, now: float) -> Taken | None:
        """Take a task no farther than a level; tasks that run for the first time before second attempts."""
        refused = self.refusal(executor_id, host)
        if refused is refuse_all or self.is_zombie:
            return None
        allowed = level if level == NO_PREF else min(level, self.timer.allowed(now, self.pending.waiting))
        if self.pending.waiting[ANY]:
            found = self.find(self.pending, allowed, executor_id, host, refused)
            if found is not None:
                return (*found, False)
        if self.second is None or not self.second.waiting[ANY]:
            return None

        def refused_second(index: int) -> bool:
            if refused is not None and refused(index):
                return True
            return any(attempt.host == host for attempt in self.attempts_of.get(index, ()))

        found = self.find(self.second, allowed, executor_id, host, refused_second)
        return None if found is None else (*found, True)

    def refusal(self, executor_id: ExecutorId, host: str) -> Refused | None:
        """Return what tells which tasks may not run there: nothing if all may, `refuse_all` if none may."""
        exclusion = self.exclusion
        if exclusion is None or not exclusion.has_failures():
            return None
        if exclusion.refuses(executor_id, host):
            return refuse_all
        return lambda index: exclusion.refuses_task(index, executor_id, host)

    def find(
        self, pending: Pending, allowed: Locality, executor_id: ExecutorId, host: str, refused: Refused | None
    ) -> tuple[int, Locality] | None:
        """Take the nearest task off some pending ones."""
        if pending.executors:
            index = pending.from_executor(executor_id, refused)
            if index >= 0:
                return index, PROCESS
        if allowed >= NODE and pending.hosts:
            index = pending.from_host(host, refused)
            if index >= 0:
                return index, NODE
        if allowed >= NO_PREF and pending.none:
            index = pending.top(pending.none, refused)
            if index >= 0:
                return index, PROCESS
        if allowed >= RACK and pending.placed:
            return self.find_far(pending, allowed, host, refused)
        return None

    def find_far(
        self, pending: Pending, allowed: Locality, host: str, refused: Refused | None
    ) -> tuple[int, Locality] | None:
        """Take a task that prefers another host off some pending ones."""
        rack = self.cluster.rack_of.get(host)
        hosts = self.wanted_racks().get(rack) if rack is not None else None
        if hosts:
            while hosts and hosts[-1] not in pending.hosts and hosts[-1] not in self.pending.hosts:
                hosts.pop()
            index = pending.from_hosts(reversed(hosts), refused)
            if index >= 0:
                return index, RACK
        if allowed == ANY:
            index = pending.top(pending.placed, refused)
            if index >= 0:
                return index, ANY
        return None

    def launched(
        self,
        index: int,
        task_id: TaskId,
        executor_id: ExecutorId,
        host: str,
        launched_s: float,
        locality: Locality = ANY,
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
        if is_speculative:
            if self.second is not None:
                self.second.strike(index)
            self.attempts_of[index].append(task)
        return task

    def turned_down(self, now: float) -> float:
        """Note that an offer was not used although tasks wait; returns when the set may take what is farther."""
        self.no_rejects = False
        timer, waiting = self.timer, self.pending.waiting
        level = timer.allowed(now, waiting)
        if level == ANY or not waiting[ANY]:
            return math.inf
        if level <= NODE and not waiting[NO_PREF] and (self.second is None or not self.second.waiting[ANY]):
            self.near_until = timer.expires_s
        return timer.expires_s

    def launched_all(self, now: float, nearest: Locality, is_all_free: bool) -> None:
        """Note that what was offered was used up, in which case the wait begins anew.

        Args:
            now: the time.
            nearest: the nearest level of these launches.
            is_all_free: everything that is free was offered. A part counts only while nothing was turned down since
                everything was used up, for else many small offers would keep a set from ever giving up a level.
        """
        if not self.timer.waits.legacy_reset and (is_all_free or self.no_rejects):
            self.timer.reset(now, nearest)
            self.no_rejects = True
            self.near_until = 0.0

    # -- ends of attempts --------------------------------------------------------------------------------------------

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
        task = self.ended(task_id)
        index = task.index
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
        self.pending.strike(index)
        if self.second is not None:
            self.second.strike(index)
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

    def outputs_lost(self, executor_id: ExecutorId) -> list[FinishedTask]:
        """Have the tasks run again whose map outputs went with an executor; returns their successes that are void."""
        if self.finished_on is None:
            return []
        lost = self.finished_on.pop(executor_id, None)
        if lost is None or self.is_zombie:
            return []
        void = []
        for task_id, index in zip(lost[::2], lost[1::2], strict=True):
            if self.successful[index]:
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


def refuse_all(index: int) -> bool:
    """Refuse every task: the set has left the executor."""
    return True
