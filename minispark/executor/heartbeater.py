"""The executor's heartbeat: says now and then that it lives, and how far its tasks are. Source: Spark's Heartbeater.

Used by `Executor`. In local mode it beats only while tasks run: the driver does not doubt its own process, and an
idle context has no timer.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from minispark.errors import MiniSparkError
from minispark.ids import ExecutorId
from minispark.messages.heartbeat import Heartbeat, HeartbeatResponse, TaskProgress
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World

__all__ = ["MAX_FAILURES", "Heartbeater"]

MAX_FAILURES: Final = 60  # in a row, before the driver is taken for gone

logger = logging.getLogger(__name__)


class Heartbeater:
    """Sends heartbeats.

    Args:
        executor_id: whose.
        receiver: the driver's endpoint.
        interval_s: between two; an answer is waited for as long.
        world: timers.
        progress: says how far the running attempts are.
        reregister: has the executor register again, when the driver does not know it.
        driver_gone: called when no heartbeat was answered for `MAX_FAILURES` intervals; None: in local mode.
    """

    def __init__(
        self,
        executor_id: ExecutorId,
        receiver: RpcEndpointRef,
        interval_s: float,
        world: World,
        *,
        progress: Callable[[], tuple[TaskProgress, ...]],
        reregister: Callable[[], object],
        driver_gone: Callable[[str], object] | None = None,
    ) -> None:
        self.executor_id = executor_id
        self.receiver = receiver
        self.interval_s = interval_s
        self.world = world
        self.progress = progress
        self.reregister = reregister
        self.driver_gone = driver_gone
        self.timer: asyncio.TimerHandle | None = None
        self.failures = 0
        self.stopped = False

    def start(self) -> None:
        """See that heartbeats are sent from now on; nothing happens if they are."""
        if self.timer is None and not self.stopped:
            self.timer = self.world.call_later(self.interval_s, self.beat)

    def beat(self) -> None:
        """Send one, and the next one later; in local mode an executor at rest falls silent."""
        self.timer = None
        tasks = self.progress()
        if not tasks and self.driver_gone is None:
            return
        ask = self.receiver.ask(Heartbeat(self.executor_id, tasks), self.interval_s)
        ask.add_done_callback(self.answered)
        self.start()

    def answered(self, answer: "asyncio.Future[HeartbeatResponse]") -> None:
        """Take an answer, or that there is none."""
        try:
            response = answer.result()
        except (MiniSparkError, asyncio.CancelledError) as error:
            self.not_answered(f"{type(error).__name__}: {error}")
            return
        self.failures = 0
        if response.reregister and not self.stopped:
            logger.info("executor %s is not known to the driver and registers again", self.executor_id)
            self.reregister()

    def not_answered(self, error: str) -> None:
        """Count a heartbeat that was not answered."""
        if self.stopped:
            return
        self.failures += 1
        logger.warning(
            "heartbeat of executor %s failed %d times in a row: %s", self.executor_id, self.failures, error
        )
        if self.failures >= MAX_FAILURES and self.driver_gone is not None:
            self.stop()
            self.driver_gone(f"{self.failures} heartbeats in a row were not answered, the last one with {error}")

    def stop(self) -> None:
        """Send no more; what is answered late has no effect."""
        self.stopped = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
