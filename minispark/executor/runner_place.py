"""One place of a process pool: its slot, the link to the runner in it, and the pursuit of a kill.

`process_pool` has one per slot. What may be said to the runner is decided in `logic.runner_slot`; here a kill is
sent, repeated and enforced by timers. Must not talk to the executor: that is the pool's part.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from minispark.executor.grace import Grace
from minispark.executor.kill_bracket import KILL_SIGNAL
from minispark.executor.logic.runner_slot import RunnerSlot
from minispark.executor.runner_link import RunnerLink
from minispark.ids import TaskId
from minispark.messages.task import TaskDescription
from minispark.rpc.world import World

__all__ = ["RunnerPlace"]

FIRST_INSISTENCE_S: Final = 0.005


class RunnerPlace:
    """One slot and what belongs to it.

    Args:
        index: the slot's number.
        world: timers.
        send_signal: sends a signal to a runner, by its incarnation.

    Attributes:
        slot: what is decided about it.
        link: the way to its runner, if there is one.
        task: the attempt that has the slot.
        seen: the attempt that ran when the pool looked last.
        started: whether the executor was told that it runs.
        asks: the requests of the attempt that wait for an answer.
        timers: of its kill.
    """

    __slots__ = ("asks", "index", "link", "seen", "send_signal", "slot", "started", "task", "timers", "world")

    def __init__(self, index: int, world: World, send_signal: Callable[[int, int], None]) -> None:
        self.index = index
        self.world = world
        self.send_signal = send_signal
        self.slot = RunnerSlot()
        self.link: RunnerLink | None = None
        self.task: TaskDescription | None = None
        self.seen: TaskId | None = None
        self.started = False
        self.asks: set[int] = set()
        self.timers: list[asyncio.TimerHandle] = []

    @property
    def busy(self) -> bool:
        """Whether there is an attempt whose end has not been reported."""
        return self.slot.task_id is not None or self.slot.owed is not None

    def runs_longer(self) -> bool | None:
        """Look at the attempt: True once it has run since the last look, None if that may be so at the next."""
        task_id = self.slot.task_id
        if task_id is None or self.started:
            return False
        if self.seen == task_id and self.link is not None and self.link.page.task_id == task_id:
            self.started = True
            return True
        self.seen = task_id
        return None

    def clear(self) -> None:
        """Forget what belonged to the attempt that ended."""
        self.task = self.seen = None
        self.started = False
        if self.asks:
            self.asks.clear()
        if self.timers:
            for timer in self.timers:
                timer.cancel()
            self.timers.clear()

    def close(self) -> None:
        """Give up the link."""
        self.asks.clear()
        if self.link is not None:
            self.link.close()
            self.link = None

    def kill(self, task_id: TaskId, interrupt: bool, reason: str, grace: Grace) -> None:
        """End an attempt; with `interrupt`, whatever it costs once the grace is over, if it ever is."""
        if not self.slot.told(task_id, interrupt, reason):
            return
        self.tell(task_id, interrupt, reason)
        if interrupt:
            incarnation = self.slot.incarnation
            self.timers.append(self.world.call_later(grace.seconds / 2, self.repeat, incarnation, task_id))
            if grace.ends:
                self.timers.append(self.world.call_later(grace.seconds, self.enforce, incarnation, task_id))

    def tell(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """Put a kill where the runner's signal handler finds it, and have it looked at."""
        if self.link is None:
            return
        incarnation = self.link.incarnation
        self.link.send_kill(task_id, interrupt, reason)
        self.send_signal(incarnation, KILL_SIGNAL)
        if self.slot.unanswered == 1:
            self.insist_after(FIRST_INSISTENCE_S, incarnation, task_id)

    def insist_after(self, delay_s: float, incarnation: int, task_id: TaskId) -> None:
        """Look again later whether the kill is answered."""
        self.timers.append(self.world.call_later(delay_s, self.insist, incarnation, task_id, 2 * delay_s))

    def insist(self, incarnation: int, task_id: TaskId, delay_s: float) -> None:
        """Signal again until the kill is answered, ever more rarely.

        A signal that comes between Python's last look for signals and a system call that waits goes unnoticed there.
        """
        if self.slot.is_unanswered(incarnation, task_id):
            self.send_signal(incarnation, KILL_SIGNAL)
            self.insist_after(delay_s, incarnation, task_id)

    def repeat(self, incarnation: int, task_id: TaskId) -> None:
        """Kill again at half of the grace: the first may have struck in a finaliser, where Python swallows it."""
        kill = self.slot.repeated(incarnation, task_id)
        if kill is not None:
            self.tell(task_id, kill.interrupt, kill.reason)

    def discard(self, task_id: TaskId | None) -> None:
        """End the runner with the attempt that it runs, if it is still that one.

        It takes no task from now on, although its attempt may end before the signal comes: the next runner gets that.
        """
        if self.slot.task_id == task_id and self.link is not None and self.slot.doom(self.link.incarnation):
            self.send_signal(self.link.incarnation, signal.SIGKILL)

    def enforce(self, incarnation: int, task_id: TaskId) -> None:
        """End a runner whose attempt did not unwind within the grace."""
        if self.slot.grace_over(incarnation, task_id):
            self.send_signal(incarnation, signal.SIGKILL)
