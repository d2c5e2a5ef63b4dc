"""Masters that say what a test has them say, on a network in memory."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from minispark.conf import SparkConf
from minispark.messages.deploy_values import Acknowledged
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

SECRET = b"the secret of a cluster under test"
M = TypeVar("M", bound=Message)


class FakeMaster(RpcEndpoint):
    """Keeps what it gets, and answers asks.

    Attributes:
        heard: all messages, in order.
        answer: the reply to asks.
    """

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.answer: Message | None = Acknowledged()

    def receive(self, message: Any, context: CallContext) -> None:
        self.heard.append(message)
        if context.is_ask and self.answer is not None:
            context.reply(self.answer)

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]


class Masters:
    """A network with masters of one cluster; `env` makes the env of somebody who talks to them."""

    def __init__(self, **settings: object) -> None:
        self.conf = SparkConf({f"minispark.{key.replace('_', '.')}": value for key, value in settings.items()})
        self.network = MemoryNetwork()
        self.worlds: list[VirtualWorld] = []
        self.envs: list[RpcEnv] = []

    def env(self, name: str, secret: bytes = SECRET, realm: str = CLUSTER_REALM) -> RpcEnv:
        world = VirtualWorld(seed=len(self.envs), network=self.network)
        env = RpcEnv(name, world, self.conf, secret=secret, realm=realm)
        self.envs.append(env)
        return env

    async def master(self, port: int) -> tuple[FakeMaster, RpcEndpointRef, RpcAddress]:
        env = self.env(f"master-{port}")
        address = await env.listen("127.0.0.1", port)
        master = FakeMaster()
        return master, env.setup_endpoint("Master", master), address

    async def close(self) -> None:
        for env in reversed(self.envs):
            await env.close()


def freeze(env: RpcEnv) -> None:
    """Have a process stand still: its kernel keeps the connections, and takes what comes."""
    for connection in env.network.connections:
        connection.transport.pause_reading()


def with_masters(scenario: Callable[[Masters], Awaitable[None]], **settings: object) -> None:
    """Run a scenario in virtual time and close all its envs."""

    async def run() -> None:
        masters = Masters(**settings)
        try:
            await scenario(masters)
        finally:
            await masters.close()

    run_virtual(run())


__all__ = ["FakeMaster", "Masters", "freeze", "settle", "with_masters"]
