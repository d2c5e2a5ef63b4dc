"""MasterProcess: a master and its peers over a network."""

from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.deploy.master import MASTER
from minispark.deploy.master_process import start_master, store_of
from minispark.deploy.persistence import FileStore
from minispark.errors import ConfigurationError
from minispark.ids import WorkerId
from minispark.messages.deploy import (
    ExecutorAllotted,
    LaunchExecutor,
    RegisterApplication,
    RegisteredApplication,
    RegisteredWorker,
    RegisterWorker,
)
from minispark.messages.deploy_clients import RequestMasterStatus
from minispark.messages.deploy_values import MasterState
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Message
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.deploy.logic.cluster_harness import describe_app

SECRET = b"the secret of this cluster"


class Listening(RpcEndpoint):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def receive(self, message: Message, context: CallContext) -> None:
        self.heard.append(message)


async def peer(name: str, network: MemoryNetwork, seed: int) -> tuple[RpcEnv, Listening]:
    """Make an env of the cluster's realm with an endpoint of that name."""
    env = RpcEnv(name, VirtualWorld(seed, network), SparkConf(), secret=SECRET, realm=CLUSTER_REALM)
    await env.listen()
    endpoint = Listening()
    env.setup_endpoint(name, endpoint)
    return env, endpoint


def test_a_worker_and_an_application_meet_at_a_master() -> None:
    async def main() -> tuple[list[type], list[type], MasterState, int]:
        network = MemoryNetwork()
        master = await start_master(VirtualWorld(1, network), SparkConf(), SECRET, port=0)
        worker_env, worker = await peer("Worker", network, 2)
        app_env, app = await peer("AppClient", network, 3)
        line = await worker_env.lookup(master.address, MASTER)
        line.send(RegisterWorker(WorkerId("w1"), "h1", worker_env.endpoint_ref("Worker"), 4, 1 << 30, master.address))
        await settle()
        to_master = await app_env.lookup(master.address, MASTER)
        to_master.send(RegisterApplication(describe_app(), app_env.endpoint_ref("AppClient")))
        await settle()
        status = await to_master.ask(RequestMasterStatus())
        heard = [[type(message) for message in endpoint.heard] for endpoint in (worker, app)]
        for env in (app_env, worker_env, master.env):
            await env.close()
        return heard[0], heard[1], status.state, status.workers[0].cores_used

    told_worker, told_app, state, cores_used = run_virtual(main())

    assert told_worker == [RegisteredWorker, LaunchExecutor]
    assert told_app == [RegisteredApplication, ExecutorAllotted]
    assert state is MasterState.ALIVE
    assert cores_used == 4


@pytest.mark.scenario("MST-008", "custom factory")
def test_a_store_of_ones_own_takes_the_place_of_what_the_settings_say() -> None:
    async def main() -> list[str]:
        store = MemoryStore()
        master = await start_master(VirtualWorld(1, MemoryNetwork()), SparkConf(), SECRET, port=0, store=store)
        await settle()
        worker = RecordingRef("Worker", RpcAddress("w1", 4000))
        master.endpoint.receive(
            RegisterWorker(WorkerId("w1"), "w1", worker, 4, 1 << 30, master.address), RecordingContext(is_ask=False)
        )
        await settle()
        await master.close()
        return list(store.records)

    assert run_virtual(main()) == ["worker_w1"]


def test_the_settings_say_where_records_are_kept(tmp_path: Path) -> None:
    conf = SparkConf({"minispark.deploy.recoveryMode": "filesystem"})
    assert store_of(SparkConf()) is None

    with pytest.raises(ConfigurationError, match=r"minispark\.deploy\.recoveryDirectory"):
        store_of(conf)
    assert isinstance(store_of(conf.set("minispark.deploy.recoveryDirectory", str(tmp_path / "state"))), FileStore)
