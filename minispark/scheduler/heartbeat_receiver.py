"""The endpoint "HeartbeatReceiver": hears that executors live, passes their tasks' progress on, gives silent ones up.

Backends tell it of executors that come and go. In local mode the one executor lives and dies with the driver: nothing
is given up there, and no timer runs. Source: Spark's HeartbeatReceiver.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from minispark.ids import ExecutorId
from minispark.messages.endpoints import HEARTBEAT_RECEIVER
from minispark.messages.heartbeat import (
    ExpireDeadExecutors,
    Heartbeat,
    HeartbeatResponse,
    TaskProgress,
    TaskSchedulerIsSet,
    ToHeartbeatReceiver,
)
from minispark.messages.scheduler import ExecutorAdded, ExecutorRemoved
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.logic.heartbeats import Expired, Heartbeats

__all__ = ["HEARTBEAT_RECEIVER", "ExecutorReplacer", "HeartbeatReceiver", "ProgressSink"]


logger = logging.getLogger(__name__)


ProgressSink = Callable[[Sequence[TaskProgress]], object]
"""Takes the progress of running attempts, at once; some may have ended meanwhile."""


class ExecutorReplacer(Protocol):
    """A backend that can get another executor."""

    def kill_and_replace(self, executor_id: ExecutorId, reason: str) -> None:
        """End an executor, if it still lives, and start another: the number that is wanted stays as it is."""


class HeartbeatReceiver(RpcEndpoint):
    """Knows which executors live.

    Args:
        world: clock and timers.
        timeout_s: silence after which an executor is given up.
        progress: told how far attempts are, if anybody wants to know.
        schedulers: told of executors that are given up.
        replacer: replaces those; None: no executor is ever given up.
        check_interval_s: how often they are looked for.
    """

    def __init__(
        self,
        world: World,
        timeout_s: float,
        progress: ProgressSink | None = None,
        schedulers: Sequence[RpcEndpointRef] = (),
        replacer: ExecutorReplacer | None = None,
        check_interval_s: float = 60.0,
    ) -> None:
        self.world = world
        self.progress = progress
        self.schedulers = schedulers
        self.replacer = replacer
        self.check_interval_s = check_interval_s
        self.heartbeats = Heartbeats(timeout_s)
        self.timer: asyncio.TimerHandle | None = None

    def on_start(self) -> None:
        """Begin to look for silent executors, if they can be replaced."""
        if self.replacer is not None:
            self.timer = self.world.call_later(self.check_interval_s, self.self_ref.send, ExpireDeadExecutors())

    def receive(self, message: ToHeartbeatReceiver, context: CallContext) -> None:
        """Handle one message."""
        heartbeats = self.heartbeats
        match message:
            case Heartbeat():
                context.reply(HeartbeatResponse(self.must_register(message)))
            case ExecutorAdded():
                heartbeats.added(message.executor_id, message.host, self.world.monotonic())
            case ExecutorRemoved():
                heartbeats.removed(message.executor_id)
            case TaskSchedulerIsSet():
                heartbeats.ready = True
            case ExpireDeadExecutors():
                # A message, not the timer itself: it stands behind the heartbeats that came while the loop was busy.
                for expired in heartbeats.expire(self.world.monotonic()):
                    self.give_up(expired)
                self.on_start()
            case _:
                assert_never(message)

    def must_register(self, heartbeat: Heartbeat) -> bool:
        """Take a heartbeat; tell whether its executor is to register again, which at the end nobody does."""
        if not self.heartbeats.heard(heartbeat.executor_id, self.world.monotonic()):
            return not self.heartbeats.stopped
        if heartbeat.tasks and self.progress is not None:
            self.progress(heartbeat.tasks)
        return False

    def give_up(self, expired: Expired) -> None:
        """Take an executor for lost, and have another one started."""
        reason = f"no heartbeat of it came for {expired.silence_s:.0f} s (minispark.network.timeout)"
        logger.warning("executor %s on %s is given up: %s", expired.executor_id, expired.host, reason)
        for scheduler in self.schedulers:
            scheduler.send(ExecutorRemoved(expired.executor_id, expired.host, reason, caused_by_app=True))
        assert self.replacer is not None
        self.replacer.kill_and_replace(expired.executor_id, reason)

    def application_ends(self) -> None:
        """Have nobody register or expire any more: executors are about to go by order."""
        self.heartbeats.stopped = True

    def on_stop(self) -> None:
        """Let the timer go."""
        self.application_ends()
        if self.timer is not None:
            self.timer.cancel()
