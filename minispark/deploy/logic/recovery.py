"""Recovery: a new leader finds out who of those on disk is still there, then rules.

A part of the master's machine (`logic.membership`). Until all have answered, or the time for it is up, nothing is
started. Source: Spark's Master: beginRecovery, completeRecovery.
"""

from minispark.deploy.logic.applications import Applications
from minispark.deploy.logic.cluster import Cluster
from minispark.deploy.logic.drivers import Drivers
from minispark.deploy.logic.effects import CompleteLater
from minispark.deploy.logic.members import Driver, Executor, Worker
from minispark.deploy.logic.workers import Workers
from minispark.ids import DriverId
from minispark.messages.deploy import (
    MasterChangeAcknowledged,
    MasterChanged,
    WorkerLatestState,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_records import ApplicationEntry, DriverEntry, ElectedLeader, WorkerEntry
from minispark.messages.deploy_values import (
    ApplicationState,
    DriverState,
    ExecutorRecord,
    ExecutorState,
    MasterState,
    WorkerState,
)

__all__ = ["Recovery"]


class Recovery:
    """From the election to the rule."""

    def __init__(self, cluster: Cluster, workers: Workers, applications: Applications, drivers: Drivers) -> None:
        self.cluster = cluster
        self.workers = workers
        self.applications = applications
        self.drivers = drivers

    def elected(self, election: ElectedLeader) -> None:
        """Begin to lead: ask those on disk whether they are there; at once if nobody is to be waited for."""
        cluster = self.cluster
        assert cluster.phase is MasterState.STANDBY, "a master is elected once"
        cluster.term = election.term
        cluster.phase = MasterState.RECOVERING
        cluster.inform(f"this master leads in term {election.term}; {len(election.entries)} records are read")
        changed = MasterChanged(cluster.term, cluster.master, cluster.url)
        for entry in election.entries:
            match entry:
                case ApplicationEntry():
                    app = self.applications.add(entry)
                    app.state = ApplicationState.UNKNOWN
                    app.next_number = entry.numbers_below
                    cluster.send(entry.app_client, changed)
                case WorkerEntry():
                    self.workers.add(entry).state = WorkerState.UNKNOWN
                    cluster.send(entry.worker, changed)
                case DriverEntry():
                    driver = cluster.drivers[entry.driver_id] = Driver(entry)
                    driver.state = DriverState.UNKNOWN
        self.complete_if_all_answered()
        if cluster.phase is MasterState.RECOVERING:
            cluster.effects.append(CompleteLater(cluster.rules.recovery_timeout_s))

    def app_answered(self, answer: MasterChangeAcknowledged) -> None:
        """Take note that an application is there."""
        app = self.cluster.apps.get(answer.app_id)
        if app is None:
            self.cluster.warn(f"application {answer.app_id}, which is not known here, answers")
        else:
            self.applications.acknowledged(app)

    def worker_answered(self, answer: WorkerSchedulerStateResponse | WorkerLatestState) -> None:
        """Take over what runs on a worker; what cannot be taken over is ended."""
        worker = self.cluster.workers.get(answer.worker_id)
        if worker is not None:
            worker.heard_s = self.cluster.now_s
            if worker.state is WorkerState.UNKNOWN:
                worker.state = WorkerState.ALIVE
            # Drivers first: they may have the room of executors that were being ended when the last master did.
            for driver_id in answer.driver_ids:
                self.take_driver(worker, driver_id)
            for executor in answer.executors:
                self.take_executor(worker, executor)
        self.workers.kill_strangers(answer)

    def take_driver(self, worker: Worker, driver_id: DriverId) -> None:
        """Take a driver over if it was given to this worker, which has room for it."""
        driver = self.cluster.drivers.get(driver_id)
        if driver is None or driver.worker is not None or driver.entry.worker_id != worker.worker_id:
            return
        if worker.has_room(driver.entry.description.cores, driver.entry.description.memory_bytes):
            worker.add_driver(driver)
            driver.state = DriverState.RUNNING

    def take_executor(self, worker: Worker, running: ExecutorRecord) -> None:
        """Take an executor over if its application is known, its worker has room and it has not ended."""
        app = self.cluster.apps.get(running.app_id)
        if app is None or running.state.is_finished or (running.app_id, running.number) in worker.executors:
            return
        fits = worker.has_room(running.cores, running.memory_bytes)
        if not fits or running.number in app.executors or running.number >= app.entry.numbers_below:
            return
        executor = Executor(app, worker, running.number, running.cores, running.memory_bytes)
        executor.state = running.state
        worker.add_executor(executor)
        app.add_executor(executor)
        if running.state is ExecutorState.DECOMMISSIONED:
            app.let_go(executor)

    def complete_if_all_answered(self) -> None:
        """End the recovery if nobody is waited for."""
        cluster = self.cluster
        silent = any(worker.state is WorkerState.UNKNOWN for worker in cluster.workers.values())
        if not silent and not any(app.state is ApplicationState.UNKNOWN for app in cluster.apps.values()):
            self.complete()

    def complete(self) -> None:
        """Give up who did not answer, put in line what nobody runs, and rule."""
        cluster = self.cluster
        cluster.phase = MasterState.COMPLETING_RECOVERY
        for worker in [each for each in cluster.workers.values() if each.state is WorkerState.UNKNOWN]:
            self.workers.remove(worker, "it did not answer the new master")
        for app in list(cluster.apps.values()):
            if app.state is ApplicationState.UNKNOWN:
                self.applications.remove(app, ApplicationState.FINISHED, "it did not answer the new master")
            elif app.executors:
                app.state = ApplicationState.RUNNING
        for driver in [each for each in cluster.drivers.values() if each.state is DriverState.UNKNOWN]:
            if driver.entry.worker_id:
                self.drivers.lost(driver, "no worker runs it after a change of masters")
            else:
                driver.state = DriverState.SUBMITTED
                self.drivers.wait(driver)
        cluster.phase = MasterState.ALIVE
        cluster.changed = True
        cluster.inform(f"recovery is complete: {len(cluster.workers)} workers, {len(cluster.apps)} applications")
