"""The endpoint "Master": feeds the machine of `logic.membership` and does what it says.

Composed by `start_master`, for the command, for a cluster inside one process and for simulations. Must not decide
anything; must not say a word after its leadership has ended. Source: Spark's Master.
"""

import asyncio
import functools
import logging
from collections.abc import Sequence
from typing import Final, assert_never

from minispark.conf import SparkConf
from minispark.deploy.election import Election
from minispark.deploy.logic.cluster import MasterRules
from minispark.deploy.logic.effects import (
    CompleteLater,
    Effect,
    Forget,
    Inform,
    Persist,
    Reply,
    ScheduleLater,
    Send,
    Warn,
)
from minispark.deploy.logic.membership import Membership
from minispark.deploy.logic.workers import CHECKS_PER_TIMEOUT
from minispark.deploy.persistence import RecoveryStore
from minispark.deploy.write_queue import WriteQueue
from minispark.errors import RecoveryStateError
from minispark.messages.deploy import ToMaster
from minispark.messages.deploy_clients import RequestDriverStatus, RequestMasterStatus
from minispark.messages.deploy_records import (
    CheckForWorkerTimeOut,
    CompleteRecovery,
    ElectedLeader,
    RevokedLeadership,
    ScheduleAgain,
    ToMasterItself,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress

__all__ = ["MASTER", "Master", "rules_of"]

MASTER: Final = "Master"

logger = logging.getLogger(__name__)


def rules_of(conf: SparkConf) -> MasterRules:
    """Return the settings that a master's decisions depend on."""
    return MasterRules(
        spread_out_apps=conf.deploy_spread_out_apps,
        spread_out_drivers=conf.deploy_spread_out_drivers,
        worker_selection_policy=conf.deploy_worker_selection_policy,
        default_cores=conf.deploy_default_cores,
        max_drivers=conf.deploy_max_drivers,
        max_executor_retries=conf.deploy_max_executor_retries,
        worker_timeout_s=conf.worker_timeout,
        dead_worker_persistence=conf.dead_worker_persistence,
        recovery_timeout_s=conf.deploy_recovery_timeout or conf.worker_timeout,
        retained_applications=conf.deploy_retained_applications,
        retained_drivers=conf.deploy_retained_drivers,
        decommission_enabled=conf.decommission_enabled,
    )


class Master(RpcEndpoint):
    """Gives the workers' resources to applications and drivers.

    Args:
        env: listens already: its address is what others are told.
        store: what the masters of this cluster share; None: there is no other, and nothing outlives this one.

    Attributes:
        ended: resolves with the reason when this master leads no more, and never shall again: its process is to end.
    """

    def __init__(self, env: RpcEnv, store: RecoveryStore | None = None) -> None:
        self.env = env
        self.world = env.world
        self.store = store
        self.election: Election | None = None
        self.queue: WriteQueue | None = None
        self.ended: asyncio.Future[str] = env.loop.create_future()
        self.machine: Membership
        self.timer: asyncio.TimerHandle | None = None

    def on_start(self) -> None:
        """Begin to lead, or to stand by."""
        assert self.env.address is not None, "a master's env listens before the master is there"
        self.machine = Membership(
            rules_of(self.env.conf),
            self.world.rng,
            self.self_ref,
            str(self.env.address),
            lambda address: self.env.bind(MASTER, address),
        )
        if self.store is None:
            self.advance(ElectedLeader(1, ()), NOBODY)
        else:
            lease_s = self.env.conf.deploy_leader_lease
            self.election = Election(self.env, self, self.store, lease_s, self.send_to_self)
            self.queue = WriteQueue(self.write, self.start_writing)
            self.env.scope.spawn(self.election.run(), name="election", owner=self)
        self.check_later()

    def receive(self, message: ToMaster | ToMasterItself, context: CallContext) -> None:
        """Handle one message."""
        if self.ended.done():
            return
        if isinstance(message, RevokedLeadership):
            self.step_down(message.text)
            return
        self.advance(message, context)
        if isinstance(message, CheckForWorkerTimeOut):
            self.check_later()

    def advance(
        self,
        message: ToMaster | CheckForWorkerTimeOut | CompleteRecovery | ElectedLeader | ScheduleAgain,
        context: CallContext,
    ) -> None:
        """Have the machine take a message, and do what comes of it."""
        try:
            self.machine.handle(message, self.world.monotonic(), self.world.wall())
        finally:
            effects = self.machine.take_effects()  # also after an error: the next asker must not get this one's reply
        if effects:
            # Those who only look need not wait for the disk.
            self.do_in_order(effects, context, at_once=isinstance(message, RequestMasterStatus | RequestDriverStatus))

    def on_disconnected(self, address: RpcAddress) -> None:
        """Have the machine take a peer for dead."""
        if self.ended.done():
            return
        self.machine.disconnected(address, self.world.monotonic(), self.world.wall())
        self.do_in_order(self.machine.take_effects(), NOBODY)

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        """Have the machine think of a peer that cannot be connected to."""
        if not self.ended.done():
            self.machine.unreachable(address, self.world.monotonic(), self.world.wall())
            self.do_in_order(self.machine.take_effects(), NOBODY)

    def do_in_order(self, effects: Sequence[Effect], context: CallContext, *, at_once: bool = False) -> None:
        """Do things when those before them are done, and what has to be on disk is."""
        if self.queue is None or at_once:
            self.perform_all(effects, context)
            return
        changes = [effect for effect in effects if isinstance(effect, Persist | Forget)]
        self.queue.add(changes, functools.partial(self.perform_all, effects, context))

    def perform_all(self, effects: Sequence[Effect], context: CallContext) -> None:
        """Do things in order, if this master may."""
        if self.may_speak():
            for effect in effects:
                self.perform(effect, context)

    def may_speak(self) -> bool:
        """Tell whether this master still leads, or never led; one whose time is over ends here."""
        if self.election is not None and self.election.term and not self.election.holds():
            self.step_down(f"term {self.election.term} is over: it was not renewed in time")
        return not self.ended.done()

    def start_writing(self, queue: WriteQueue) -> None:
        """Have records written in a task of its own."""
        self.env.scope.spawn(self.write_all(queue), name="write records", owner=self)

    async def write_all(self, queue: WriteQueue) -> None:
        """Write until nothing waits; whatever breaks that off, what waits will never be said."""
        try:
            await queue.drain()
        finally:
            if queue.draining:
                self.step_down("its records were not written")

    async def write(self, changes: Sequence[Persist | Forget]) -> None:
        """Put changes on disk; a master that cannot is of no use."""
        if not self.may_speak():
            return
        assert self.store is not None
        assert self.election is not None
        try:
            await self.world.run_blocking(self.store.write, self.election.term, changes)
        except (OSError, RecoveryStateError) as error:
            self.step_down(f"records cannot be written: {error}")

    def perform(self, effect: Effect, context: CallContext) -> None:
        """Do one thing that the machine wants done."""
        match effect:
            case Send():
                effect.to.send(effect.message)
            case Reply():
                context.reply(effect.message)
            case CompleteLater():
                self.later(effect.delay_s, CompleteRecovery(self.machine.cluster.term))
            case ScheduleLater():
                self.later(effect.delay_s, ScheduleAgain())
            case Inform():
                logger.info("%s", effect.text)
            case Warn():
                logger.warning("%s", effect.text)
            case Persist() | Forget():
                pass  # the queue has written it
            case _:
                assert_never(effect)

    def later(self, delay_s: float, message: ToMasterItself) -> asyncio.TimerHandle:
        """Take a message after a delay, unless the endpoint has stopped."""
        return self.world.call_later(delay_s, self.send_to_self, message)

    def send_to_self(self, message: ToMasterItself) -> None:
        """Take a message, behind those that came before it."""
        if self._ref is not None:
            self._ref.send(message)

    def check_later(self) -> None:
        """Look for silent workers after a while."""
        delay_s = self.env.conf.worker_timeout / CHECKS_PER_TIMEOUT
        self.timer = self.later(delay_s, CheckForWorkerTimeOut())

    def step_down(self, text: str) -> None:
        """Lead no more: from here on nothing is handled and nothing is said."""
        if not self.ended.done():
            logger.warning("this master ends: %s", text)
            self.ended.set_result(text)

    async def resign(self) -> None:
        """Finish what is begun, then let another master lead at once; for a master that is stopped in order."""
        if self.election is None or self.queue is None or self.ended.done():
            return
        finished = self.env.loop.create_future()
        self.queue.add((), lambda: finished.set_result(None))
        await finished
        self.step_down("it is stopped")
        await self.election.resign()

    def on_stop(self) -> None:
        """Let the timer go."""
        if self.timer is not None:
            self.timer.cancel()


class Nobody:
    """The context of what nobody asked for."""

    sender = None
    is_ask = False

    def reply(self, message: object) -> None:
        """Do nothing."""

    def send_failure(self, error: BaseException) -> None:
        """Do nothing."""


NOBODY: Final = Nobody()
