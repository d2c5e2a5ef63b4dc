"""What a master tells people of its cluster. Called by the master's machine; changes nothing."""

from minispark.deploy.logic.cluster import Cluster
from minispark.deploy.logic.members import Application, Driver, Worker
from minispark.ids import DriverId
from minispark.messages.deploy_clients import ApplicationSummary, DriverSummary, MasterStatus, WorkerSummary
from minispark.messages.deploy_values import DriverState, MasterState

__all__ = ["driver_status", "master_status"]


def master_status(cluster: Cluster) -> MasterStatus:
    """Return all that a person wants to see; dead workers come last."""
    return MasterStatus(
        cluster.url,
        cluster.phase,
        cluster.term,
        tuple(worker_summary(worker, cluster) for worker in (*cluster.workers.values(), *cluster.dead.values())),
        tuple(app_summary(app, cluster) for app in cluster.apps.values()),
        tuple(app_summary(app, cluster) for app in cluster.completed_apps),
        tuple(driver_summary(driver) for driver in cluster.drivers.values()),
        tuple(driver_summary(driver) for driver in cluster.completed_drivers),
    )


def driver_status(cluster: Cluster, driver_id: DriverId) -> DriverSummary:
    """Return how a driver is, also one that has ended; a summary without an id says why there is none."""
    driver = cluster.drivers.get(driver_id)
    if driver is not None:
        return driver_summary(driver)
    for ended in reversed(cluster.completed_drivers):
        if ended.driver_id == driver_id:
            return driver_summary(ended)
    standby = cluster.phase is MasterState.STANDBY
    text = "this master does not lead" if standby else f"there is no driver {driver_id}"
    return DriverSummary(DriverId(""), DriverState.UNKNOWN, text=text)


def worker_summary(worker: Worker, cluster: Cluster) -> WorkerSummary:
    """Return how a worker is."""
    entry = worker.entry
    return WorkerSummary(
        entry.worker_id, entry.host, worker.state, entry.cores, worker.cores_used, entry.memory_bytes,
        worker.memory_used_bytes, max(0.0, cluster.now_s - worker.heard_s), entry.web_url,
    )  # fmt: skip


def app_summary(app: Application, cluster: Cluster) -> ApplicationSummary:
    """Return how an application is."""
    description = app.entry.description
    until = cluster.wall_s if app.ended_at is None else app.ended_at
    return ApplicationSummary(
        app.app_id, description.name, description.user, app.state, app.cores_granted, len(app.executors),
        description.memory_per_executor_bytes, app.entry.submitted_at, max(0.0, until - app.entry.submitted_at),
        description.ui_url,
    )  # fmt: skip


def driver_summary(driver: Driver) -> DriverSummary:
    """Return how a driver is."""
    entry, worker = driver.entry, driver.worker
    return DriverSummary(
        entry.driver_id, driver.state, entry.worker_id, "" if worker is None else worker.entry.host, driver.text,
        entry.description.cores, entry.description.memory_bytes, entry.submitted_at,
    )  # fmt: skip
