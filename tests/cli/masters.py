"""Masters that say what a test wants them to, over the network in memory, and a client that asks them."""

from collections.abc import Awaitable, Callable
from typing import Any

from minispark.cli.client import ClusterClient
from minispark.conf import SparkConf
from minispark.ids import DriverId
from minispark.messages.deploy_clients import (
    DriverSummary,
    MasterStatus,
    RequestDriverStatus,
    RequestMasterStatus,
    RequestSubmitDriver,
    SubmitDriverResponse,
)
from minispark.messages.deploy_values import DriverState, MasterState
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

SECRET = b"the secret of the test cluster"
DRIVER = DriverId("driver-1")


def status_of(state: MasterState, url: str = "minispark://127.0.0.1:7077", **parts: Any) -> MasterStatus:
    nothing: dict[str, Any] = dict.fromkeys(
        ("workers", "active_apps", "completed_apps", "active_drivers", "completed_drivers"), ()
    )
    return MasterStatus(url=url, state=state, term=1, **{**nothing, **parts})


class ScriptedMaster(RpcEndpoint):
    """A master in one state; its driver goes through these states, one an ask."""

    def __init__(self, state: MasterState, driver_states: tuple[DriverState, ...] = ()) -> None:
        self.state = state
        self.driver_states = list(driver_states)
        self.heard: list[Any] = []

    def receive(self, message: Any, context: CallContext) -> None:
        self.heard.append(message)
        match message:
            case RequestMasterStatus():
                context.reply(status_of(self.state))
            case RequestDriverStatus():
                context.reply(DriverSummary(message.driver_id, self.driver_states.pop(0)))
            case RequestSubmitDriver():
                context.reply(SubmitDriverResponse(DRIVER))


Scenario = Callable[[ClusterClient, list[ScriptedMaster], list[RpcEnv]], Awaitable[None]]


def with_masters(scenario: Scenario, *masters: ScriptedMaster, unreachable: int = 0) -> None:
    """Run a scenario with these masters, and addresses where none is."""

    async def main() -> None:
        network = MemoryNetwork()
        world = VirtualWorld(network=network)
        envs = [RpcEnv("master", world, SparkConf(), secret=SECRET) for _ in masters]
        addresses = [RpcAddress("127.0.0.1", 9000 + number) for number in range(unreachable)]
        for env, master in zip(envs, masters, strict=True):
            env.setup_endpoint("Master", master)
            addresses.append(await env.listen("127.0.0.1", 7077 + len(addresses)))
        client = RpcEnv("client", world, SparkConf(), secret=SECRET)
        try:
            await scenario(ClusterClient(client, addresses), list(masters), envs)
        finally:
            for env in (client, *envs):
                await env.close()

    run_virtual(main())
