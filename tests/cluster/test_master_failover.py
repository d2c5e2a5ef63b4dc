"""Masters in processes of their own that share a directory: one that was frozen commands nobody when it wakes up."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.deploy.master import MASTER
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.ids import WorkerId
from minispark.messages.deploy import LaunchDriver, MasterChanged, RegisteredWorker, RegisterWorker
from minispark.messages.deploy_clients import MasterStatus, RequestMasterStatus, RequestSubmitDriver
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Message
from minispark.rpc.world import SystemWorld
from tests.cluster.daemons import crowd
from tests.deploy.logic.cluster_harness import describe_driver

SECRET = b"the secret of this cluster"
LEASE_S = 1.0
"""On a machine that has a core for each process; a master that is late with its renewals leads no more."""

# What a master's command does, with the lease of this test.
MASTER_PROGRAM = """
import asyncio, sys
from minispark.conf import SparkConf
from minispark.deploy.master_process import start_master
from minispark.rpc.world import SystemWorld

async def main():
    conf = SparkConf({"minispark.deploy.recoveryMode": "filesystem",
                      "minispark.deploy.recoveryDirectory": sys.argv[1], "minispark.deploy.leaderLease": sys.argv[2]})
    master = await start_master(SystemWorld(), conf, sys.argv[3].encode(), port=0)
    print(master.address.port, flush=True)
    print(await master.wait(), flush=True)

asyncio.run(main())
"""


class Listening(RpcEndpoint):
    """A worker that keeps what it is told, and says when something of a kind comes."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.news = asyncio.Event()

    def receive(self, message: Message, context: CallContext) -> None:
        self.heard.append(message)
        self.news.set()

    async def wait_for(self, kind: type[Message]) -> Message:
        while not (found := [message for message in self.heard if isinstance(message, kind)]):
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 60)
        return found[-1]


async def looks(master: MasterProcess) -> AsyncIterator[MasterStatus]:
    """Look at a master again and again."""
    while True:
        yield await master.ref.ask(RequestMasterStatus())
        await asyncio.sleep(0.02)


def start_program(directory: Path, lease_s: float) -> tuple[subprocess.Popen[str], RpcAddress]:
    """Start a master in a process of its own."""
    arguments = [str(directory), f"{lease_s}s", SECRET.decode()]
    process = subprocess.Popen([sys.executable, "-c", MASTER_PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, RpcAddress("127.0.0.1", int(process.stdout.readline()))


@pytest.mark.cluster
def test_a_leader_that_is_stopped_and_wakes_up_ends_and_commands_nobody(tmp_path: Path) -> None:
    lease_s = LEASE_S * crowd()
    process, frozen = start_program(tmp_path, lease_s)

    async def main() -> list[Message]:
        env = RpcEnv("worker", SystemWorld(), SparkConf(), secret=SECRET, realm=CLUSTER_REALM)
        await env.listen()
        worker = Listening()
        ref = env.setup_endpoint("Worker", worker)
        old = await env.lookup(frozen, MASTER)
        while not any(isinstance(message, RegisteredWorker) for message in worker.heard):
            old.send(RegisterWorker(WorkerId("w1"), "h1", ref, 4, 1 << 30, frozen))
            await asyncio.sleep(0.05)
        conf = SparkConf({"minispark.deploy.recoveryMode": "filesystem", "minispark.deploy.leaderLease": lease_s})
        conf.set("minispark.deploy.recoveryDirectory", str(tmp_path))
        standby = await start_master(SystemWorld(), conf, SECRET, port=0)

        process.send_signal(signal.SIGSTOP)
        changed = await worker.wait_for(MasterChanged)
        question = old.ask(RequestSubmitDriver(describe_driver()))
        process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(process.wait, 60)
        question.cancel()
        assert isinstance(changed, MasterChanged)
        assert changed.term == 2
        await standby.close()
        await env.close()
        return worker.heard

    try:
        heard = asyncio.run(main())
        assert process.stdout is not None
        assert "renewed" in (last := process.stdout.read()) or "another master leads" in last
        assert not [message for message in heard if isinstance(message, LaunchDriver)]
        after = heard[next(at for at, each in enumerate(heard) if isinstance(each, MasterChanged)) :]
        assert {getattr(message, "term", 2) for message in after} == {2}
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.cluster
def test_a_master_that_is_killed_is_followed_on_its_machine_without_waiting_for_its_lease(tmp_path: Path) -> None:
    process, _ = start_program(tmp_path, LEASE_S)

    async def main() -> str:
        conf = SparkConf({"minispark.deploy.recoveryMode": "filesystem", "minispark.deploy.leaderLease": "1h"})
        conf.set("minispark.deploy.recoveryDirectory", str(tmp_path))
        process.kill()
        process.wait()
        after = await start_master(SystemWorld(), conf, SECRET, port=0)
        async with asyncio.timeout(60):
            async for status in looks(after):
                if status.term:
                    break
        await after.close()
        return status.state.name

    try:
        assert asyncio.run(main()) == "ALIVE"
    finally:
        assert process.stdout is not None
        process.stdout.close()
