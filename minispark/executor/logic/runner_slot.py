"""One slot of a process pool: which runner is in it, what it runs, and which kill it has not answered yet.

`process_pool` calls the methods in the order of what the slot's runner, the zygote and the executor say, and tells
the executor what they return. What is about another runner than the slot's, or another attempt than the runner's
current one, returns None: nobody is to hear of it.

For the executor a slot takes a task as soon as its last one is reported finished. So an attempt that was killed, or
had ended, when its runner died is reported with the next runner; and one that its runner never began, because that
was dying already, is given to the next runner, once.
"""

import enum
from dataclasses import dataclass

from minispark.ids import TaskId
from minispark.messages.task import RunnerLost, TaskKilled, TaskOutcome
from minispark.record import Record, record

__all__ = ["Finished", "Kill", "Lost", "Ready", "Report", "Resumed", "RunnerSlot", "SlotState"]


class SlotState(enum.Enum):
    """Where the slot's runner is."""

    EMPTY = "no runner"
    STARTING = "asked of the zygote, not heard of"
    IDLE = "waits for a task"
    BUSY = "runs a task"
    ENDED = "its task ended, a kill is unanswered"
    DOOMED = "is dying, or was sent SIGKILL"


@record
class Ready(Record):
    """The slot's runner waits for a task."""


@record
class Resumed(Record):
    """The slot's runner has to be sent this attempt, which its predecessor never began."""

    task_id: TaskId


@dataclass(slots=True)  # not frozen, which takes three times as long to make, for every task
class Finished:
    """An attempt ended, and the slot's runner waits for a task."""

    task_id: TaskId
    outcome: TaskOutcome


@record
class Lost(Record):
    """The slot's runner died, with the attempt it ran, if any."""

    task_id: TaskId | None
    loss: RunnerLost


Report = Ready | Resumed | Finished | Lost


@dataclass(slots=True)
class Kill:
    """What the current attempt was told."""

    interrupt: bool
    reason: str


class RunnerSlot:
    """The state of one slot.

    Attributes:
        incarnation: the runner that is in it; 0 before the first.
        task_id: the attempt that has the slot, None if there is none.
        sent: whether the runner was sent that attempt.
        resent: whether that attempt was taken from a runner that never began it.
        unanswered: how many kills the runner has not answered; no task is given to it while there is one.
        owed: an attempt that ended with the last runner and is reported with the next.
        was_ready: whether the runner ever waited for a task.
    """

    def __init__(self) -> None:
        self.state = SlotState.EMPTY
        self.incarnation = 0
        self.task_id: TaskId | None = None
        self.sent = False
        self.resent = False
        self.kill: Kill | None = None
        self.unanswered = 0
        self.outcome: TaskOutcome | None = None
        self.owed: Finished | None = None
        self.was_ready = False

    def start(self, incarnation: int) -> None:
        """A runner was asked for."""
        self.expect("start", self.state is SlotState.EMPTY)
        self.state = SlotState.STARTING
        self.incarnation = incarnation
        self.was_ready = False

    def ready(self, incarnation: int) -> Report | None:
        """The runner says that it waits for a task."""
        if incarnation != self.incarnation or self.state is not SlotState.STARTING:
            return None
        self.state = SlotState.IDLE
        self.was_ready = True
        if self.task_id is None:
            report, self.owed = self.owed, None
            return report or Ready()
        if self.kill is not None:
            return self.take_outcome()
        self.state = SlotState.BUSY
        self.sent = True
        return Resumed(self.task_id)

    def dispatch(self, task_id: TaskId) -> bool:
        """Give the slot an attempt; return whether to send it now. If its runner is dying, the next one gets it."""
        if self.task_id is not None or self.owed is not None:
            raise self.misplaced("dispatch")
        self.task_id = task_id
        self.resent = False
        self.sent = self.state is SlotState.IDLE
        if self.sent:
            self.state = SlotState.BUSY
        return self.sent

    def finished(self, incarnation: int, task_id: TaskId, outcome: TaskOutcome) -> Report | None:
        """The runner says how its attempt ended; held back while a kill is unanswered."""
        if incarnation != self.incarnation or task_id != self.task_id or self.outcome is not None:
            return None
        if self.state is SlotState.BUSY and not self.unanswered:
            self.state = SlotState.IDLE
            self.task_id = self.kill = None
            return Finished(task_id, outcome)
        self.outcome = outcome
        if self.state is SlotState.BUSY:
            self.state = SlotState.ENDED
        return None

    def told(self, task_id: TaskId, interrupt: bool, reason: str) -> bool:
        """A kill is wanted; return whether the runner has to be told: it runs the attempt, and this is news."""
        if task_id != self.task_id or (self.kill is not None and (self.kill.interrupt or not interrupt)):
            return False
        self.kill = Kill(interrupt, reason)
        if self.state is not SlotState.BUSY:
            return False
        self.unanswered += 1
        return True

    def repeated(self, incarnation: int, task_id: TaskId) -> Kill | None:
        """Half of the grace is over; return what to tell the runner again, if the attempt still runs."""
        if incarnation != self.incarnation or task_id != self.task_id or self.state is not SlotState.BUSY:
            return None
        if self.kill is not None:
            self.unanswered += 1
        return self.kill

    def is_unanswered(self, incarnation: int, task_id: TaskId) -> bool:
        """Tell whether that runner still owes an answer to a kill of that attempt."""
        return incarnation == self.incarnation and task_id == self.task_id and self.unanswered > 0

    def answered(self, incarnation: int, task_id: TaskId) -> Report | None:
        """The runner says that it took note of a kill."""
        if incarnation != self.incarnation or task_id != self.task_id or not self.unanswered:
            return None
        self.unanswered -= 1
        if self.state is not SlotState.ENDED or self.unanswered:
            return None
        self.state = SlotState.IDLE
        return self.take_outcome()

    def doom(self, incarnation: int) -> bool:
        """The runner is dying, or has to; return whether this is news. What it said before still counts."""
        if incarnation != self.incarnation or self.state in (SlotState.EMPTY, SlotState.DOOMED):
            return False
        self.state = SlotState.DOOMED
        return True

    def grace_over(self, incarnation: int, task_id: TaskId) -> bool:
        """The grace is over; return whether the runner has to get SIGKILL."""
        return task_id == self.task_id and self.sent and self.doom(incarnation)

    def exited(self, incarnation: int, loss: RunnerLost, begun: bool) -> Report | None:
        """The runner is gone. That one died before it was ready is not reported.

        Args:
            incarnation: which runner.
            loss: how it ended.
            begun: whether it had begun the slot's attempt.
        """
        if incarnation != self.incarnation or self.state is SlotState.EMPTY:
            return None
        self.state = SlotState.EMPTY
        self.unanswered = 0
        if self.task_id is None:
            return Lost(None, loss) if self.was_ready else None
        if self.outcome is not None or self.kill is not None:
            self.owed = self.take_outcome()
            return None
        if self.sent and not begun and not self.resent:
            self.sent, self.resent = False, True
        if not self.sent:
            return None
        task_id, self.task_id = self.task_id, None
        return Lost(task_id, loss)

    def give_up(self, reason: str) -> Finished | None:
        """There will be no further runner; return what is owed, or has the slot, as killed."""
        self.state = SlotState.EMPTY
        if self.task_id is not None:
            self.kill = self.kill or Kill(True, reason)
            return self.take_outcome()
        report, self.owed = self.owed, None
        return report

    def take_outcome(self) -> Finished:
        """Return how the current attempt ended, killed if it did not say, and forget it."""
        assert self.task_id is not None
        outcome = self.outcome
        if outcome is None:
            assert self.kill is not None
            outcome = TaskKilled(self.kill.reason)
        report = Finished(self.task_id, outcome)
        self.task_id = self.kill = self.outcome = None
        self.unanswered = 0
        return report

    def check(self) -> None:
        """Assert what always holds."""
        busy = self.state in (SlotState.BUSY, SlotState.ENDED)
        self.expect("busy with an attempt", not busy or (self.task_id is not None and self.sent))
        self.expect("idle without one", self.state is not SlotState.IDLE or self.task_id is None)
        self.expect("one attempt", self.task_id is None or self.owed is None)
        self.expect("an outcome of an attempt", self.outcome is None or self.task_id is not None)
        self.expect("a kill of an attempt", self.kill is None or self.task_id is not None)
        self.expect("no kill unanswered between attempts", not self.unanswered or self.task_id is not None)

    def expect(self, what: str, holds: bool) -> None:
        """Refuse what is out of place."""
        if not holds:
            raise self.misplaced(what)

    def misplaced(self, what: str) -> AssertionError:
        """Return the error that says what is out of place."""
        return AssertionError(
            f"{what}: not with runner {self.incarnation} {self.state.name}, task {self.task_id}, owed {self.owed}"
        )
