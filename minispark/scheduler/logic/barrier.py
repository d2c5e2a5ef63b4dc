"""The waiting of barrier tasks for each other. Source: Spark's BarrierCoordinator.

All tasks of a stage attempt must come to the same sync, counted by its epoch, before any goes on. The endpoint in
`scheduler/barrier.py` holds the waiters and asks here who goes on and who fails. An attempt in which a sync failed
syncs no more: its stage is expected to be tried again as a whole.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from minispark.ids import StageId
from minispark.messages.coordination import RequestToSync, SyncKind
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import Success
from minispark.record import Record, record

__all__ = ["BarrierSyncs", "Failed", "Synced"]

W = TypeVar("W")

CALLS: dict[SyncKind, str] = {"barrier": "barrier()", "all_gather": "all_gather()"}


@record
class Synced(Record, Generic[W]):
    """All have come: let them go on, with the messages in the order of partitions."""

    waiters: list[W]
    messages: tuple[str, ...]


@record
class Failed(Record, Generic[W]):
    """These wait in vain."""

    waiters: list[W]
    error: str


Answer = Synced[W] | Failed[W]


class Attempt(Generic[W]):
    """One attempt of a stage.

    Attributes:
        name: for people.
        num_tasks: how many must come.
        epoch: how many syncs there were.
        kind: what the tasks that wait have called.
        waiting: partition → who waits, with which message, in the order of arrival.
        deadline: when those who wait have waited too long.
        ended: the partitions whose tasks have ended well: they come no more.
        failure: why a sync failed; empty if none has.
    """

    __slots__ = ("deadline", "ended", "epoch", "failure", "kind", "name", "num_tasks", "waiting")

    def __init__(self, name: str, num_tasks: int) -> None:
        self.name = name
        self.num_tasks = num_tasks
        self.epoch = 0
        self.kind: SyncKind = "barrier"
        self.waiting: dict[int, tuple[W, str]] = {}
        self.deadline = 0.0
        self.ended: dict[int, None] = {}
        self.failure = ""

    def release(self) -> list[W]:
        """Let all go who wait."""
        waiters = [waiter for waiter, _ in self.waiting.values()]
        self.waiting.clear()
        return waiters

    def fail(self, error: str) -> Failed[W]:
        """Give the attempt up."""
        self.failure = error
        return Failed(self.release(), error)

    def missing(self) -> str:
        """Say for whom the others wait, as far as it fits into a line."""
        missing = [partition for partition in range(self.num_tasks) if partition not in self.waiting]
        return f"{len(missing)} of {self.num_tasks} tasks did not come, as that of partition {missing[0]}"


class BarrierSyncs(Generic[W]):
    """All stage attempts that run, with those of their tasks that wait.

    Args:
        timeout_s: how long a sync may take from the first task that waits.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.attempts: dict[tuple[StageId, int], Attempt[W]] = {}

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """Let the tasks of an attempt come."""
        self.attempts[stage_id, stage_attempt] = Attempt(f"stage {stage_id}.{stage_attempt}", num_tasks)

    def request(self, request: RequestToSync, waiter: W, now: float) -> Answer[W] | None:
        """Take a task that wants to wait; None: it waits."""
        attempt = self.attempts.get((request.stage_id, request.stage_attempt))
        if attempt is None:
            where = f"stage {request.stage_id}.{request.stage_attempt}"
            return Failed([waiter], f"{where} does not run any more; task {request.task_id} outlived its kill")
        refusal = refusal_of(attempt, request)
        if refusal:
            return Failed([waiter], refusal)
        if not attempt.waiting:
            attempt.kind, attempt.deadline = request.kind, now + self.timeout_s
        attempt.waiting[request.partition] = waiter, request.message
        if request.kind != attempt.kind:
            calls = f"{CALLS[attempt.kind]} and {CALLS[request.kind]}"
            return attempt.fail(f"tasks of {attempt.name} called {calls} in one sync; all must call the same")
        if attempt.ended:
            return attempt.fail(unequal(attempt))
        if len(attempt.waiting) < attempt.num_tasks:
            return None
        messages = tuple([attempt.waiting[partition][1] for partition in sorted(attempt.waiting)])
        attempt.epoch += 1
        return Synced(attempt.release(), messages)

    def task_ended(self, ended: TaskEnded) -> Failed[W] | None:
        """Note that a task comes no more; of one that failed, the whole attempt is given up elsewhere."""
        attempt = self.attempts.get((ended.stage_id, ended.stage_attempt))
        if attempt is None or not isinstance(ended.reason, Success):
            return None
        attempt.ended[ended.partition] = None
        return attempt.fail(unequal(attempt)) if attempt.waiting else None

    def attempt_ended(self, stage_id: StageId, stage_attempt: int) -> Failed[W] | None:
        """Forget an attempt; who waits in it still, waits in vain."""
        attempt = self.attempts.pop((stage_id, stage_attempt), None)
        if attempt is None or not attempt.waiting:
            return None
        return attempt.fail(f"{attempt.name} has ended")

    def expire(self, now: float) -> list[Failed[W]]:
        """Fail the syncs that take too long."""
        return [
            attempt.fail(
                f"sync {attempt.epoch} of {attempt.name} took more than {self.timeout_s:g} s "
                f"(minispark.barrier.sync.timeout): {attempt.missing()}"
            )
            for attempt in waited_for(self.attempts.values())
            if attempt.deadline <= now
        ]

    def next_deadline(self) -> float | None:
        """Return when `expire` must be called next; None: nobody waits."""
        return min((attempt.deadline for attempt in waited_for(self.attempts.values())), default=None)

    def check(self) -> None:
        """Assert what always holds."""
        for attempt in self.attempts.values():
            assert len(attempt.waiting) < max(1, attempt.num_tasks), f"{attempt.name} waits although all have come"
            assert not (attempt.failure and attempt.waiting), f"{attempt.name} failed and has waiters"
            assert not (attempt.ended and attempt.waiting), f"{attempt.name} waits for a task that has ended"

    def assert_empty(self) -> None:
        """Assert that nothing is left."""
        assert not self.attempts, f"left over: {list(self.attempts)}"


def waited_for(attempts: Iterable[Attempt[W]]) -> list[Attempt[W]]:
    """Return the attempts in which somebody waits."""
    return [attempt for attempt in attempts if attempt.waiting]


def refusal_of(attempt: Attempt[W], request: RequestToSync) -> str:
    """Say why a task may not wait; empty if it may."""
    if attempt.failure:
        return attempt.failure
    if request.epoch != attempt.epoch:
        return (
            f"task {request.task_id} asked for sync {request.epoch} of {attempt.name}, which is at sync "
            f"{attempt.epoch}; it outlived its kill"
        )
    if request.partition in attempt.waiting:
        return f"partition {request.partition} of {attempt.name} waits already in sync {attempt.epoch}"
    return ""


def unequal(attempt: Attempt[W]) -> str:
    """Say that a task ended before it came to a sync that others wait in."""
    return (
        f"tasks of {attempt.name} called {CALLS[attempt.kind]} unequal numbers of times: the task of partition "
        f"{next(iter(attempt.ended))} ended after {attempt.epoch} syncs, others wait for another"
    )
