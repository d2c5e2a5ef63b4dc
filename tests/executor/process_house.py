"""Real executor processes against a driver's env in the test's own process: real sockets, runners and exits."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from minispark.conf import SparkConf
from minispark.deploy.secrets import tls_contexts
from minispark.errors import RpcError
from minispark.ids import ApplicationId, BinaryId, ExecutorId
from minispark.messages.cluster import (
    ApplicationConf,
    BinaryContent,
    FetchBinary,
    LaunchedExecutor,
    LaunchTasks,
    RegisteredExecutor,
    RegisterExecutor,
    RemoveExecutor,
    RetrieveApplicationConf,
    StatusUpdate,
)
from minispark.messages.endpoints import BINARY_SERVER, COARSE_GRAINED_SCHEDULER, HEARTBEAT_RECEIVER
from minispark.messages.heartbeat import Heartbeat, HeartbeatResponse
from minispark.messages.task import TaskDescription, TaskOutcome
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import SystemWorld
from tests.executor.attempts import task

__all__ = ["BINARY", "EXECUTOR", "REALM", "SECRET", "DriverSide", "ExecutorSide", "in_cluster"]

M = TypeVar("M")
SECRET = bytes(range(32))
REALM = "app-0123456789abcdef"
DEADLINE_S = 60.0
"""How long the tests wait for one event: far longer than it takes where ten processes share a core."""
PROJECT = Path(__file__).resolve().parents[2]


class Scheduler(RpcEndpoint):
    """A stand-in of the driver's CoarseGrainedScheduler, and of its HeartbeatReceiver."""

    def __init__(self, driver: "DriverSide") -> None:
        self.driver = driver

    def receive(self, message: Any, context: CallContext) -> None:
        driver = self.driver
        match message:
            case RetrieveApplicationConf():
                context.reply(driver.application)
            case RegisterExecutor() if driver.refusal:
                context.send_failure(RpcError(driver.refusal))
            case RegisterExecutor():
                driver.executor = message.executor
                context.reply(RegisteredExecutor())
            case Heartbeat() if not driver.hears_heartbeats:
                context.send_failure(RpcError("too busy"))
            case Heartbeat():
                context.reply(HeartbeatResponse(driver.forgets))
        driver.heard.append(message)
        driver.changed.set()


class Binaries(RpcEndpoint):
    """A stand-in of the driver's BinaryServer, with one binary."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def receive(self, message: FetchBinary, context: CallContext) -> None:
        context.reply(BinaryContent(message.binary_id, self.data))


class ExecutorSide:
    """An executor process, and the worker's end of its lifeline."""

    def __init__(self, process: "subprocess.Popen[bytes]", lifeline: socket.socket, log: Path) -> None:
        self.process = process
        self.lifeline = lifeline
        self.log_file = log

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    async def exit_code(self) -> int:
        """Wait for the end."""
        return await asyncio.to_thread(self.process.wait, DEADLINE_S)

    async def descendants(self) -> list[psutil.Process]:
        """Wait for the zygote and two runners; the second may come when the first is at work already."""
        async with asyncio.timeout(DEADLINE_S):
            process = psutil.Process(self.process.pid)
            while len(found := process.children(recursive=True)) < 3:  # noqa: ASYNC110 — they are another's children
                await asyncio.sleep(0.01)
        return found

    def kill(self) -> None:
        self.lifeline.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


class DriverSide:
    """What an executor process sees of its driver."""

    def __init__(self, directory: Path, settings: dict[str, str], binary: bytes, tls: dict[str, str]) -> None:
        self.directory = directory
        self.tls = tls
        self.application = ApplicationConf(
            ApplicationId("app-1"), settings, tuple(sys.path), str(directory / "driver")
        )
        self.refusal = ""
        self.forgets = False
        self.hears_heartbeats = True
        self.heard: list[Any] = []
        self.changed = asyncio.Event()
        self.executor: RpcEndpointRef | None = None
        self.executors: list[ExecutorSide] = []
        contexts = tls_contexts(SparkConf(tls, environment={}))
        self.env = RpcEnv(
            "driver", SystemWorld(), SparkConf(environment={}), secret=SECRET, realm=REALM,
            server_tls=contexts.server, client_tls=contexts.client,
        )  # fmt: skip
        self.env.setup_endpoint(COARSE_GRAINED_SCHEDULER, Scheduler(self))
        self.env.setup_endpoint(HEARTBEAT_RECEIVER, Scheduler(self))
        self.env.setup_endpoint(BINARY_SERVER, Binaries(binary))
        for name in ("driver", "executors"):
            (directory / name).mkdir(exist_ok=True)

    def start(
        self,
        *,
        secret: bytes = SECRET,
        directory: Path | None = None,
        port: int | None = None,
        service: str = "",
        command: Sequence[str] = ("-P", "-m", "minispark.executor"),
        **environment: str,
    ) -> ExecutorSide:
        """Start an executor process as a worker does."""
        ours, theirs = socket.socketpair()
        said = {"secret": secret.hex(), "realm": REALM, "service": service, "settings": self.tls}
        ours.sendall(json.dumps(said).encode() + b"\n")
        assert self.env.address is not None
        words = {
            "driver": f"127.0.0.1:{port or self.env.address.port}",
            "executor-id": len(self.executors),
            "host": "127.0.0.1",
            "cores": 2,
            "memory": 1 << 28,
            "app-id": "app-1",
            "lifeline": theirs.fileno(),
            "directory": directory or self.directory / "executors",
        }
        arguments = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        log = self.directory / f"executor-{len(self.executors)}.log"
        with theirs, log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(PROJECT), **environment},
                start_new_session=True,
            )
        executor = ExecutorSide(process, ours, log)
        self.executors.append(executor)
        return executor

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something that executors say; return what the condition gave."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (found := condition()):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError([executor.log for executor in self.executors]) from None
        return found

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def ready(self) -> ExecutorSide:
        """Start an executor and wait until it takes tasks."""
        executor = self.start()
        await self.until(lambda: self.of(LaunchedExecutor))
        return executor

    async def registration(self) -> RegisterExecutor:
        found: list[RegisterExecutor] = await self.until(lambda: self.of(RegisterExecutor))
        return found[-1]

    def launch(self, *tasks: TaskDescription) -> None:
        assert self.executor is not None
        self.executor.send(LaunchTasks(tasks))

    async def outcome(self, task_id: int) -> TaskOutcome:
        """Wait for the end of a task."""

        def ended() -> TaskOutcome | None:
            return next((u.outcome for u in self.of(StatusUpdate) if u.task_id == task_id and u.outcome), None)

        found: TaskOutcome = await self.until(ended)
        return found

    async def running(self, task_id: int) -> None:
        """Start a long task and wait until it runs."""
        self.launch(task(task_id))
        await self.until(lambda: [u for u in self.of(StatusUpdate) if u.task_id == task_id])

    async def removals(self) -> list[RemoveExecutor]:
        """Return what executors said when they went, once there is something."""
        await self.until(lambda: self.of(RemoveExecutor))
        return self.of(RemoveExecutor)

    async def are_gone(self, processes: Sequence[psutil.Process]) -> None:
        """Wait until processes are gone."""
        async with asyncio.timeout(DEADLINE_S):
            while any(map(alive, processes)):  # noqa: ASYNC110 — they are not children of this one
                await asyncio.sleep(0.01)

    async def nothing_is_left(self, processes: Sequence[psutil.Process]) -> None:
        """Wait until processes are gone, and then look whether session directories are."""
        await self.are_gone(processes)
        assert list((self.directory / "executors").iterdir()) == []


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


@contextlib.asynccontextmanager
async def driver_side(
    directory: Path, settings: dict[str, str], binary: bytes, tls: dict[str, str]
) -> AsyncIterator[DriverSide]:
    driver = DriverSide(directory, settings, binary, tls)
    try:
        await driver.env.listen("127.0.0.1", 0)
        yield driver
    finally:
        for executor in driver.executors:
            executor.kill()
        await driver.env.close()


def in_cluster(
    directory: Path,
    test: Callable[[DriverSide], Coroutine[Any, Any, None]],
    binary: bytes,
    *,
    tls: dict[str, str] | None = None,
    **settings: object,
) -> None:
    """Run a test with a driver's side; settings as `executor_heartbeatInterval="100ms"`, those of TLS in full."""

    async def main() -> None:
        texts = {f"minispark.{name.replace('_', '.')}": str(value) for name, value in settings.items()}
        async with driver_side(directory, texts, binary, tls or {}) as driver:
            await test(driver)

    asyncio.run(main())


BINARY = BinaryId(1)
EXECUTOR = ExecutorId("0")
