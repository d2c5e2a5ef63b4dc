"""Workers: registered, heard of, silent, leaving, gone.

A part of the master's machine (`logic.membership`). A heartbeat costs one look-up; silent workers are found by a scan
now and then. Source: Spark's Master.
"""

import re

from minispark.deploy.logic.applications import Applications
from minispark.deploy.logic.cluster import Cluster
from minispark.deploy.logic.drivers import Drivers
from minispark.deploy.logic.effects import Forget, Persist, Reply
from minispark.deploy.logic.members import Worker
from minispark.messages.deploy import (
    DecommissionWorker,
    ExecutorUpdated,
    KillDriver,
    KillExecutor,
    ReconnectWorker,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerHeartbeat,
    WorkerLatestState,
    WorkerRemoved,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_clients import DecommissionWorkersOnHosts
from minispark.messages.deploy_records import WorkerEntry
from minispark.messages.deploy_values import Acknowledged, ExecutorState, WorkerState

__all__ = ["CHECKS_PER_TIMEOUT", "Workers"]

CHECKS_PER_TIMEOUT = 4
"""How often silent workers are looked for within `minispark.worker.timeout`."""

WORKER_ID = re.compile(r"[\w.:\[\]-]{1,200}", re.ASCII)  # it is part of a file's name


class Workers:
    """The workers of the cluster."""

    def __init__(self, cluster: Cluster, applications: Applications, drivers: Drivers) -> None:
        self.cluster = cluster
        self.applications = applications
        self.drivers = drivers
        self.checked_s: float | None = None

    # -- coming --------------------------------------------------------------------------------------------------

    def register(self, request: RegisterWorker) -> None:
        """Take a worker in; one that is known is told so, and goes on with what it runs.

        In a recovery it is UNKNOWN until it has said what that is, which it does when it gets the answer: to rule
        before that would be to give its cores away and to have its executors ended as strangers.
        """
        cluster = self.cluster
        known = cluster.workers.get(request.worker_id)
        if known is not None:
            known.heard_s = cluster.now_s
        else:
            refusal = self.refusal(request)
            if refusal:
                cluster.warn(f"worker {request.worker_id!r} is refused: {refusal}")
                cluster.send(request.worker, RegisterWorkerFailed(refusal))
                return
            self.add_new(request)
        # By the address that the worker used: another one of this master may not be reachable from there.
        master, url = cluster.master_at(request.master), str(request.master)
        cluster.send(request.worker, RegisteredWorker(cluster.term, master, url, known is not None))

    def refusal(self, request: RegisterWorker) -> str:
        """Return why a worker cannot be taken; empty if it can."""
        address = request.worker.address
        if address is None:
            return "its env does not listen: nobody could tell when it dies"
        if not WORKER_ID.fullmatch(request.worker_id):
            return "a worker's id has 1 to 200 letters, digits and . : [ ] _ -"
        here = self.cluster.worker_at.get(address)
        if here is not None and here.state is not WorkerState.UNKNOWN:
            return f"there is already a worker at {address}: {here.worker_id}"
        return ""

    def add_new(self, request: RegisterWorker) -> None:
        """Put a worker into the tables and on disk; who was there before it is gone."""
        cluster, address = self.cluster, request.worker.address
        assert address is not None
        here = cluster.worker_at.get(address)
        if here is not None:
            self.remove(here, f"{request.worker_id} has its address now")
        for worker in [dead for dead in cluster.dead.values() if dead.entry.worker.address == address]:
            del cluster.dead[worker.worker_id]
        cluster.dead.pop(request.worker_id, None)
        entry = WorkerEntry(
            request.worker_id, request.host, request.worker, request.cores, request.memory_bytes, request.web_url,
            request.shuffle_port,
        )  # fmt: skip
        cluster.effects.append(Persist(entry))
        self.add(entry)
        cluster.inform(f"worker {entry.worker_id} is registered: {entry.cores} cores, {entry.memory_bytes >> 20} MiB")

    def add(self, entry: WorkerEntry) -> Worker:
        """Put a worker into the tables."""
        cluster, address = self.cluster, entry.worker.address
        assert address is not None
        worker = Worker(entry, cluster.now_s)
        cluster.workers[entry.worker_id] = cluster.worker_at[address] = worker
        cluster.changed = True
        return worker

    def heartbeat(self, heartbeat: WorkerHeartbeat) -> None:
        """Take note that a worker is alive; one that is not known shall register."""
        worker = self.cluster.workers.get(heartbeat.worker_id)
        if worker is not None:
            worker.heard_s = self.cluster.now_s
        else:
            self.cluster.send(heartbeat.worker, ReconnectWorker(self.cluster.term, self.cluster.url))

    def kill_strangers(self, report: WorkerLatestState | WorkerSchedulerStateResponse) -> None:
        """Have executors and drivers ended that run on a worker and are not known here."""
        cluster = self.cluster
        worker = cluster.workers.get(report.worker_id)
        if worker is None:
            cluster.warn(f"worker {report.worker_id}, which is not registered, says what runs on it")
            return
        for executor in report.executors:
            if (executor.app_id, executor.number) not in worker.executors:
                order = KillExecutor(cluster.term, cluster.url, executor.app_id, executor.number)
                cluster.send(worker.entry.worker, order)
        for driver_id in report.driver_ids:
            if driver_id not in worker.drivers:
                cluster.send(worker.entry.worker, KillDriver(cluster.term, driver_id))

    # -- going ---------------------------------------------------------------------------------------------------

    def check_silence(self) -> None:
        """Give up workers that were silent for too long, and forget those that were given up long ago."""
        cluster, rules = self.cluster, self.cluster.rules
        self.forgive_own_sleep()
        for worker in list(cluster.workers.values()):
            silence_s = cluster.now_s - worker.heard_s
            if silence_s > rules.worker_timeout_s:
                text = f"no heartbeat of it came for {silence_s:.0f} s (minispark.worker.timeout)"
                cluster.warn(f"worker {worker.worker_id} is given up: {text}")
                self.remove(worker, text)
        listed_s = (rules.dead_worker_persistence + 1) * rules.worker_timeout_s
        for worker in list(cluster.dead.values()):
            if cluster.now_s - worker.heard_s > listed_s:
                del cluster.dead[worker.worker_id]

    def forgive_own_sleep(self) -> None:
        """Hold no silence against workers that is the master's own: it was stopped, and could not hear them."""
        before, self.checked_s = self.checked_s, self.cluster.now_s
        interval_s = self.cluster.rules.worker_timeout_s / CHECKS_PER_TIMEOUT
        slept_s = 0.0 if before is None else self.cluster.now_s - before - interval_s
        if slept_s > interval_s:
            for worker in self.cluster.workers.values():
                worker.heard_s = min(self.cluster.now_s, worker.heard_s + slept_s)

    def remove(self, worker: Worker, why: str) -> None:
        """Give a worker up, and with it what it ran."""
        cluster = self.cluster
        del cluster.workers[worker.worker_id]
        if worker.entry.worker.address is not None:
            del cluster.worker_at[worker.entry.worker.address]
        cluster.dead[worker.worker_id] = worker
        was, worker.state = worker.state, WorkerState.DEAD
        cluster.inform(f"worker {worker.worker_id} is removed: {why}")
        for executor in list(worker.executors.values()):
            executor.state = ExecutorState.LOST
            executor.app.remove_executor(executor)
            worker.remove_executor(executor)
            lost = ExecutorUpdated(
                cluster.term, executor.number, ExecutorState.LOST, f"its worker is gone: {why}", None,
                worker.entry.host, True,
            )  # fmt: skip
            cluster.send(executor.app.entry.app_client, lost)
        for driver in list(worker.drivers.values()):
            self.drivers.lost(driver, f"its worker is gone: {why}")
        for app in cluster.apps.values():
            cluster.send(app.entry.app_client, WorkerRemoved(cluster.term, worker.worker_id, worker.entry.host, why))
        if was is not WorkerState.DECOMMISSIONED:
            cluster.effects.append(Forget(worker.entry.key))
        cluster.changed = True

    def decommission(self, worker: Worker) -> None:
        """Give a worker nothing new; its applications are told, and may have others in place of its executors."""
        cluster = self.cluster
        if worker.state is WorkerState.DECOMMISSIONED:
            return
        worker.state = WorkerState.DECOMMISSIONED
        for executor in worker.executors.values():
            executor.state = ExecutorState.DECOMMISSIONED
            executor.app.let_go(executor)
            leaving = ExecutorUpdated(
                cluster.term, executor.number, ExecutorState.DECOMMISSIONED, "its worker is decommissioned", None,
                worker.entry.host,
            )  # fmt: skip
            cluster.send(executor.app.entry.app_client, leaving)
        cluster.inform(f"worker {worker.worker_id} is decommissioned")
        cluster.effects.append(Forget(worker.entry.key))
        cluster.changed = True

    def decommission_hosts(self, request: DecommissionWorkersOnHosts) -> None:
        """Have the workers on these hosts go, all if none is named; refused where that is not enabled."""
        cluster = self.cluster
        if not cluster.rules.decommission_enabled:
            refusal = "this master does not decommission workers: set minispark.decommission.enabled=true for it"
            cluster.effects.append(Reply(Acknowledged(False, refusal)))
            return
        hosts = frozenset(request.hosts)
        leaving = [worker for worker in cluster.workers.values() if not hosts or worker.entry.host in hosts]
        for worker in leaving:
            self.decommission(worker)
            cluster.send(worker.entry.worker, DecommissionWorker(cluster.term))
        cluster.effects.append(Reply(Acknowledged(count=len(leaving))))
