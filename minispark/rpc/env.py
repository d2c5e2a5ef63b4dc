"""RpcEnv: the owner of endpoints, refs, connections and background tasks of one component of the program.

Made by a composition root (the driver's context, an executor's, worker's or master's main), inside a running event
loop; everything of it runs on that loop. Without `listen` nothing listens: that is local mode and client mode.
"""

import asyncio

from minispark.conf import SparkConf
from minispark.errors import RpcEnvStopped
from minispark.rpc.asks import AskTable
from minispark.rpc.dispatcher import Dispatcher
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.local import LocalRef, OneWay, through_the_codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.timeouts import ASK_KEYS, timeout_of
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["RpcEnv"]

CLOSE_DEADLINE_S = 5.0


class RpcEnv:
    """Endpoints by name, refs to endpoints anywhere, and a scope for tasks.

    Args:
        name: shown to people: "driver", "executor-3".
        world: clock, chance, network.
        conf: settings `minispark.rpc.*`.

    Attributes:
        scope: where background tasks of this env's endpoints are spawned; closed with the env.
        address: where the env listens, as peers know it; None without a server.
        dispatcher: local delivery; its `observer` may be set to trace every message.
    """

    def __init__(self, name: str, world: World, conf: SparkConf) -> None:
        self.name = name
        self.world = world
        self.conf = conf
        self.loop = asyncio.get_running_loop()
        self.address: RpcAddress | None = None
        self.loopback = conf.rpc_loopback_encode
        self.dispatcher = Dispatcher(self.loop, world.monotonic)
        self.asks = AskTable(self.loop, world, timeout_of(conf, *ASK_KEYS))
        self.scope = TaskScope(name)
        self.one_way = OneWay(self)
        self.closing: asyncio.Task[None] | None = None

    def setup_endpoint(self, name: str, endpoint: RpcEndpoint) -> RpcEndpointRef:
        """Register an endpoint; its `on_start` runs before its first message.

        Raises:
            ValueError: the name is taken.
            RpcEnvStopped: the env was shut down.
        """
        ref = LocalRef(self, name)
        ref.inbox = self.dispatcher.register(name, endpoint, ref)
        return ref

    def endpoint_ref(self, name: str) -> RpcEndpointRef:
        """Return the ref of an endpoint of this env.

        Raises:
            RpcEndpointNotFound: there is none of that name.
            RpcEnvStopped: the env was shut down.
        """
        ref = LocalRef(self, name)
        ref.find()
        return ref

    def stop(self, ref: RpcEndpointRef) -> None:
        """Stop an endpoint of this env: it gets what is queued, then `on_stop`; stopping it again does nothing."""
        self.dispatcher.stop(ref.name)

    def bind(self, name: str, address: RpcAddress | None) -> RpcEndpointRef:
        """Return a ref to an endpoint by name and address, without asking whether it exists."""
        return LocalRef(self, name)

    def copied(self, message: Message) -> Message:
        """Return the message as it would arrive from another process (`minispark.rpc.loopbackEncode`).

        Raises:
            ProtocolError: it cannot be encoded, or would not be understood.
        """
        return through_the_codec(self, message)

    async def close(self) -> None:
        """Stop all endpoints, cancel the tasks of the scope, fail open asks, close connections.

        May be called from any task of the loop, also a second time: it returns when all is closed. A caller that is
        cancelled does not interrupt the closing.
        """
        if self.closing is None:
            self.closing = self.loop.create_task(self.shut_down(), name=f"close {self.name}")
        await asyncio.shield(self.closing)

    async def shut_down(self) -> None:
        """Close everything, once."""
        await self.dispatcher.stop_all()
        await self.scope.close(CLOSE_DEADLINE_S)
        self.asks.fail_all(f"the RpcEnv {self.name!r} is stopped", RpcEnvStopped)
