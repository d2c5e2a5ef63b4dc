"""Where the tasks of one task set failed, and where they are therefore not tried again.

A task set asks before it takes an offer, and reports each failure that counts. What is known here goes to the
application's HealthTracker only when the set has succeeded: user code that fails everywhere says nothing about
executors. Source: Spark's TaskSetExcludelist and ExecutorFailuresInTaskSet.
"""

from minispark.ids import ExecutorId, StageId
from minispark.messages.listener import Excluded
from minispark.record import Record, record

__all__ = ["ExclusionRules", "ExecutorFailures", "TaskSetExclusion"]


@record
class ExclusionRules(Record):
    """How many failures a task set forgives.

    Attributes:
        task_attempts_per_executor: failures of a task on an executor before it is not tried there again.
        task_attempts_per_node: failures of a task on all executors of a host together, likewise.
        stage_failed_tasks_per_executor: different tasks that failed on an executor before the set leaves it.
        stage_failed_executors_per_node: executors of a host that the set has left before it leaves the host.
    """

    task_attempts_per_executor: int = 1
    task_attempts_per_node: int = 2
    stage_failed_tasks_per_executor: int = 2
    stage_failed_executors_per_node: int = 2


class ExecutorFailures:
    """The failures of one task set on one executor: task → how often, and when last (seconds).

    Args:
        host: where the executor is; kept, because the executor may be gone when the set is done.
    """

    __slots__ = ("host", "tasks")

    def __init__(self, host: str) -> None:
        self.host = host
        self.tasks: dict[int, tuple[int, float]] = {}

    def add(self, index: int, now: float) -> None:
        """Count a failure of a task."""
        self.tasks[index] = (self.count(index) + 1, now)

    def count(self, index: int) -> int:
        """Return how often a task failed here."""
        found = self.tasks.get(index)
        return 0 if found is None else found[0]


class TaskSetExclusion:
    """Which executors and hosts one task set, or one of its tasks, has left.

    Args:
        stage_id: of the set.
        stage_attempt: of the set.
        rules: how much is forgiven.
        dry_run: only count, for the application's HealthTracker; nothing is left.
    """

    __slots__ = (
        "by_executor", "dry_run", "executors", "executors_of_host", "hosts", "last_failure", "rules", "stage_attempt",
        "stage_id", "tasks_off_host",
    )  # fmt: skip

    def __init__(
        self, stage_id: StageId, stage_attempt: int, rules: ExclusionRules, *, dry_run: bool = False
    ) -> None:
        self.stage_id = stage_id
        self.stage_attempt = stage_attempt
        self.rules = rules
        self.dry_run = dry_run
        self.by_executor: dict[ExecutorId, ExecutorFailures] = {}
        self.executors_of_host: dict[str, dict[ExecutorId, None]] = {}  # those with failures, dead ones too
        self.tasks_off_host: dict[str, set[int]] = {}
        self.executors: set[ExecutorId] = set()
        self.hosts: set[str] = set()
        self.last_failure = ""

    def failed(self, index: int, executor_id: ExecutorId, host: str, reason: str, now: float) -> list[Excluded]:
        """Count a failure that was the task's, or its executor's, doing.

        Call it before the task is pending again: the next offer may come from the same executor.

        Returns:
            What the whole set leaves because of it.
        """
        self.last_failure = reason
        failures = self.by_executor.setdefault(executor_id, ExecutorFailures(host))
        failures.add(index, now)
        if self.dry_run:
            return []
        neighbours = self.executors_of_host.setdefault(host, {})
        neighbours[executor_id] = None
        # Attempts, not executors, are counted: the job is given up after so many attempts, and the last ones shall
        # be made on another host.
        attempts = sum(self.by_executor[neighbour].count(index) for neighbour in neighbours)
        if attempts >= self.rules.task_attempts_per_node:
            self.tasks_off_host.setdefault(host, set()).add(index)
        if len(failures.tasks) >= self.rules.stage_failed_tasks_per_executor and executor_id not in self.executors:
            return self.leave(executor_id, host, len(failures.tasks), now)
        return []

    def leave(self, executor_id: ExecutorId, host: str, failed_tasks: int, now: float) -> list[Excluded]:
        """Let the whole set leave an executor, and its host with the last executor that was forgiven."""
        self.executors.add(executor_id)
        events = [Excluded(now, executor_id, host, failed_tasks, self.stage_id, self.stage_attempt)]
        left = sum(neighbour in self.executors for neighbour in self.executors_of_host[host])
        if left >= self.rules.stage_failed_executors_per_node and host not in self.hosts:
            self.hosts.add(host)
            events.append(Excluded(now, ExecutorId(""), host, left, self.stage_id, self.stage_attempt))
        return events

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether the whole set has left an executor or its host."""
        return executor_id in self.executors or host in self.hosts

    def refuses_task(self, index: int, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether a task has left an executor or its host; what the whole set has left is not looked at."""
        if self.dry_run:
            return False
        failures = self.by_executor.get(executor_id)
        if failures is not None and failures.count(index) >= self.rules.task_attempts_per_executor:
            return True
        off = self.tasks_off_host.get(host)
        return off is not None and index in off

    def has_failures(self) -> bool:
        """Whether anything was counted; if not, nothing is refused."""
        return bool(self.by_executor)
