"""The endpoint "AppClient": an application's line to the masters of a cluster. Made by the standalone backend.

It registers the application, follows the leader, passes the backend's wishes on and tells it what the master says.
It must not know what executors are used for. Source: Spark's StandaloneAppClient.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol, assert_never

from minispark.deploy.logic.app_registration import ROUND_S, ROUNDS, AppRegistration, Registered
from minispark.deploy.logic.terms import Terms
from minispark.deploy.logic.tried import Tried
from minispark.deploy.master_watch import MasterWatch
from minispark.errors import RpcError
from minispark.ids import ApplicationId, ExecutorId, WorkerId
from minispark.messages.deploy import (
    ApplicationRemoved,
    ExecutorAllotted,
    ExecutorUpdated,
    KillExecutors,
    MasterChangeAcknowledged,
    MasterChanged,
    MasterInStandby,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    ToAppClient,
    UnregisterApplication,
    WorkerRemoved,
)
from minispark.messages.deploy_clients import RequestMasterStatus
from minispark.messages.deploy_values import Acknowledged, ApplicationDescription, ExecutorState, MasterState
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Ask
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["APP_CLIENT", "AppClient", "AppClientListener"]

APP_CLIENT: Final = "AppClient"
MASTER: Final = "Master"
STOP_S: Final = 2.0
STATUS_S: Final = 5.0

logger = logging.getLogger(__name__)


class AppClientListener(Protocol):
    """What the backend hears; called on the loop, never from inside a method of the client that it called."""

    def connected(self, app_id: ApplicationId) -> None:
        """The application is registered under this id; said once."""

    def disconnected(self) -> None:
        """The leader cannot be reached; what runs goes on, and a new leader will announce itself."""

    def dead(self, reason: str) -> None:
        """No master answers, or the master removed the application; said once, and nothing after it."""

    def executor_added(
        self, executor_id: ExecutorId, worker_id: WorkerId, host: str, cores: int, memory_bytes: int
    ) -> None:
        """A worker is about to start this executor."""

    def executor_removed(
        self, executor_id: ExecutorId, text: str, exit_code: int | None, worker_host: str, *, worker_lost: bool
    ) -> None:
        """An executor has ended; `exit_code` (negative: the signal) if it is known.

        `worker_lost`: all of that host's worker, its shuffle service too, is gone.
        """

    def executor_decommissioned(self, executor_id: ExecutorId, text: str, worker_host: str) -> None:
        """An executor will go away soon; `worker_host` is empty unless its whole host goes."""

    def worker_removed(self, worker_id: WorkerId, host: str, text: str) -> None:
        """A worker is gone."""


class AppClient(RpcEndpoint):
    """An application's registration with the cluster; `setup_endpoint(APP_CLIENT, client)` starts it.

    Args:
        env: the driver's.
        masters: where masters may be; all are asked, and the leader answers.
        description: of the application.
        listener: told what happens.
    """

    def __init__(
        self,
        env: RpcEnv,
        masters: Sequence[RpcAddress],
        description: ApplicationDescription,
        listener: AppClientListener,
    ) -> None:
        self.env = env
        self.masters = tuple(masters)
        self.description = description
        self.listener = listener
        self.registration = AppRegistration()
        self.terms = Terms()
        self.tried = Tried(self.masters)
        self.timer: asyncio.TimerHandle | None = None
        self.watch = MasterWatch(env, env.conf.network_timeout, self.on_disconnected)

    def on_start(self) -> None:
        """Register with all masters."""
        self.next_round()

    def next_round(self) -> None:
        """Register again if no master has answered yet, or give up."""
        registration = self.registration
        if registration.app_id is not None or registration.ended:
            return
        if not registration.begin_round():
            self.end(f"no master answered within {ROUNDS * ROUND_S:g} s; {self.tried}")
            return
        for address in self.masters:
            logger.info("registering with the master at %s", address)
            self.env.bind(MASTER, address).send(RegisterApplication(self.description, self.self_ref))
        self.timer = self.env.world.call_later(ROUND_S, self.next_round)

    def receive(self, message: ToAppClient, context: CallContext) -> None:
        """Handle one message of a master."""
        if isinstance(message, MasterInStandby):
            return
        if self.registration.ended:
            self.decline(message)
            return
        if not self.terms.accepts(message.term):
            logger.warning("%s of a master of term %d ignored", type(message).__name__, message.term)
            return
        match message:
            case RegisteredApplication():
                self.on_registered(message)
            case MasterChanged():
                self.on_master_changed(message)
            case ExecutorAllotted():
                self.listener.executor_added(
                    executor_id(message.number), message.worker_id, message.host, message.cores, message.memory_bytes
                )
            case ExecutorUpdated():
                self.on_updated(message)
            case WorkerRemoved():
                self.listener.worker_removed(message.worker_id, message.host, message.text)
            case ApplicationRemoved():
                self.end(f"the master removed the application: {message.text}")
            case _:
                assert_never(message)

    def decline(self, message: ToAppClient) -> None:
        """Give back, once it has all ended, what a slow master has registered."""
        if isinstance(message, RegisteredApplication):
            message.master.send(UnregisterApplication(message.app_id))

    def on_registered(self, message: RegisteredApplication) -> None:
        """Take the application's id."""
        self.trust(message.master)
        outcome = self.registration.registered(message.app_id, message.master)
        if outcome is not Registered.TWICE:
            self.watch.follow(message.master)
        if outcome is Registered.NEW:
            self.stop_timer()
            logger.info("registered with %s as %s", message.master_url, message.app_id)
            self.listener.connected(message.app_id)
        elif outcome is Registered.TWICE:
            message.master.send(UnregisterApplication(message.app_id))

    def on_master_changed(self, message: MasterChanged) -> None:
        """Tell a new leader that the application is there, and what it wants: only its description is on disk."""
        self.trust(message.master)
        registration = self.registration
        app_id = registration.master_changed(message.master)
        if app_id is None:
            return
        self.watch.follow(message.master)
        logger.info("the master at %s leads now", message.master_url)
        message.master.send(MasterChangeAcknowledged(app_id))
        if registration.wanted is not None:
            request = self.request(RequestExecutors(app_id, registration.wanted))
            self.env.scope.spawn(request, name="request executors of a new master")

    def on_updated(self, message: ExecutorUpdated) -> None:
        """Tell of an executor that ended, or is about to."""
        name = executor_id(message.number)
        logger.info("executor %s is %s %s", name, message.state.name, message.text)
        if message.state.is_finished:
            self.listener.executor_removed(
                name, message.text, message.exit_code, message.worker_host, worker_lost=message.worker_lost
            )
        elif message.state is ExecutorState.DECOMMISSIONED:
            self.listener.executor_decommissioned(name, message.text, message.worker_host)

    def trust(self, master: RpcEndpointRef) -> None:
        """Prove the cluster's secret to a master also where its own address is not the one that we were told."""
        secret = self.env.secrets.get(CLUSTER_REALM)
        if master.address is not None and secret is not None:
            self.env.add_realm(CLUSTER_REALM, secret, (master.address,))

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        """Keep what went wrong, for the case that no master answers."""
        self.tried.failed(address, error)

    def on_disconnected(self, address: RpcAddress) -> None:
        """Tell when it was the leader's connection that ended."""
        registration = self.registration
        if registration.master is None or registration.master.address != address or registration.ended:
            return
        if registration.master_lost():
            logger.warning("the master at %s is lost; waiting for a master", address)
            self.watch.follow(None)
            self.listener.disconnected()
            self.ask_later()

    def ask_later(self) -> None:
        """Ask in a while what became of the application, unless a leader has announced itself."""
        self.stop_timer()
        self.timer = self.env.world.call_later(ROUND_S, self.ask_again)

    def ask_again(self) -> None:
        """Ask now, if that is still of interest."""
        if not self.registration.connected and not self.registration.ended:
            self.env.scope.spawn(self.ask_leader(), name="ask whether the application is known")

    async def ask_leader(self) -> None:
        """Find out whether a leader that could not reach this application has given it up: nobody else would tell."""
        for address in self.masters:
            try:
                status = await self.env.bind(MASTER, address).ask(RequestMasterStatus(), STATUS_S)
            except RpcError as error:
                logger.debug("%s does not say whether the application is known: %s", address, error)
                continue
            known = self.registration.app_id in [app.app_id for app in status.active_apps]
            if status.state is not MasterState.ALIVE or not self.terms.accepts(status.term):
                continue
            if not known:
                self.end(f"the master at {status.url} does not know the application any more")
            elif self.registration.master_found(address):
                logger.info("the master at %s is there again", status.url)
                self.watch.follow(self.registration.master)
        if not self.registration.ended and not self.registration.connected:
            self.ask_later()

    async def request_total_executors(self, total: int) -> bool:
        """Ask for this many executors in all, running and starting ones included.

        Returns False before the registration, and if the master did not take it.
        """
        app_id = self.registration.app_id
        if app_id is None:
            return False
        self.registration.wanted = total
        return await self.request(RequestExecutors(app_id, total))

    async def kill_executors(self, executor_ids: Sequence[ExecutorId]) -> bool:
        """Have executors ended; returns False before the registration, and if the master did not take it."""
        app_id = self.registration.app_id
        return app_id is not None and await self.request(KillExecutors(app_id, tuple(executor_ids)))

    async def request(self, message: Ask[Acknowledged]) -> bool:
        """Ask the leader."""
        master = self.registration.master
        if master is None or self.registration.ended:
            return False
        try:
            answer = await master.ask(message)
        except RpcError as error:
            level = logging.WARNING if self.registration.connected else logging.DEBUG  # that it is lost was said
            logger.log(level, "%s failed: %s", type(message).__name__, error)
            return False
        if not answer.done:
            logger.warning("the master did not take %s: %s", type(message).__name__, answer.text)
        return answer.done

    def end(self, reason: str) -> None:
        """Report that the application is not part of the cluster any more."""
        self.stop_timer()
        self.watch.follow(None)
        if self.registration.end():
            logger.error("%s", reason)
            self.listener.dead(reason)

    async def stop(self) -> None:
        """Unregister the application and wait a moment until the master knows; nothing is reported any more.

        The endpoint stays until its env closes: masters may still tell of executors that end.
        """
        registration = self.registration
        self.stop_timer()
        self.watch.follow(None)
        if registration.end() and registration.master is not None and registration.app_id is not None:
            registration.master.send(UnregisterApplication(registration.app_id))
            await self.arrived(registration.master)

    async def arrived(self, master: RpcEndpointRef) -> None:
        """Wait until a master has got what was sent: a question after it, on the same line, was answered."""
        if master.address is None:
            return
        try:
            async with asyncio.timeout(STOP_S):
                await self.env.lookup(master.address, MASTER)
        except (RpcError, TimeoutError) as error:
            logger.info("the master may not know that the application has ended: %s", error)

    def stop_timer(self) -> None:
        """Register no more."""
        if self.timer is not None:
            self.timer.cancel()

    def on_stop(self) -> None:
        """Let the timer go; nothing is reported from now on."""
        self.registration.end()
        self.stop_timer()
        self.watch.follow(None)


def executor_id(number: int) -> ExecutorId:
    """Return the name of an executor in its application."""
    return ExecutorId(str(number))
