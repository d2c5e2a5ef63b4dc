"""The endpoint "barrierSync": lets the tasks of a barrier stage wait for each other. Source: BarrierCoordinator.

A task's executor asks on its behalf; the answer comes when all tasks of the stage attempt have asked. Who goes on,
and who fails, is decided in `logic/barrier.py`.
"""

import asyncio
from typing import Final

from minispark.ids import StageId
from minispark.messages.coordination import BarrierSynced, RequestToSync
from minispark.messages.endpoints import BARRIER_SYNC
from minispark.messages.scheduler import TaskEnded
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.world import World
from minispark.scheduler.logic.barrier import BarrierSyncs, Failed, Synced

__all__ = ["BARRIER_SYNC", "BarrierCoordinator"]

KILL_FIRST_S: Final = 1.0
"""How long tasks of an attempt that ended wait on: they are about to be killed, and should not fail before."""


class BarrierCoordinator(RpcEndpoint):
    """Holds the asks of the tasks that wait; also a `StageWatch`, which the DAG scheduler tells of stages.

    Args:
        world: clock and timers.
        timeout_s: how long a task waits for the others, `minispark.barrier.sync.timeout`.
    """

    def __init__(self, world: World, timeout_s: float) -> None:
        self.world = world
        self.syncs: BarrierSyncs[CallContext] = BarrierSyncs(timeout_s)
        self.timer: asyncio.TimerHandle | None = None

    def receive(self, message: RequestToSync, context: CallContext) -> None:
        """Let a task wait, or all go on."""
        self.answer(self.syncs.request(message, context, self.world.monotonic()))
        self.arm()

    def answer(self, answer: Synced[CallContext] | Failed[CallContext] | None) -> None:
        """Answer those who wait no longer."""
        match answer:
            case Synced():
                for waiter in answer.waiters:
                    waiter.reply(BarrierSynced(answer.messages))
            case Failed():
                for waiter in answer.waiters:
                    waiter.reply(BarrierSynced((), answer.error))

    def give_up(self, failed: Failed[CallContext] | None) -> None:
        """Answer those who wait in vain; mostly nobody does."""
        if failed is not None:
            self.answer(failed)
            self.arm()

    def arm(self) -> None:
        """Have the timer run while somebody waits."""
        deadline = self.syncs.next_deadline()
        if deadline is None:
            self.on_stop()
        elif self.timer is None:
            self.timer = self.world.call_later(max(0.0, deadline - self.world.monotonic()), self.expire)

    def expire(self) -> None:
        """Fail what takes too long; a timer that finds nothing was that of a sync which ended in time."""
        self.timer = None
        for failed in self.syncs.expire(self.world.monotonic()):
            self.answer(failed)
        self.arm()

    def on_stop(self) -> None:
        """Let the timer go; open asks are failed by their env."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        """See `StageWatch`."""
        self.syncs.attempt_started(stage_id, stage_attempt, num_tasks)

    def task_ended(self, ended: TaskEnded) -> None:
        """See `StageWatch`."""
        self.give_up(self.syncs.task_ended(ended))

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        """See `StageWatch`; who waits is told later, so that the kill that is under way finds no failed task."""
        failed = self.syncs.attempt_ended(stage_id, stage_attempt)
        if failed is not None:
            self.world.call_later(KILL_FIRST_S, self.answer, failed)
            self.arm()

    def stage_gone(self, stage_id: StageId) -> None:
        """See `StageWatch`; each of its attempts has ended before."""
