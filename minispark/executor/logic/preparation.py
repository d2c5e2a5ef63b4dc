"""Preparation: what each launched attempt still waits for, and what the executor holds for its runners.

An attempt may start when its stage's binary and the map outputs of the shuffles it reads are here, so that a runner's
questions about them are answered at once. Each thing is asked for once, however many attempts wait for it. What
attempts use stays; what none uses is dropped, the one used longest ago first, beyond a bound or after a while.
Called by `executor.Executor`, which sends the asks and brings the answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from minispark.ids import BinaryId, ShuffleId, TaskId
from minispark.messages.cluster import FetchBinary
from minispark.messages.runner import Binary, MapOutputs
from minispark.messages.shuffle import GetMapOutputStatuses
from minispark.messages.task import TaskDescription

__all__ = ["IDLE_TTL_S", "Arrived", "Holding", "Preparation", "Request"]

IDLE_TTL_S: Final = 600.0
MAX_HOLDINGS: Final = 512  # small ones too: each job has a binary of its own, which none uses again

Request = FetchBinary | GetMapOutputStatuses
Key = tuple[type[Request], int]


@dataclass(slots=True)
class Holding:
    """Something that runners ask for.

    Attributes:
        content: the answer they get.
        users: how many attempts of this executor need it.
        used_at: when one needed it last.
    """

    content: Binary | MapOutputs
    users: int
    used_at: float


@dataclass(slots=True)
class Attempt:
    """A launched attempt, since when, the keys of what it needs, and of these the ones it still waits for."""

    task: TaskDescription
    since: float
    keys: list[Key]
    missing: set[Key] = field(default_factory=set)


@dataclass(slots=True)
class Asked:
    """An ask whose answer has not come: who waits, and who came later and may need a newer answer."""

    waiting: list[TaskId]
    later: list[TaskId] = field(default_factory=list)


@dataclass(slots=True)
class Arrived:
    """What an answer brought: attempts that can start, those that cannot ever, asks to send."""

    prepared: list[TaskDescription] = field(default_factory=list)
    failed: list[TaskDescription] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


class Preparation:
    """The state of all launched attempts as to what they need.

    Args:
        max_bytes: how much is held at most of what no attempt uses.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.attempts: dict[TaskId, Attempt] = {}
        self.holdings: dict[Key, Holding] = {}
        self.asked: dict[Key, Asked] = {}

    def launch(self, task: TaskDescription, now: float) -> list[Request] | None:
        """Take an attempt; returns what to ask for, None if it waits for nothing and may start."""
        attempt = self.attempts[task.task_id] = Attempt(task, now, keys_of(task))
        requests: list[Request] = []
        for key in attempt.keys:
            if not self.use(key, task.epoch, now):
                self.need(attempt, key, requests)
        return requests if attempt.missing else None

    def use(self, key: Key, epoch: int | None, now: float) -> bool:
        """Count one more user of something; False if it is not here, or too old."""
        holding = self.holdings.get(key)
        if holding is None or (key[0] is GetMapOutputStatuses and not is_recent(holding, epoch)):
            return False
        holding.users += 1
        holding.used_at = now
        return True

    def need(self, attempt: Attempt, key: Key, requests: list[Request]) -> None:
        """Have an attempt wait, with those who wait for the same."""
        attempt.missing.add(key)
        asked = self.asked.get(key)
        if asked is None:
            self.asked[key] = Asked([attempt.task.task_id])
            requests.append(request_of(key))
        else:
            asked.later.append(attempt.task.task_id)

    def task(self, task_id: TaskId) -> TaskDescription:
        """Return what an attempt was launched with."""
        return self.attempts[task_id].task

    def since(self, task_id: TaskId) -> float:
        """Return when an attempt was launched."""
        return self.attempts[task_id].since

    def arrived(self, request: Request, content: Binary | MapOutputs, now: float) -> Arrived:
        """Take an answer.

        Map outputs may be older than what an attempt needs that was launched after the ask was sent: for those they
        are asked for again. An attempt that was there before the ask cannot be served at all.
        """
        key = key_of(request)
        asked = self.asked.pop(key)
        self.hold(key, content, now)
        outcome = Arrived()
        again: list[TaskDescription] = []
        for task_id in asked.waiting:
            self.serve(task_id, key, now, outcome.prepared, outcome.failed)
        for task_id in asked.later:
            self.serve(task_id, key, now, outcome.prepared, again)
        if again:
            self.asked[key] = Asked([task.task_id for task in again])
            outcome.requests.append(request)
        self.evict()
        return outcome

    def serve(
        self,
        task_id: TaskId,
        key: Key,
        now: float,
        prepared: list[TaskDescription],
        unserved: list[TaskDescription],
    ) -> None:
        """Give what has come to one that waited for it, if that one still exists."""
        attempt = self.attempts.get(task_id)
        if attempt is None:
            return
        if not self.use(key, attempt.task.epoch, now):
            unserved.append(attempt.task)
            return
        attempt.missing.discard(key)
        if not attempt.missing:
            prepared.append(attempt.task)

    def failed(self, request: Request) -> list[TaskDescription]:
        """Take note that there is no answer; returns the attempts that waited for it."""
        asked = self.asked.pop(key_of(request))
        waiting = [self.attempts.get(task_id) for task_id in [*asked.waiting, *asked.later]]
        return [attempt.task for attempt in waiting if attempt is not None]

    def end(self, task_id: TaskId, now: float) -> None:
        """Forget an attempt that ended, wherever it was."""
        attempt = self.attempts.pop(task_id)
        for key in attempt.keys:
            if key not in attempt.missing and (holding := self.holdings.get(key)) is not None:
                holding.users -= 1
                holding.used_at = now

    def hold(self, key: Key, content: Binary | MapOutputs, now: float) -> None:
        """Keep an answer, instead of an older one."""
        before = self.holdings.pop(key, None)
        users = 0
        if before is not None:
            users = before.users
            self.size_bytes -= len(before.content.data)
        self.holdings[key] = Holding(content, users, now)
        self.size_bytes += len(content.data)

    def binary(self, binary_id: BinaryId) -> Binary | None:
        """Return a binary that is here."""
        holding = self.holdings.get((FetchBinary, binary_id))
        content = None if holding is None else holding.content
        assert not isinstance(content, MapOutputs)
        return content

    def map_outputs(self, shuffle_id: ShuffleId, epoch: int) -> MapOutputs | None:
        """Return the map outputs of a shuffle that are here, if they are recent enough."""
        holding = self.holdings.get((GetMapOutputStatuses, shuffle_id))
        if holding is None or not is_recent(holding, epoch):
            return None
        assert isinstance(holding.content, MapOutputs)
        return holding.content

    def evict(self) -> None:
        """Drop what no attempt uses beyond the bounds; half of too many, so that the next ones cost no look."""
        if len(self.holdings) > MAX_HOLDINGS:
            oldest = sorted(self.holdings, key=lambda key: self.holdings[key].used_at)
            self.drop(oldest[: len(oldest) // 2], -1)
        if self.size_bytes > self.max_bytes:
            self.drop(sorted(self.holdings, key=lambda key: self.holdings[key].used_at), self.max_bytes)

    def expire(self, now: float) -> None:
        """Drop what no attempt has used for a while."""
        self.drop([key for key, holding in self.holdings.items() if holding.used_at <= now - IDLE_TTL_S], -1)

    def drop(self, candidates: Iterable[Key], down_to_bytes: int) -> None:
        """Drop candidates that nobody uses, in their order, until what is left is small enough."""
        for key in candidates:
            if self.size_bytes <= down_to_bytes:
                return
            if self.holdings[key].users == 0:
                self.size_bytes -= len(self.holdings.pop(key).content.data)

    def check(self) -> None:
        """Assert the invariants."""
        assert self.size_bytes == sum(len(holding.content.data) for holding in self.holdings.values())
        users = dict.fromkeys(self.holdings, 0)
        for attempt in self.attempts.values():
            for key in attempt.keys:
                if key in attempt.missing:
                    asked = self.asked[key]
                    assert attempt.task.task_id in [*asked.waiting, *asked.later]
                else:
                    users[key] += 1
        assert users == {key: holding.users for key, holding in self.holdings.items()}

    def assert_empty(self) -> None:
        """Assert that no attempt is left."""
        assert not self.attempts, f"attempts are left: {list(self.attempts)}"


def is_recent(holding: Holding, epoch: int | None) -> bool:
    """Tell whether what is held is as of an epoch or later; binaries never change."""
    content = holding.content
    return epoch is None or not isinstance(content, MapOutputs) or content.epoch >= epoch


def key_of(request: Request) -> Key:
    """Return what names the thing that a request asks for."""
    if isinstance(request, FetchBinary):
        return FetchBinary, request.binary_id
    return GetMapOutputStatuses, request.shuffle_id


def request_of(key: Key) -> Request:
    """Return the request that asks for the thing that a key names."""
    kind, number = key
    return FetchBinary(BinaryId(number)) if kind is FetchBinary else GetMapOutputStatuses(ShuffleId(number))


def keys_of(task: TaskDescription) -> list[Key]:
    """Return what names the things that an attempt needs."""
    keys: list[Key] = [(FetchBinary, task.binary_id)]
    if task.shuffle_ids:
        keys.extend((GetMapOutputStatuses, shuffle_id) for shuffle_id in dict.fromkeys(task.shuffle_ids))
    return keys
