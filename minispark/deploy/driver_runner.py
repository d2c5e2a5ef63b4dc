"""Runs one driver that the cluster runs: its folder with its files, its process, again if it is supervised.

Made by the worker for each driver; how it ended for good is said as DriverStateChanged. Source: Spark's DriverRunner.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from minispark.deploy import driver_process
from minispark.deploy.child_environment import child_environment, python_command
from minispark.deploy.executor_runner import Place, logs_in
from minispark.deploy.host_memory import oom_kills
from minispark.deploy.logic.endings import ending
from minispark.deploy.logic.supervision import Supervision
from minispark.deploy.processes import ProcessCommand, RunningProcess
from minispark.ids import DriverId
from minispark.messages.deploy import DriverStateChanged
from minispark.messages.deploy_values import DriverDescription, DriverState

__all__ = ["DriverRunner"]

logger = logging.getLogger(__name__)


class DriverRunner:
    """One driver.

    Args:
        place: where it runs.
        driver_id: its id.
        description: what to run.
        settings: what the worker adds to its environment: the masters, the secret, the host.
        report: told how it ended.
    """

    def __init__(
        self,
        place: Place,
        driver_id: DriverId,
        description: DriverDescription,
        settings: Mapping[str, str],
        report: Callable[[DriverStateChanged], object],
    ) -> None:
        self.place = place
        self.driver_id = driver_id
        self.description = description
        self.settings = settings
        self.report = report
        self.supervision = Supervision(supervise=description.supervise)
        self.process: RunningProcess | None = None
        self.text = ""
        self.forced = ""
        self.kill_asked = asyncio.Event()

    async def run(self) -> None:
        """Run the driver to its end, however often it is started, and report that."""
        supervision = self.supervision
        try:
            folder = await self.place.world.run_blocking(
                self.place.directory.make_driver, self.driver_id, self.description.files
            )
            while not supervision.killed:
                wait_s = await self.run_once(folder)
                if wait_s is None:
                    break
                logger.info("driver %s is started again in %g s", self.driver_id, wait_s)
                await self.wait(wait_s)
        except (OSError, ValueError) as error:
            supervision.failed(str(error))
            self.text = f"cannot be started: {error}"
        state = supervision.final_state()
        logger.info("driver %s is %s: %s", self.driver_id, state.name, self.text)
        self.report(DriverStateChanged(self.driver_id, state, "" if state is DriverState.FINISHED else self.text))

    async def run_once(self, folder: Path) -> float | None:
        """Run the process to its end; return how long to wait for the next run, or None if there is none."""
        world, kills_before = self.place.world, oom_kills()
        self.supervision.starts(world.monotonic())
        self.process = self.place.launcher.launch(self.command(folder))
        logger.info("driver %s runs as process %d", self.driver_id, self.process.pid)
        code = await self.process.ended()
        self.process = None
        self.text = ending(code, oom_kills=oom_kills() - kills_before, forced=self.forced)
        logger.info("driver %s: %s", self.driver_id, self.text)
        return self.supervision.ended(code, world.monotonic())

    async def wait(self, wait_s: float) -> None:
        """Wait, but not for a driver that is killed meanwhile."""
        timer = self.place.world.call_later(wait_s, self.kill_asked.set)
        await self.kill_asked.wait()
        timer.cancel()
        if not self.supervision.killed:
            self.kill_asked.clear()

    def command(self, folder: Path) -> ProcessCommand:
        """Return what is started: the driver, tied to the worker's life (`driver_process` says why)."""
        added = {"PYTHONUNBUFFERED": "1", **self.settings, **self.description.environment}
        starter = python_command("", "-P", "-S", str(driver_process.__file__), str(os.getpid()))
        return ProcessCommand(
            argv=(*starter, *python_command("", *self.description.argv)),
            environment=child_environment(self.place.environment, added),
            directory=folder,
            logs=logs_in(folder, self.place.conf),
        )

    def kill(self) -> None:
        """Have it end: asked first, by force after `minispark.worker.driverTerminateTimeout`; never started again."""
        if self.supervision.killed:
            return
        self.supervision.kill()
        self.kill_asked.set()
        if self.process is not None:
            self.process.terminate()
            timeout = self.place.conf.worker_driver_terminate_timeout
            self.place.world.call_later(timeout, self.force, f"{timeout:g} s after SIGTERM")

    def kill_now(self) -> None:
        """End it by force."""
        self.supervision.kill()
        self.kill_asked.set()
        self.force("which was stopped")

    def force(self, reason: str) -> None:
        """Kill the process, if there is one, and tell with its end in what case."""
        if self.process is not None:
            self.forced = self.forced or reason
            self.process.kill()
