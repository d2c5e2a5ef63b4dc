"""Real processes of a worker: executors and drivers that end in all ways, and what the master hears of it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from minispark.conf import SparkConf
from minispark.deploy.worker import WORKER
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import (
    DriverStateChanged,
    ExecutorStateChanged,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    RegisteredWorker,
)
from minispark.messages.deploy_values import (
    ApplicationDescription,
    DriverDescription,
    DriverState,
    ExecutorState,
    ShippedFile,
)
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Message
from minispark.rpc.world import SystemWorld
from tests.deploy.masters import SECRET, FakeMaster

pytestmark = pytest.mark.cluster
APP = ApplicationId("app-1")
M = TypeVar("M", bound=Message)


class House:
    """A real worker and a master that does as the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = SystemWorld()
        self.conf = SparkConf({}, environment={})
        self.master = FakeMaster()

    async def start(self) -> None:
        self.env = RpcEnv("master", self.world, self.conf, secret=SECRET, realm=CLUSTER_REALM)
        ref = self.env.setup_endpoint("Master", self.master)
        address = await self.env.listen()
        options = WorkerOptions((address,), self.folder / "work", cores=1, memory_bytes=1 << 30)
        self.worker: WorkerProcess = await start_worker(
            self.world, self.conf, options, SECRET, environment={"PATH": os.environ["PATH"]}
        )
        self.say(RegisteredWorker(1, ref, "url"))

    def say(self, message: Message) -> None:
        self.env.bind(WORKER, self.worker.address).send(message)

    async def hear(self, kind: type[M], count: int) -> list[M]:
        while len(heard := self.master.of(kind)) < count:
            await self.world.sleep(0.01)
        return heard

    def launch(self, script: str) -> None:
        """Start an executor whose interpreter is a shell script."""
        program = self.folder / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        description = ApplicationDescription(
            "test", "app-0123", "me", RpcAddress("127.0.0.1", 9), 0, 0, 1 << 20, -1, {}, str(program)
        )
        self.say(LaunchExecutor(1, "url", APP, 1, description, 1, 1 << 20))


def with_house(folder: Path, scenario: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        house = House(folder)
        async with asyncio.timeout(60):
            await house.start()
            try:
                await scenario(house)
            finally:
                await house.worker.stop()
                await house.env.close()

    asyncio.run(run())


def test_an_executor_that_exits_is_reported_with_its_code_and_its_last_words_are_kept(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launch('echo "$@"; echo "no driver" >&2; exit 56')
        (end,) = await house.hear(ExecutorStateChanged, 1)  # it never ran
        assert (end.state, end.exit_code) == (ExecutorState.EXITED, 56)
        assert end.text == "exit code 56 (heartbeat failure: the driver did not answer)\nno driver"
        folder = tmp_path / "work/app-1/1"
        assert (folder / "stderr").read_text() == "no driver\n"
        assert "-m minispark.executor --driver 127.0.0.1:9 --executor-id 1" in (folder / "stdout").read_text()

    with_house(tmp_path, scenario)


def test_a_killed_executor_ends_with_all_that_it_started(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launch("sleep 1000 & echo $!; wait")
        stdout = tmp_path / "work/app-1/1/stdout"
        while not stdout.exists() or not stdout.read_text():
            await house.world.sleep(0.01)
        child = os.pidfd_open(int(stdout.read_text()))
        house.say(KillExecutor(1, "url", APP, 1))
        (end,) = await house.hear(ExecutorStateChanged, 1)
        assert (end.state, end.exit_code, end.text) == (ExecutorState.KILLED, -15, "killed by SIGTERM")
        assert select.select([child], [], [], 60)[0] == [child]
        os.close(child)

    with_house(tmp_path, scenario)


@pytest.mark.scenario("WRK-003", "fail then succeed under supervise with back-off")
def test_a_supervised_driver_runs_until_it_succeeds(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        program = b"import helper, os, sys\nif os.path.exists('ran'): sys.exit(0)\nopen('ran', 'w')\nsys.exit(3)\n"
        files = (ShippedFile("app.py", program), ShippedFile("helper.py", b"print('hello')"))
        description = DriverDescription(("app.py",), 1, 1 << 20, True, {}, files)
        house.say(LaunchDriver(1, DriverId("driver-1"), description))
        (end,) = await house.hear(DriverStateChanged, 1)
        assert end.state is DriverState.FINISHED
        assert (tmp_path / "work/driver-1/stdout").read_text() == "hello\nhello\n"

    with_house(tmp_path, scenario)


def test_a_driver_does_not_outlive_its_worker(tmp_path: Path) -> None:
    code = f"""if True:
        import asyncio, os, sys
        from pathlib import Path
        from tests.cluster.test_worker_processes import House, LaunchDriver, DriverDescription, DriverId
        async def main():
            house = House(Path({str(tmp_path)!r}))
            await house.start()
            argv = "-c", "import os, time; print(os.getpid()); time.sleep(1000)"
            house.say(LaunchDriver(1, DriverId("driver-1"), DriverDescription(argv, 1, 1, True, {{}})))
            stdout = Path({str(tmp_path)!r}, "work/driver-1/stdout")
            while not stdout.exists() or not stdout.read_text():
                await asyncio.sleep(0.01)
            print(stdout.read_text(), flush=True)
            await asyncio.sleep(1000)
        asyncio.run(main())
    """
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    driver = os.pidfd_open(int(worker.stdout.readline()))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()

    assert select.select([driver], [], [], 60)[0] == [driver]
    os.close(driver)
