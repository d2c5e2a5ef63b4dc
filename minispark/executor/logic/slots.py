"""Slots: which attempt is where in an executor, from its launch to its end.

A launched attempt is first *preparing* (its binary and map outputs are fetched), then *queued* for a slot or at once
*running* in one. `executor.Executor` calls the methods in the order of its messages and acts on what they return.
A slot is given out only when its runner is ready and nothing is unanswered, so a kill blocks it until the runner
has ended the attempt or was replaced.
"""

import enum
from collections import deque
from dataclasses import dataclass
from typing import Final

from minispark.ids import TaskId

__all__ = ["KILL_MARK_TTL_S", "KillAction", "Slots"]

KILL_MARK_TTL_S: Final = 10.0
HISTORY_LENGTH: Final = 50


class KillAction(enum.Enum):
    """What becomes of a kill."""

    REMEMBERED = "the attempt is not known: if it is launched soon, it ends at once"
    DROPPED = "the attempt had not started and is forgotten"
    FORWARDED = "the attempt runs: its runner has to end it"
    REPEATED = "its runner was told already"


@dataclass(slots=True)
class Slot:
    """One place for a runner.

    Attributes:
        ready: its runner exists and waits, or runs `task_id`.
        task_id: what it runs, or ran when it was lost.
        interrupted: whether its runner was told to interrupt the attempt; None if it was not told anything.
        kill_reason: what its runner was told the reason was.
    """

    ready: bool = False
    task_id: TaskId | None = None
    interrupted: bool | None = None
    kill_reason: str | None = None


class Slots:
    """The state of all slots, and of the attempts that have none yet.

    Args:
        count: how many attempts run at once.

    Attributes:
        paused: no attempt begins while another runs; where none runs, one may, or none would ever end.
    """

    def __init__(self, count: int) -> None:
        self.slots = [Slot() for _ in range(count)]
        self.idle: list[int] = []  # the one used last is at the end, and is taken first: its caches are warm
        self.preparing: set[TaskId] = set()
        self.queue: deque[TaskId] = deque()
        self.running: dict[TaskId, int] = {}
        self.marks: dict[TaskId, tuple[float, str]] = {}  # when they lapse, why; in the order of their time
        self.history: deque[tuple[object, ...]] = deque(maxlen=HISTORY_LENGTH)
        self.paused = False

    def pause(self) -> None:
        """Begin no further attempts while others run."""
        self.paused = True

    def resume(self) -> list[tuple[int, TaskId]]:
        """Begin attempts again; returns those that have a slot now."""
        self.paused = False
        begun = []
        while self.queue and self.idle:
            begun.append((self.idle.pop(), self.queue.popleft()))
            self.occupy(*begun[-1])
        return begun

    def retire(self, slot: int) -> bool:
        """Take an idle slot's runner out of use, until the next one is ready; tells whether it was idle."""
        self.history.append(("retire", slot))
        if slot not in self.idle:
            return False
        self.idle.remove(slot)
        self.slots[slot].ready = False
        return True

    def launch(self, task_id: TaskId, now: float) -> str | None:
        """Take an attempt: it is preparing now. Returns why not, if it was killed before it came."""
        self.history.append(("launch", task_id))
        if self.marks:
            self.drop_marks(now)
            mark = self.marks.pop(task_id, None)
            if mark is not None:
                return mark[1]
        if task_id in self.preparing or task_id in self.running:
            raise self.broken("is here already")
        self.preparing.add(task_id)
        return None

    def prepared(self, task_id: TaskId, preferred: int | None = None) -> int | None:
        """Give a prepared attempt a slot; None if it has to wait for one.

        Args:
            task_id: an attempt that was preparing.
            preferred: the slot whose runner holds what the attempt needs; taken if it is free.
        """
        self.history.append(("prepared", task_id, preferred))
        if task_id not in self.preparing:
            raise self.broken("is not preparing")
        self.preparing.remove(task_id)
        if not self.idle or (self.paused and self.running):
            self.queue.append(task_id)
            return None
        slot = self.idle[-1]
        if preferred is not None and preferred != slot and preferred in self.idle:
            slot = preferred
            self.idle.remove(slot)
        else:
            self.idle.pop()
        self.occupy(slot, task_id)
        return slot

    def abandon(self, task_id: TaskId) -> None:
        """Forget an attempt that could not be prepared."""
        self.history.append(("abandon", task_id))
        if task_id not in self.preparing:
            raise self.broken("is not preparing")
        self.preparing.remove(task_id)

    def ready(self, slot: int) -> TaskId | None:
        """Note that a slot's runner waits, new or replaced; returns the attempt that has it now, if one waited."""
        self.history.append(("ready", slot))
        if self.slots[slot].ready:
            raise self.broken("the slot is ready already")
        return self.release(slot)

    def finished(self, slot: int, task_id: TaskId) -> TaskId | None:
        """Note that an attempt ended; returns the attempt that has its slot now, if one waited."""
        self.history.append(("finished", slot, task_id))
        if self.slots[slot].task_id != task_id:
            raise self.broken("the attempt does not run in that slot")
        del self.running[task_id]
        return self.release(slot)

    def lost(self, slot: int, task_id: TaskId | None) -> str | None:
        """Note that a slot's runner died, with the attempt it ran if any; the slot waits until it is ready again.

        Returns why the attempt was killed, if it was.
        """
        self.history.append(("lost", slot, task_id))
        place = self.slots[slot]
        if place.task_id != task_id:
            raise self.broken("the attempt does not run in that slot")
        if task_id is not None:
            del self.running[task_id]
        elif slot in self.idle:
            self.idle.remove(slot)
        self.slots[slot] = Slot()
        return place.kill_reason

    def kill(self, task_id: TaskId, interrupt: bool, reason: str, now: float) -> KillAction:
        """Decide what a kill does; a kill that does not interrupt may be followed by one that does."""
        self.history.append(("kill", task_id, interrupt))
        slot = self.running.get(task_id)
        if slot is not None:
            place = self.slots[slot]
            if place.interrupted is not None and place.interrupted >= interrupt:
                return KillAction.REPEATED
            place.interrupted = interrupt
            place.kill_reason = reason
            return KillAction.FORWARDED
        if task_id in self.preparing:
            self.preparing.remove(task_id)
            return KillAction.DROPPED
        if task_id in self.queue:
            self.queue.remove(task_id)
            return KillAction.DROPPED
        self.drop_marks(now)
        self.marks.pop(task_id, None)
        self.marks[task_id] = (now + KILL_MARK_TTL_S, reason)
        return KillAction.REMEMBERED

    def waiting(self) -> list[TaskId]:
        """Return the attempts that have not started."""
        return [*sorted(self.preparing), *self.queue]

    def release(self, slot: int) -> TaskId | None:
        """Give a free slot to the attempt that has waited longest, or keep it idle."""
        place = self.slots[slot]
        place.ready = True
        place.task_id = place.interrupted = place.kill_reason = None
        if not self.queue or (self.paused and self.running):
            self.idle.append(slot)
            return None
        task_id = self.queue.popleft()
        self.occupy(slot, task_id)
        return task_id

    def occupy(self, slot: int, task_id: TaskId) -> None:
        """Put an attempt into a slot."""
        self.slots[slot].task_id = task_id
        self.running[task_id] = slot

    def drop_marks(self, now: float) -> None:
        """Forget kills whose attempts never came."""
        while self.marks:
            oldest = next(iter(self.marks))
            if self.marks[oldest][0] > now:
                return
            del self.marks[oldest]

    def broken(self, rule: str) -> AssertionError:
        """Return the error that says which rule was broken, and what happened last."""
        return AssertionError(f"{rule}; what happened last: {list(self.history)}")

    def expect(self, holds: bool, rule: str) -> None:
        """Refuse what cannot be.

        Raises:
            AssertionError: with the recent history.
        """
        if not holds:
            raise self.broken(rule)

    def check(self) -> None:
        """Assert the invariants."""
        occupied = {place.task_id: slot for slot, place in enumerate(self.slots) if place.task_id is not None}
        self.expect(occupied == self.running, "running attempts and occupied slots agree")
        free = {slot for slot, place in enumerate(self.slots) if place.ready and place.task_id is None}
        self.expect(free == set(self.idle) and len(free) == len(self.idle), "ready slots without attempt are idle")
        self.expect(all(self.slots[slot].ready for slot in self.running.values()), "runners that run are ready")
        self.expect(self.paused or not (self.queue and self.idle), "nobody waits while a slot is idle")
        states = [*self.preparing, *self.queue, *self.running]
        self.expect(len(states) == len(set(states)), "an attempt is in one state")
        self.expect(not set(states) & self.marks.keys(), "known attempts have no mark")
        lapses = [lapse for lapse, _ in self.marks.values()]
        self.expect(lapses == sorted(lapses), "marks lapse in their order")

    def assert_empty(self) -> None:
        """Assert that no attempt is left."""
        left = [*self.waiting(), *self.running]
        self.expect(not left, f"attempts are left: {left}")
