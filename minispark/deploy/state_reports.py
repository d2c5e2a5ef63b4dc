"""Tells the master what became of executors and drivers until it has heard of it. Used by the worker alone.

A report that is lost would leave cores taken for ever at the master, so each one is an ask, tried again while masters
change; after enough failures the worker gives up and ends, which the master does notice. Reports of one executor or
driver arrive in their order. Source: Spark's Worker.syncExecutorStateWithMaster.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from minispark.messages.deploy import DriverStateChanged, ExecutorStateChanged
from minispark.messages.deploy_values import Acknowledged
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["RETRY_S", "StateReports"]

RETRY_S = 5.0

Report = ExecutorStateChanged | DriverStateChanged

logger = logging.getLogger(__name__)


class StateReports:
    """The reports that no master has confirmed yet.

    Args:
        world: timers.
        scope: owns the tasks.
        max_attempts: how often one report may fail.
        give_up: called with the reason when one failed too often.

    Attributes:
        leader: the master, set while the worker is registered with it.
    """

    def __init__(self, world: World, scope: TaskScope, max_attempts: int, give_up: Callable[[str], object]) -> None:
        self.world = world
        self.scope = scope
        self.max_attempts = max_attempts
        self.give_up = give_up
        self.leader: RpcEndpointRef | None = None
        self.has_leader = asyncio.Event()
        self.open: dict[asyncio.Future[Acknowledged], None] = {}
        self.waiting: dict[str, deque[Report]] = {}
        self.nothing_waits = asyncio.Event()
        self.nothing_waits.set()

    def follow(self, leader: RpcEndpointRef | None) -> None:
        """Report to this master from now on; None: wait for one, which costs no attempts.

        What was asked of another one, which may stand still, is asked again.
        """
        if leader != self.leader:
            for ask in self.open:
                ask.cancel()
        self.leader = leader
        if leader is None:
            self.has_leader.clear()
        else:
            self.has_leader.set()

    def add(self, report: Report) -> None:
        """Report something."""
        subject = subject_of(report)
        line = self.waiting.get(subject)
        if line is not None:
            line.append(report)
            return
        self.waiting[subject] = deque((report,))
        self.nothing_waits.clear()
        self.scope.spawn(self.send_all(subject), name=f"reports of {subject}")

    async def send_all(self, subject: str) -> None:
        """Send the reports of one executor or driver, one after the other."""
        line = self.waiting[subject]
        try:
            while line:
                if not await self.send(line[0]):
                    self.give_up(f"the master does not take that {subject} is {line[0].state.name}")
                    return
                line.popleft()
        finally:
            del self.waiting[subject]
            if not self.waiting:
                self.nothing_waits.set()

    async def settled(self) -> None:
        """Wait until every report is confirmed, or given up."""
        await self.nothing_waits.wait()

    async def send(self, report: Report) -> bool:
        """Send one report until it is confirmed; return False if that failed too often."""
        failures = 0
        while failures < self.max_attempts:
            if failures:
                await self.world.sleep(RETRY_S)
            await self.has_leader.wait()
            assert self.leader is not None
            ask = self.leader.ask(report)
            self.open[ask] = None
            await asyncio.wait((ask,))
            del self.open[ask]
            if ask.cancelled():
                continue  # another master leads
            error = ask.exception()
            if error is None:
                return True
            failures += 1
            logger.warning("attempt %d to report to the master failed: %s", failures, error)
        return False


def subject_of(report: Report) -> str:
    """Return what a report is about."""
    if isinstance(report, ExecutorStateChanged):
        return f"executor {report.app_id}/{report.number}"
    return f"driver {report.driver_id}"
