"""A worker with fake processes between two fake masters, in virtual time."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from minispark.deploy.worker import WORKER, Worker
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import LaunchDriver, LaunchExecutor, RegisteredWorker
from minispark.messages.deploy_values import ApplicationDescription, DriverDescription
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from tests.deploy.launchers import FakeLauncher
from tests.deploy.masters import SECRET, FakeMaster, Masters, settle, with_masters

__all__ = ["APP", "DRIVER", "DRIVER_ID", "GIB", "House", "launch", "launch_driver", "with_worker"]

APP = ApplicationId("app-1")
DRIVER_ID = DriverId("driver-1")
DRIVER = RpcAddress("driver-host", 4040)
GIB = 1 << 30


def launch(number: int = 1, term: int = 1, app_id: ApplicationId = APP, **environment: str) -> LaunchExecutor:
    description = ApplicationDescription("test", "app-0123456789abcdef", "me", DRIVER, 0, 0, GIB, -1, environment)
    return LaunchExecutor(term, "url", app_id, number, description, 2, GIB)


def launch_driver(*, supervise: bool = False, term: int = 1) -> LaunchDriver:
    return LaunchDriver(term, DRIVER_ID, DriverDescription(("app.py", "1"), 1, GIB, supervise, {"A": "B"}))


class House:
    """A worker, its masters and what it started."""

    def __init__(self, masters: Masters, directory: Path) -> None:
        self.masters = masters
        self.directory = directory
        self.launcher = FakeLauncher()

    async def start(self, environment: dict[str, str]) -> None:
        self.leader, self.leader_ref, first = await self.masters.master(7077)
        self.standby, self.standby_ref, second = await self.masters.master(7078)
        self.env = self.masters.env("world")  # lends its world alone
        self.process: WorkerProcess = await start_worker(
            self.env.world,
            self.masters.conf,
            WorkerOptions((first, second), self.directory, cores=4, memory_bytes=4 * GIB),
            SECRET,
            launcher=self.launcher,
            environment=environment,
        )
        self.masters.envs.append(self.process.env)
        assert self.process.worker is not None
        self.worker: Worker = self.process.worker
        await settle(40)

    async def say(self, *messages: Message) -> None:
        """Have a master say something to the worker."""
        for message in messages:
            self.masters.envs[0].bind(WORKER, self.process.address).send(message)
        await settle(60)

    async def register(self, term: int = 1) -> None:
        await self.say(RegisteredWorker(term, self.leader_ref, "url"))

    async def pass_time(self, seconds: float) -> None:
        await self.env.world.sleep(seconds)
        await settle(60)

    @property
    def heard(self) -> FakeMaster:
        return self.leader


def with_worker(
    scenario: Callable[[House], Awaitable[None]],
    directory: Path,
    *,
    registered: bool = True,
    environment: dict[str, str] | None = None,
    **settings: object,
) -> None:
    """Run a scenario with a worker, registered unless told otherwise, in virtual time."""

    async def run(masters: Masters) -> None:
        house = House(masters, directory)
        await house.start(environment or {})
        if registered:
            await house.register()
        await scenario(house)

    with_masters(run, **settings)
