"""The executors and drivers that run on a worker: started, watched, ended, cleaned up after. The worker's hands.

Made and called by `deploy.worker`, which says what and when; what becomes of them comes back to it as messages. It
must not know the master.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from minispark.deploy.driver_runner import DriverRunner
from minispark.deploy.executor_runner import TERMINATE_S, ExecutorRunner, Place
from minispark.deploy.logic.worker_state import ExecutorKey, Refusal, WorkerState
from minispark.deploy.work_directory import remove_session_files
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import DriverStateChanged, ExecutorStateChanged, LaunchDriver, LaunchExecutor
from minispark.messages.deploy_values import DriverState, ExecutorState
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import application_secret
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["ShuffleHost", "Tenants"]

logger = logging.getLogger(__name__)


class ShuffleHost(Protocol):
    """The shuffle service of the worker, as far as the worker needs it."""

    @property
    def address(self) -> RpcAddress:
        """Where it listens."""

    def add_application(self, app_id: ApplicationId, realm: str, secret: bytes, directory: Path) -> None:
        """Serve an application's session directories below that one from now on; again is no harm."""

    async def remove_application(self, app_id: ApplicationId) -> None:
        """Let an application go, with what it left."""

    async def close(self) -> None:
        """Serve no more."""


class Tenants:
    """What runs on one worker.

    Args:
        env: the worker's: owns the tasks.
        place: where processes run.
        secret: of the cluster.
        settings: what drivers find in their environment.
        service: the shuffle service, if there is one.

    Attributes:
        ending: whether the worker itself ends: what becomes of its processes is not to be reported then, so that the
            master finds them lost with the worker, and starts supervised drivers elsewhere.
    """

    def __init__(
        self, env: RpcEnv, place: Place, secret: bytes, settings: Mapping[str, str], service: ShuffleHost | None
    ) -> None:
        self.env = env
        self.place = place
        self.secret = secret
        self.settings = settings
        self.service = service
        self.state = WorkerState(env.conf.worker_retained_executors, env.conf.worker_retained_drivers)
        self.executors: dict[ExecutorKey, ExecutorRunner] = {}
        self.drivers: dict[DriverId, DriverRunner] = {}
        self.running: dict[asyncio.Task[None], None] = {}
        self.ending = False

    def launch_executor(self, message: LaunchExecutor, worker: RpcEndpointRef) -> None:
        """Start an executor; the worker is told how it goes."""
        refusal = self.state.launch_executor(message)
        name = f"executor {message.app_id}/{message.number}"
        if refusal is not None:
            logger.warning("%s is not started: %s", name, refusal.value)
            if refusal is Refusal.DECOMMISSIONED:
                worker.send(ExecutorStateChanged(message.app_id, message.number, ExecutorState.FAILED, refusal.value))
            return
        description = message.description
        secret, service = application_secret(self.secret, description.realm), ""
        if self.service is not None:
            folder = self.place.directory.application(message.app_id)
            self.service.add_application(message.app_id, description.realm, secret, folder)
            service = self.service.address.host_port
        runner = ExecutorRunner(self.place, message, secret, service, worker.send)
        self.executors[message.app_id, message.number] = runner
        self.keep(self.env.scope.spawn(runner.run(), name=name))

    def launch_driver(self, message: LaunchDriver, worker: RpcEndpointRef) -> None:
        """Start a driver; the worker is told how it ended."""
        driver_id = message.driver_id
        refusal = self.state.launch_driver(driver_id, message.description)
        if refusal is not None:
            logger.warning("driver %s is not started: %s", driver_id, refusal.value)
            if refusal is Refusal.DECOMMISSIONED:
                worker.send(DriverStateChanged(driver_id, DriverState.ERROR, refusal.value))
            return
        runner = DriverRunner(self.place, driver_id, message.description, self.settings, worker.send)
        self.drivers[driver_id] = runner
        self.keep(self.env.scope.spawn(runner.run(), name=f"driver {driver_id}"))

    def keep(self, task: asyncio.Task[None]) -> None:
        """Know a runner's task until it is done."""
        self.running[task] = None
        task.add_done_callback(self.running.pop)

    def kill_executor(self, app_id: ApplicationId, number: int) -> None:
        """End an executor."""
        runner = self.executors.get((app_id, number))
        if runner is None:
            logger.info("there is no executor %s/%d here to be ended", app_id, number)
        else:
            runner.kill()

    def kill_driver(self, driver_id: DriverId) -> None:
        """End a driver."""
        runner = self.drivers.get(driver_id)
        if runner is None:
            logger.info("there is no driver %s here to be ended", driver_id)
        else:
            runner.kill()

    def executor_changed(self, message: ExecutorStateChanged) -> None:
        """Take an executor's new state."""
        if self.state.executor_changed(message):
            self.executors.pop((message.app_id, message.number), None)
            self.clean_up_applications()

    def driver_changed(self, message: DriverStateChanged) -> None:
        """Take a driver's final state."""
        self.state.driver_changed(message)
        self.drivers.pop(message.driver_id, None)

    def application_finished(self, app_id: ApplicationId) -> None:
        """End what still runs of an application, and clean up once nothing does."""
        left_files = self.place.directory.application(app_id).is_dir()  # maybe of a worker before this one
        self.state.application_finished(app_id, left_files=left_files)
        for key in self.state.executors_of(app_id):
            self.executors[key].kill()
        self.clean_up_applications()

    def clean_up_applications(self) -> None:
        """Clean up after the applications of which nothing runs any more."""
        for app_id in self.state.take_cleanable():
            self.env.scope.spawn(self.clean_up(app_id), name=f"clean up after {app_id}")

    async def clean_up(self, app_id: ApplicationId) -> None:
        """Remove what an application left, but its logs."""
        logger.info("cleaning up after %s", app_id)
        if self.service is not None:
            await self.service.remove_application(app_id)
        await self.place.world.run_blocking(remove_sessions, self.place.directory.application(app_id))

    async def clean_old(self) -> None:
        """Remove the folders of what ended long ago (`minispark.worker.cleanup.appDataTtl`)."""
        older_than = self.place.world.wall() - self.env.conf.worker_cleanup_app_data_ttl
        running = self.state.running_names()
        for name in await self.place.world.run_blocking(self.place.directory.clean, running, older_than):
            logger.info("removed what was left of %s", name)
            if self.service is not None:
                await self.service.remove_application(ApplicationId(name))

    async def end_all(self) -> None:
        """End everything that runs, by force what does not end when asked; returns when all is gone."""
        self.ending = self.state.decommissioned = True
        runners: list[ExecutorRunner | DriverRunner] = [*self.executors.values(), *self.drivers.values()]
        for runner in runners:
            runner.kill()
        if not self.running:
            return
        _, late = await asyncio.wait(self.running, timeout=TERMINATE_S)
        if late:
            for runner in runners:
                runner.kill_now()
            await asyncio.wait(late, timeout=TERMINATE_S)


def remove_sessions(folder: Path) -> None:
    """Remove the session directories of an application; blocking."""
    for executor in sorted(folder.glob("[0-9]*")):
        remove_session_files(executor, served=False)
