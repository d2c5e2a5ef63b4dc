"""The endpoint "Worker": lends the cores and the memory of one host to applications, as the master says.

It finds the master and follows it through failures, takes its commands and tells it what became of them; its
`Tenants` do the work. `deploy.worker_process` puts it together. It must not see a task. Source: Spark's Worker.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from minispark.deploy.logic.registration import Attempt, Registration
from minispark.deploy.logic.tried import Tried
from minispark.deploy.master_watch import MasterWatch
from minispark.deploy.state_reports import StateReports
from minispark.deploy.tenants import Tenants
from minispark.ids import WorkerId
from minispark.messages.deploy import (
    ApplicationFinished,
    DecommissionWorker,
    DriverStateChanged,
    ExecutorStateChanged,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    MasterChanged,
    MasterInStandby,
    ReconnectWorker,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    ToWorker,
    WorkerDecommissioning,
    WorkerHeartbeat,
    WorkerLatestState,
    WorkerSchedulerStateResponse,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["MASTER", "WORKER", "Offer", "Worker"]

WORKER: Final = "Worker"
MASTER: Final = "Master"
BEATS_PER_TIMEOUT: Final = 4

logger = logging.getLogger(__name__)

Command = (
    RegisteredWorker
    | ReconnectWorker
    | MasterChanged
    | LaunchExecutor
    | KillExecutor
    | LaunchDriver
    | KillDriver
    | ApplicationFinished
    | DecommissionWorker
)


@dataclass(frozen=True)
class Offer:
    """What a worker offers.

    Args:
        worker_id: unique in the cluster, also over restarts.
        host: its name, as peers know it.
        cores: that applications may use.
        memory_bytes: that they may use.
        web_url: of its pages; empty if it has none.
    """

    worker_id: WorkerId
    host: str
    cores: int
    memory_bytes: int
    web_url: str = ""


class Worker(RpcEndpoint):
    """One worker.

    Args:
        env: listens already.
        offer: what it offers.
        registration: where the masters may be, and what it knows of them.
        tenants: what runs here.
        end: called with the reason when the worker cannot go on, and with an empty text when it is done.
    """

    def __init__(
        self,
        env: RpcEnv,
        offer: Offer,
        registration: Registration,
        tenants: Tenants,
        end: Callable[[str], object],
    ) -> None:
        self.env = env
        self.world = env.world
        self.offer = offer
        self.registration = registration
        self.tried = Tried(registration.masters)
        self.tenants = tenants
        self.end = end
        self.reports = StateReports(env.world, env.scope, env.conf.worker_executor_state_sync_attempts, end)
        self.watch = MasterWatch(env, env.conf.worker_timeout, self.master_lost)
        self.registration_timer: asyncio.TimerHandle | None = None
        self.timers: dict[str, asyncio.TimerHandle] = {}

    # -- the masters ---------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Look for a master; begin to send heartbeats and to clean up."""
        conf = self.env.conf
        self.look_for_master()
        self.every(conf.worker_timeout / BEATS_PER_TIMEOUT, "heartbeat", self.beat)
        if conf.worker_cleanup_enabled:
            self.every(conf.worker_cleanup_interval, "cleanup", self.clean_old)

    def every(self, interval_s: float, name: str, action: Callable[[], object]) -> None:
        """Do something again and again, first after one interval."""

        def turn() -> None:
            self.every(interval_s, name, action)
            action()

        self.timers[name] = self.world.call_later(interval_s, turn)

    def beat(self) -> None:
        """Tell the master that the worker lives."""
        master = self.registration.master
        if self.registration.registered and master is not None:
            master.send(WorkerHeartbeat(self.offer.worker_id, self.self_ref))

    def clean_old(self) -> None:
        """Remove the folders of what ended long ago."""
        self.env.scope.spawn(self.tenants.clean_old(), name="clean the worker's directory")

    def look_for_master(self) -> None:
        """Register, unless that is under way."""
        self.reports.follow(None)
        self.watch.follow(None)
        attempt = self.registration.begin()
        if attempt is not None:
            self.register(attempt)

    def try_again(self) -> None:
        """Register again after nobody answered, or give up."""
        attempt = self.registration.next()
        if attempt is None:
            self.end(f"no master answers; {self.tried}")
        else:
            self.register(attempt)

    def register(self, attempt: Attempt) -> None:
        """Ask masters to take this worker."""
        offer, service = self.offer, self.tenants.service
        port = service.address.port if service is not None else 0
        for address in attempt.masters:
            logger.info("registering with the master at %s", address)
            self.env.bind(MASTER, address).send(
                RegisterWorker(
                    offer.worker_id, offer.host, self.self_ref, offer.cores, offer.memory_bytes, address,
                    offer.web_url, port,
                )
            )  # fmt: skip
        self.registration_timer = self.world.call_later(attempt.wait_s, self.try_again)

    def accept(self, master: RpcEndpointRef, url: str) -> None:
        """Follow a master that has taken this worker, or that leads now and knows it."""
        self.stop_registering()
        self.registration.accepted(master)
        self.reports.follow(master)
        self.watch.follow(master)
        logger.info("the master is at %s", url)
        if self.tenants.state.decommissioned:
            master.send(WorkerDecommissioning(self.offer.worker_id, self.self_ref))

    def stop_registering(self) -> None:
        """Let the timer of attempts go."""
        if self.registration_timer is not None:
            self.registration_timer.cancel()

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        """Keep what went wrong, for the case that no master answers."""
        self.tried.failed(address, error)

    def on_disconnected(self, address: RpcAddress) -> None:
        """Register again when the leader's connection ended; what runs goes on."""
        if self.registration.is_leader(address):
            logger.warning("the connection to the master at %s ended", address)
            self.look_for_master()

    def master_lost(self, address: RpcAddress) -> None:
        """Register again when the leader answers nothing any more; what runs goes on."""
        if self.registration.is_leader(address):
            self.look_for_master()

    # -- messages ------------------------------------------------------------------------------------------------

    def receive(self, message: ToWorker | ExecutorStateChanged | DriverStateChanged, context: CallContext) -> None:
        """Handle one message: of a master, or of a runner about its process."""
        match message:
            case MasterInStandby():
                pass
            case RegisterWorkerFailed():
                if not self.registration.registered:
                    self.end(f"a master refused the worker: {message.text}")
            case ExecutorStateChanged():
                self.report(message)
                self.tenants.executor_changed(message)
                self.leave_if_done()
            case DriverStateChanged():
                self.report(message)
                self.tenants.driver_changed(message)
                self.leave_if_done()
            case _:
                if self.registration.terms.accepts(message.term):
                    self.obey(message)
                else:
                    self.ignore(message)

    def ignore(self, message: Command) -> None:
        """Do nothing that a master says which was superseded."""
        logger.warning(
            "%s ignored: it is of a master of term %d, and there was one of term %d already; if the masters' "
            "recovery directory was emptied since then, start this worker again",
            type(message).__name__, message.term, self.registration.terms.highest,
        )  # fmt: skip

    def report(self, message: ExecutorStateChanged | DriverStateChanged) -> None:
        """Have the master hear of a process, unless the worker itself ends."""
        if not self.tenants.ending:
            self.reports.add(message)

    def obey(self, message: Command) -> None:
        """Do what the leader says."""
        tenants = self.tenants
        match message:
            case RegisteredWorker() | ReconnectWorker() | MasterChanged():
                self.follow(message)
            case LaunchExecutor():
                tenants.launch_executor(message, self.self_ref)
            case KillExecutor():
                tenants.kill_executor(message.app_id, message.number)
            case LaunchDriver():
                tenants.launch_driver(message, self.self_ref)
            case KillDriver():
                tenants.kill_driver(message.driver_id)
            case ApplicationFinished():
                tenants.application_finished(message.app_id)
            case DecommissionWorker():
                self.decommission(tell=False)
            case _:
                assert_never(message)

    def follow(self, message: RegisteredWorker | ReconnectWorker | MasterChanged) -> None:
        """Take what the leader says of this worker's registration; answer with what runs here."""
        state, worker_id = self.tenants.state, self.offer.worker_id
        match message:
            case RegisteredWorker():
                if message.duplicate:
                    logger.info("the master at %s knew this worker already", message.master_url)
                self.accept(message.master, message.master_url)
                message.master.send(
                    WorkerLatestState(worker_id, tuple(state.executors.values()), tuple(state.drivers))
                )
            case MasterChanged():
                self.accept(message.master, message.master_url)
                message.master.send(
                    WorkerSchedulerStateResponse(worker_id, tuple(state.executors.values()), tuple(state.drivers))
                )
            case ReconnectWorker():
                logger.info("the master at %s wants this worker to register again", message.master_url)
                self.look_for_master()
            case _:
                assert_never(message)

    # -- the end -------------------------------------------------------------------------------------------------

    def decommission(self, *, tell: bool = True) -> None:
        """Start nothing new, let what runs finish, then end.

        Args:
            tell: whether the master, and through it the drivers, are to be told; not if the master said so.
        """
        state, master = self.tenants.state, self.registration.master
        if state.decommissioned:
            return
        state.decommissioned = True
        logger.info("the worker starts nothing any more")
        if tell and self.registration.registered and master is not None:
            master.send(WorkerDecommissioning(self.offer.worker_id, self.self_ref))
        self.leave_if_done()

    def leave_if_done(self) -> None:
        """End if the worker is to go and nothing runs any more, once the master has heard of all ends."""
        state = self.tenants.state
        if state.decommissioned and state.is_idle and not self.tenants.ending:
            self.env.scope.spawn(self.leave(), name="leave the cluster")

    async def leave(self) -> None:
        """End when all is reported."""
        await self.reports.settled()
        self.end("")

    def on_stop(self) -> None:
        """Let the timers go."""
        self.stop_registering()
        self.watch.follow(None)
        for timer in self.timers.values():
            timer.cancel()
