"""Drivers that the cluster runs: submitted, killed, ended, launched again if they are supervised.

A part of the master's machine (`logic.membership`). A driver that is launched again has a new id: the worker that ran
it may only have been cut off, and what it says of the old driver must not be taken for news of the new one. Source:
Spark's Master.
"""

from datetime import UTC, datetime

from minispark.deploy.logic.cluster import Cluster, retain
from minispark.deploy.logic.effects import Forget, Persist, Reply
from minispark.deploy.logic.members import Driver
from minispark.ids import DriverId
from minispark.messages.deploy import DriverStateChanged, KillDriver
from minispark.messages.deploy_clients import RequestKillDriver, RequestSubmitDriver, SubmitDriverResponse
from minispark.messages.deploy_records import DriverEntry
from minispark.messages.deploy_values import Acknowledged, DriverDescription, DriverState, MasterState

__all__ = ["Drivers", "stamp"]

ENDED = (DriverState.ERROR, DriverState.FINISHED, DriverState.KILLED, DriverState.FAILED)


def stamp(wall_s: float) -> str:
    """Return a time as it stands in ids: 20261122040506, UTC."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y%m%d%H%M%S")


class Drivers:
    """The drivers of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.next_number = 0

    def submit(self, request: RequestSubmitDriver) -> None:
        """Take a driver in."""
        cluster = self.cluster
        if cluster.phase is not MasterState.ALIVE:
            text = f"drivers are taken by a master that is ALIVE; this one is {cluster.phase.name}"
            cluster.effects.append(Reply(SubmitDriverResponse(DriverId(""), text)))
            return
        driver = self.add(request.description)
        cluster.effects.append(Reply(SubmitDriverResponse(driver.driver_id)))

    def add(self, description: DriverDescription) -> Driver:
        """Let a new driver wait for a worker."""
        cluster = self.cluster
        driver = Driver(DriverEntry(self.new_id(), description, cluster.wall_s))
        cluster.effects.append(Persist(driver.entry))
        self.wait(driver)
        return driver

    def wait(self, driver: Driver) -> None:
        """Put a driver in line."""
        self.cluster.drivers[driver.driver_id] = self.cluster.waiting_drivers[driver.driver_id] = driver
        self.cluster.changed = True

    def new_id(self) -> DriverId:
        """Return an id that no driver has."""
        while True:
            driver_id = DriverId(f"driver-{stamp(self.cluster.wall_s)}-{self.next_number:04d}")
            self.next_number += 1
            if driver_id not in self.cluster.drivers:
                return driver_id

    def kill(self, request: RequestKillDriver) -> None:
        """End a driver: one that waits at once, one that runs through its worker, which tells when it is done."""
        cluster = self.cluster
        driver = cluster.drivers.get(request.driver_id)
        if cluster.phase is not MasterState.ALIVE:
            answer = Acknowledged(False, f"drivers are killed by a master that is ALIVE, not {cluster.phase.name}")
        elif driver is None:
            answer = Acknowledged(False, f"driver {request.driver_id} has ended or never was")
        elif driver.worker is None:
            self.remove(driver, DriverState.KILLED)
            answer = Acknowledged(text=f"driver {request.driver_id} will not start")
        else:
            cluster.send(driver.worker.entry.worker, KillDriver(cluster.term, request.driver_id))
            answer = Acknowledged(text=f"the worker of driver {request.driver_id} was told to end it")
        cluster.effects.append(Reply(answer))

    def state_changed(self, change: DriverStateChanged) -> None:
        """Take a worker's news of a driver."""
        cluster = self.cluster
        driver = cluster.drivers.get(change.driver_id)
        if driver is None:
            cluster.warn(f"driver {change.driver_id} is {change.state.name}, and not known here")
        elif change.state in ENDED:
            self.remove(driver, change.state, change.text)
        cluster.effects.append(Reply(Acknowledged()))

    def remove(self, driver: Driver, state: DriverState, text: str = "") -> None:
        """Forget a driver but for people."""
        cluster = self.cluster
        cluster.inform(f"driver {driver.driver_id} is {state.name} {text}".rstrip())
        del cluster.drivers[driver.driver_id]
        cluster.waiting_drivers.pop(driver.driver_id, None)
        driver.state, driver.text = state, text
        if driver.worker is not None:
            driver.worker.remove_driver(driver)
        retain(cluster.completed_drivers, driver, cluster.rules.retained_drivers)
        cluster.effects.append(Forget(driver.entry.key))
        cluster.changed = True

    def lost(self, driver: Driver, why: str) -> None:
        """Launch a driver again that nobody runs any more, if it is supervised."""
        if driver.entry.description.supervise:
            successor = self.add(driver.entry.description)
            self.remove(driver, DriverState.RELAUNCHING, f"{why}; launched again as {successor.driver_id}")
        else:
            self.remove(driver, DriverState.ERROR, why)
