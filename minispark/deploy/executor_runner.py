"""Runs one executor process of an application: its folder, its command, its end. Made by the worker for each one.

What becomes of it is said as ExecutorStateChanged. It must not know the master. Source: Spark's ExecutorRunner.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from minispark.conf import SparkConf
from minispark.deploy.child_environment import child_environment, python_command
from minispark.deploy.host_memory import oom_kills
from minispark.deploy.logic.endings import ending
from minispark.deploy.process_log import RolledLog
from minispark.deploy.processes import ProcessCommand, ProcessLauncher, RunningProcess
from minispark.deploy.work_directory import WorkDirectory, remove_session_files, remove_session_memory
from minispark.messages.deploy import ExecutorStateChanged, LaunchExecutor
from minispark.messages.deploy_values import ExecutorState
from minispark.rpc.world import World

__all__ = ["TERMINATE_S", "ExecutorRunner", "Place", "logs_in"]

TERMINATE_S = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """What all executors and drivers of a worker share.

    Args:
        world: timers, threads.
        conf: the worker's.
        launcher: starts processes.
        directory: the worker's.
        host: the worker's name, as peers know it.
        environment: the worker's own.
    """

    world: World
    conf: SparkConf
    launcher: ProcessLauncher
    directory: WorkDirectory
    host: str
    environment: Mapping[str, str]


class ExecutorRunner:
    """One executor process.

    Args:
        place: where it runs.
        launch: what the master asked for.
        secret: of the application.
        service: host:port of the worker's shuffle service; empty if it has none.
        report: told how it goes.
    """

    def __init__(
        self,
        place: Place,
        launch: LaunchExecutor,
        secret: bytes,
        service: str,
        report: Callable[[ExecutorStateChanged], object],
    ) -> None:
        self.place = place
        self.launch = launch
        self.secret = secret
        self.service = service
        self.report = report
        self.process: RunningProcess | None = None
        self.ready = False
        self.killed = False
        self.forced = ""

    async def run(self) -> None:
        """Start the process, wait for its end and clean up after it; all that happens is reported."""
        launch = self.launch
        name = f"{launch.app_id}/{launch.number}"
        try:
            folder = self.place.directory.make_executor(launch.app_id, launch.number)
            if self.killed:
                self.tell(ExecutorState.KILLED, "killed before it started")
                return
            kills_before = oom_kills()
            command = self.command(folder)
            self.process = self.place.launcher.launch(command, self.is_ready)
        except (OSError, ValueError) as error:
            logger.warning("executor %s cannot be started: %s", name, error)
            self.tell(ExecutorState.FAILED, f"cannot be started: {error}")
            return
        logger.info("executor %s runs as process %d", name, self.process.pid)
        code = await self.process.ended()
        text = ending(code, oom_kills=oom_kills() - kills_before, forced=self.forced)
        logger.info("executor %s has ended: %s", name, text)
        if code and not self.ready and not self.killed:
            text = "\n".join(filter(None, [text, await self.place.world.run_blocking(command.logs[1].tail)]))
        self.tell(self.final_state(), text, code)
        await self.place.world.run_blocking(self.clean)

    def is_ready(self) -> None:
        """Report that the executor runs: not that there is a process, but that it can run tasks.

        A master counts how many executors in a row never did; one that was only started would begin the count anew.
        """
        self.ready = True
        self.tell(ExecutorState.RUNNING)

    def final_state(self) -> ExecutorState:
        """Return how a process that ended counts."""
        return ExecutorState.KILLED if self.killed else ExecutorState.EXITED

    def clean(self) -> None:
        """Remove what its janitor left; blocking."""
        folder = self.place.directory.application(self.launch.app_id) / str(self.launch.number)
        if self.place.conf.cleanup_files_after_executor_exit or not self.service:
            remove_session_files(folder, served=bool(self.service))
        else:
            remove_session_memory(folder)

    def command(self, folder: Path) -> ProcessCommand:
        """Return what is started."""
        launch, description = self.launch, self.launch.description
        lifeline = {
            "secret": self.secret.hex(),
            "realm": description.realm,
            "service": self.service,
            "settings": {key: text for key, text in self.place.conf.get_all() if key.startswith("minispark.ssl.")},
        }
        return ProcessCommand(
            argv=python_command(
                description.python, "-P", "-m", "minispark.executor",
                "--driver", description.driver.host_port,
                "--executor-id", str(launch.number),
                "--host", self.place.host,
                "--cores", str(launch.cores),
                "--memory", str(launch.memory_bytes),
                "--app-id", launch.app_id,
                "--directory", str(folder),
            ),
            environment=child_environment(self.place.environment, description.environment),
            directory=folder,
            logs=logs_in(folder, self.place.conf),
            lifeline=json.dumps(lifeline).encode() + b"\n",
        )  # fmt: skip

    def kill(self) -> None:
        """Have it end: asked first, by force after ten seconds."""
        if self.killed:
            return
        self.killed = True
        if self.process is not None:
            self.process.terminate()
            self.place.world.call_later(TERMINATE_S, self.force, f"{TERMINATE_S:g} s after SIGTERM")

    def kill_now(self) -> None:
        """End it by force."""
        self.killed = True
        self.force("which was stopped")

    def force(self, reason: str) -> None:
        """Kill the process, if there is one, and tell with its end in what case."""
        if self.process is not None:
            self.forced = self.forced or reason
            self.process.kill()

    def tell(self, state: ExecutorState, text: str = "", code: int | None = None) -> None:
        """Report a state."""
        self.report(ExecutorStateChanged(self.launch.app_id, self.launch.number, state, text, code))


def logs_in(folder: Path, conf: SparkConf) -> tuple[RolledLog, RolledLog]:
    """Return the logs of a process whose folder that is: stdout and stderr."""
    size, retained = conf.worker_log_max_size, conf.worker_log_retained
    return RolledLog(folder / "stdout", size, retained), RolledLog(folder / "stderr", size, retained)
