"""Scheduling: gives what is free on workers to drivers, then to applications, first come first served.

Run by the master's machine after every message that changed resources or wishes. Source: Spark's Master.schedule.
"""

from minispark.deploy.logic.allocation import ExecutorDemand, in_order_of_policy, place_driver, place_executors
from minispark.deploy.logic.cluster import Cluster
from minispark.deploy.logic.effects import Persist
from minispark.deploy.logic.members import NUMBERS_AT_ONCE, Application, Driver, Executor, Worker
from minispark.messages.deploy import ExecutorAllotted, LaunchDriver, LaunchExecutor
from minispark.messages.deploy_records import ApplicationEntry, DriverEntry
from minispark.messages.deploy_values import ApplicationState, DriverState, WorkerState

__all__ = ["Scheduling"]

UNBOUNDED = 1 << 62
"""Cores of an application that takes all there are."""
TIMER_EARLY_S = 0.005
"""By how much a timer may come too soon: uvloop's, by up to a millisecond; none comes after it to end the pause."""


class Scheduling:
    """Places drivers and executors on the cluster's workers."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def schedule(self) -> None:
        """Give away what is free: drivers before executors."""
        cluster = self.cluster
        if cluster.waiting_drivers:
            self.schedule_drivers([each for each in cluster.workers.values() if each.state is WorkerState.ALIVE])
        # Most workers of a busy cluster have nothing to give: this is all that they cost.
        free = [
            worker
            for worker in cluster.workers.values()
            if worker.cores_used < worker.entry.cores and worker.state is WorkerState.ALIVE
        ]
        for app in cluster.apps.values():
            if not free:
                break
            if app.paused_until_s <= cluster.now_s + TIMER_EARLY_S:
                free = self.schedule_app(app, free)

    # -- drivers -------------------------------------------------------------------------------------------------

    def schedule_drivers(self, alive: list[Worker]) -> None:
        """Launch waiting drivers: round robin over the workers in random order, or all that fit on the first."""
        cluster = self.cluster
        if cluster.rules.spread_out_drivers:
            cluster.rng.shuffle(alive)
        else:
            alive.sort(key=lambda worker: worker.worker_id)
        start = 0
        for driver in list(cluster.waiting_drivers.values()):
            if self.drivers_left() == 0:
                return
            wanted = driver.entry.description
            position = place_driver(wanted.cores, wanted.memory_bytes, alive, start)
            if position is None:
                self.warn_of_hopeless(driver, alive)
                continue
            self.launch_driver(driver, alive[position])
            if cluster.rules.spread_out_drivers:
                start = (position + 1) % len(alive)

    def drivers_left(self) -> int | None:
        """Return how many drivers more may run; None: any number."""
        cluster = self.cluster
        if not cluster.rules.max_drivers:
            return None
        return max(0, cluster.rules.max_drivers - (len(cluster.drivers) - len(cluster.waiting_drivers)))

    def warn_of_hopeless(self, driver: Driver, alive: list[Worker]) -> None:
        """Warn of a driver that no worker could take if nothing else ran."""
        wanted = driver.entry.description
        fits = any(
            wanted.cores <= worker.entry.cores and wanted.memory_bytes <= worker.entry.memory_bytes
            for worker in alive
        )
        if alive and not fits:
            self.cluster.warn(
                f"driver {driver.driver_id} wants {wanted.cores} cores and {wanted.memory_bytes} bytes of memory, "
                f"more than any worker has"
            )

    def launch_driver(self, driver: Driver, worker: Worker) -> None:
        """Give a driver to a worker; that it was given is on disk before, lest it be taken for one that waits."""
        cluster, entry = self.cluster, driver.entry
        del cluster.waiting_drivers[driver.driver_id]
        driver.entry = DriverEntry(entry.driver_id, entry.description, entry.submitted_at, worker.worker_id)
        worker.add_driver(driver)
        driver.state = DriverState.RUNNING
        cluster.effects.append(Persist(driver.entry, is_new=False))
        cluster.inform(f"driver {driver.driver_id} is launched on {worker.worker_id}")
        cluster.send(worker.entry.worker, LaunchDriver(cluster.term, driver.driver_id, entry.description))

    # -- executors -----------------------------------------------------------------------------------------------

    def schedule_app(self, app: Application, free: list[Worker]) -> list[Worker]:
        """Launch what executors an application can have; return the workers that have cores left."""
        demand = self.demand_of(app)
        if demand.cores < demand.step or demand.executors == 0:
            return free
        usable = [
            worker
            for worker in free
            if worker.cores_free >= demand.step and worker.memory_free_bytes >= demand.memory_per_executor_bytes
        ]
        if not usable:
            return free
        rules = self.cluster.rules
        usable = in_order_of_policy(usable, rules.worker_selection_policy)
        for worker, executors in zip(usable, place_executors(demand, usable, rules.spread_out_apps), strict=True):
            for cores in executors:
                self.launch_executor(app, worker, cores)
        return [worker for worker in free if worker.cores_free > 0]

    def demand_of(self, app: Application) -> ExecutorDemand:
        """Return what an application wants and does not have."""
        description = app.entry.description
        limit = app.executor_limit
        return ExecutorDemand(
            self.cores_left(app),
            description.cores_per_executor,
            description.memory_per_executor_bytes,
            None if limit is None else max(0, limit - len(app.executors)),
        )

    def cores_left(self, app: Application) -> int:
        """Return how many cores more an application may have."""
        return UNBOUNDED if app.max_cores is None else max(0, app.max_cores - app.cores_granted)

    def launch_executor(self, app: Application, worker: Worker, cores: int) -> None:
        """Start an executor, and tell the application of it."""
        cluster, description = self.cluster, app.entry.description
        executor = Executor(app, worker, app.next_number, cores, description.memory_per_executor_bytes)
        if executor.number >= app.entry.numbers_below:
            self.put_down_numbers(app)
        app.add_executor(executor)
        worker.add_executor(executor)
        app.state = ApplicationState.RUNNING
        cluster.inform(f"executor {executor.name} is launched on {worker.worker_id} with {cores} cores")
        cluster.send(
            worker.entry.worker,
            LaunchExecutor(
                cluster.term, cluster.url, app.app_id, executor.number, description, cores, executor.memory_bytes
            ),
        )
        cluster.send(
            app.entry.app_client,
            ExecutorAllotted(
                cluster.term, executor.number, worker.worker_id, worker.entry.host, cores, executor.memory_bytes
            ),
        )

    def put_down_numbers(self, app: Application) -> None:
        """Have it on disk that numbers were given out, before they are."""
        entry = app.entry
        app.entry = ApplicationEntry(
            entry.app_id, entry.description, entry.app_client, entry.submitted_at, app.next_number + NUMBERS_AT_ONCE
        )
        self.cluster.effects.append(Persist(app.entry, is_new=False))
