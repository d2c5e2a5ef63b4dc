"""Membership: the machine of a master. Messages in, effects out; `deploy.master` feeds it and does what it says.

One object takes every message of the Master endpoint; its parts share the tables of `logic.cluster`: workers,
applications, drivers, recovery, and scheduling, which runs after each message that changed what is free or wanted.
Source: Spark's Master.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from minispark.deploy.logic.applications import Applications
from minispark.deploy.logic.cluster import Cluster, MasterRules
from minispark.deploy.logic.drivers import Drivers
from minispark.deploy.logic.effects import Effect, Reply
from minispark.deploy.logic.recovery import Recovery
from minispark.deploy.logic.scheduling import Scheduling
from minispark.deploy.logic.status import driver_status, master_status
from minispark.deploy.logic.workers import Workers
from minispark.ids import DriverId
from minispark.messages.deploy import (
    DriverStateChanged,
    ExecutorStateChanged,
    KillExecutors,
    MasterChangeAcknowledged,
    MasterInStandby,
    RegisterApplication,
    RegisterWorker,
    RequestExecutors,
    ToMaster,
    UnregisterApplication,
    WorkerDecommissioning,
    WorkerHeartbeat,
    WorkerLatestState,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_clients import (
    DecommissionWorkersOnHosts,
    RequestDriverStatus,
    RequestKillDriver,
    RequestMasterStatus,
    RequestSubmitDriver,
    SubmitDriverResponse,
)
from minispark.messages.deploy_records import CheckForWorkerTimeOut, CompleteRecovery, ElectedLeader, ScheduleAgain
from minispark.messages.deploy_values import Acknowledged, ApplicationState, MasterState
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

if TYPE_CHECKING:
    from random import Random

__all__ = ["Membership"]

STANDBY_TEXT = "this master is on standby; another one leads"


class Membership:
    """Who belongs to the cluster and what each of them has.

    Args:
        rules: settings.
        rng: spreads drivers.
        master: the Master endpoint, for those who are to answer.
        url: its address, for people.
        master_at: the same endpoint under another address of its.
    """

    def __init__(
        self,
        rules: MasterRules,
        rng: "Random",
        master: RpcEndpointRef,
        url: str,
        master_at: Callable[[RpcAddress], RpcEndpointRef],
    ) -> None:
        self.cluster = Cluster(rules, rng, master, url, master_at)
        self.drivers = Drivers(self.cluster)
        self.applications = Applications(self.cluster)
        self.workers = Workers(self.cluster, self.applications, self.drivers)
        self.recovery = Recovery(self.cluster, self.workers, self.applications, self.drivers)
        self.scheduling = Scheduling(self.cluster)

    def handle(
        self,
        message: ToMaster | CheckForWorkerTimeOut | CompleteRecovery | ElectedLeader | ScheduleAgain,
        now_s: float,
        wall_s: float,
    ) -> None:
        """Handle one message; what is to be done is in `take_effects`.

        Args:
            message: to the Master endpoint.
            now_s: monotonic.
            wall_s: since the epoch.
        """
        cluster = self.cluster
        cluster.now_s, cluster.wall_s = now_s, wall_s
        if message.__class__ is WorkerHeartbeat and cluster.phase is not MasterState.STANDBY:
            self.workers.heartbeat(message)
            return
        if cluster.phase is MasterState.STANDBY and not isinstance(message, ElectedLeader):
            self.stand_by(message)
            return
        self.dispatch(message)
        self.settle()

    def settle(self) -> None:
        """End a recovery that waits for nobody, and place what can be placed."""
        cluster = self.cluster
        if cluster.phase is MasterState.RECOVERING:
            self.recovery.complete_if_all_answered()
        if cluster.changed and cluster.phase is MasterState.ALIVE:
            cluster.changed = False
            self.scheduling.schedule()

    def dispatch(  # noqa: C901  # one match, one line a case
        self, message: ToMaster | CheckForWorkerTimeOut | CompleteRecovery | ElectedLeader | ScheduleAgain
    ) -> None:
        """Hand a message to its part."""
        match message:
            case WorkerHeartbeat():
                self.workers.heartbeat(message)
            case ExecutorStateChanged():
                self.applications.executor_state_changed(message)
            case RegisterWorker():
                self.workers.register(message)
            case WorkerLatestState() | WorkerSchedulerStateResponse():
                self.worker_state(message)
            case WorkerDecommissioning():
                worker = self.cluster.workers.get(message.worker_id)
                if worker is not None:
                    self.workers.decommission(worker)
            case RegisterApplication():
                self.applications.register(message)
            case UnregisterApplication():
                self.applications.unregister(message)
            case MasterChangeAcknowledged():
                self.recovery.app_answered(message)
            case RequestExecutors():
                self.applications.request_executors(message)
            case KillExecutors():
                self.applications.kill_executors(message)
            case DriverStateChanged():
                self.drivers.state_changed(message)
            case CheckForWorkerTimeOut():
                self.workers.check_silence()
            case ElectedLeader():
                self.recovery.elected(message)
            case ScheduleAgain():
                self.cluster.changed = True
            case CompleteRecovery():
                if self.cluster.phase is MasterState.RECOVERING and message.term == self.cluster.term:
                    self.recovery.complete()
            case _:
                self.answer_client(message)

    def answer_client(
        self,
        request: RequestSubmitDriver
        | RequestKillDriver
        | RequestDriverStatus
        | RequestMasterStatus
        | DecommissionWorkersOnHosts,
    ) -> None:
        """Hand a client's request to its part."""
        match request:
            case RequestMasterStatus():
                self.cluster.effects.append(Reply(master_status(self.cluster)))
            case RequestDriverStatus():
                self.cluster.effects.append(Reply(driver_status(self.cluster, request.driver_id)))
            case RequestSubmitDriver():
                self.drivers.submit(request)
            case RequestKillDriver():
                self.drivers.kill(request)
            case DecommissionWorkersOnHosts():
                self.workers.decommission_hosts(request)
            case _:
                assert_never(request)

    def worker_state(self, report: WorkerLatestState | WorkerSchedulerStateResponse) -> None:
        """Take over what a worker runs, or have ended what is not known."""
        if self.cluster.phase is MasterState.RECOVERING:
            self.recovery.worker_answered(report)
        else:
            self.workers.kill_strangers(report)

    def stand_by(self, message: ToMaster | CheckForWorkerTimeOut | CompleteRecovery | ScheduleAgain) -> None:
        """Send people on to the leader, wherever it is."""
        cluster = self.cluster
        match message:
            case RegisterWorker() | WorkerDecommissioning():
                cluster.send(message.worker, MasterInStandby())
            case RegisterApplication():
                cluster.send(message.app_client, MasterInStandby())
            case RequestSubmitDriver():
                cluster.effects.append(Reply(SubmitDriverResponse(DriverId(""), STANDBY_TEXT)))
            case RequestMasterStatus() | RequestDriverStatus():
                self.answer_client(message)
            case (
                ExecutorStateChanged()
                | DriverStateChanged()
                | RequestExecutors()
                | KillExecutors()
                | RequestKillDriver()
                | DecommissionWorkersOnHosts()
            ):
                cluster.effects.append(Reply(Acknowledged(False, STANDBY_TEXT)))
            case _:
                pass  # heartbeats and answers are for the leader

    def disconnected(self, address: RpcAddress, now_s: float, wall_s: float) -> None:
        """Take a worker or an application for dead whose connection ended."""
        cluster = self.cluster
        cluster.now_s, cluster.wall_s = now_s, wall_s
        worker, app = cluster.worker_at.get(address), cluster.app_at.get(address)
        if worker is not None:
            self.workers.remove(worker, f"the connection to {address} ended")
        if app is not None:
            self.applications.remove(app, ApplicationState.FINISHED, f"the connection to {address} ended")
        self.settle()

    def unreachable(self, address: RpcAddress, now_s: float, wall_s: float) -> None:
        """Take a peer for dead that cannot be connected to, because it never heard what it was told to do.

        In a recovery, where it was told nothing but who leads, it has its time to answer all the same.
        """
        if self.cluster.phase is not MasterState.RECOVERING:
            self.disconnected(address, now_s, wall_s)

    def take_effects(self) -> list[Effect]:
        """Return what is to be done, once."""
        taken, self.cluster.effects = self.cluster.effects, []
        return taken

    def check(self) -> None:
        """Assert the invariants."""
        self.cluster.check()
