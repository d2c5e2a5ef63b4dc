"""Messages, endpoints and pairs of envs for the tests of the RPC room."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from minispark.conf import SparkConf
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Ask, Attachment, Message, message
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

SECRET = b"the secret of the test application"


@message(31000)
class Note(Message):
    text: str


@message(31001)
class Question(Ask[Note]):
    text: str


@message(31002)
class Introduction(Message):
    ref: RpcEndpointRef


@message(31003)
class Parcel(Ask[Note]):
    data: Attachment
    parts: tuple[Attachment, ...] = ()


@message(31004)
class Silence(Ask[Note]):
    """Never answered."""


@message(31005)
class Trouble(Ask[Note]):
    """Answered with an error."""


class Probe(RpcEndpoint):
    """Records what happens to it, in order; answers questions by upper case.

    Args:
        on: what to do with a message, in place of that.
    """

    def __init__(self, on: Callable[["Probe", Any, CallContext], object] | None = None) -> None:
        self.on = on
        self.events: list[tuple[Any, ...]] = []
        self.contexts: list[CallContext] = []
        self.errors: list[BaseException] = []

    @property
    def messages(self) -> list[Any]:
        return [event[1] for event in self.events if event[0] == "message"]

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] in names]

    def on_start(self) -> None:
        self.events.append(("start",))

    def receive(self, message: Any, context: CallContext) -> None:
        self.events.append(("message", message))
        self.contexts.append(context)
        if self.on is not None:
            self.on(self, message, context)
        elif isinstance(message, Question):
            context.reply(Note(message.text.upper()))
        elif isinstance(message, Parcel):
            context.reply(Note(str(len(message.data))))
        elif isinstance(message, Trouble):
            raise KeyError("no such thing")

    def on_connected(self, address: RpcAddress) -> None:
        self.events.append(("connected", address))

    def on_disconnected(self, address: RpcAddress) -> None:
        self.events.append(("disconnected", address))

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        self.events.append(("error", address, error))

    def on_error(self, error: BaseException) -> None:
        self.errors.append(error)

    def on_stop(self) -> None:
        self.events.append(("stop",))


class Peers:
    """A listening env `server` with a Probe named "probe", and an env `client` that does not listen."""

    def __init__(self, **settings: object) -> None:
        self.settings = settings
        self.network = MemoryNetwork()
        self.envs: list[RpcEnv] = []
        self.probe = Probe()

    def env(
        self, name: str, host: str = "127.0.0.1", secret: bytes = SECRET, settings: dict[str, object] | None = None
    ) -> RpcEnv:
        values = {**self.settings, **(settings or {})}
        conf = SparkConf({f"minispark.{key}": value for key, value in values.items()})
        world = VirtualWorld(seed=len(self.envs), network=self.network, host=host)
        env = RpcEnv(name, world, conf, secret=secret)
        self.envs.append(env)
        return env

    async def start(self, host: str = "127.0.0.1") -> None:
        self.server = self.env("server", host)
        self.client = self.env("client", host)
        self.address = await self.server.listen(host, 7077)
        self.server.setup_endpoint("probe", self.probe)
        self.ref = self.client.bind("probe", self.address)

    async def stop(self) -> None:
        for env in reversed(self.envs):
            await env.close()


@contextlib.asynccontextmanager
async def peers(host: str = "127.0.0.1", **settings: object) -> AsyncIterator[Peers]:
    made = Peers(**{key.replace("__", "."): value for key, value in settings.items()})
    await made.start(host)
    try:
        yield made
    finally:
        await made.stop()


def with_peers(scenario: Callable[[Peers], Awaitable[None]], host: str = "127.0.0.1", **settings: object) -> None:
    """Run a scenario with a fresh pair of envs, in virtual time."""

    async def main() -> None:
        async with peers(host, **settings) as made:
            await scenario(made)

    run_virtual(main())


def with_env(scenario: Callable[[RpcEnv], Awaitable[None]], **settings: object) -> None:
    """Run a scenario with one env that does not listen, in virtual time."""

    async def main() -> None:
        made = Peers(**{key.replace("__", "."): value for key, value in settings.items()})
        env = made.env("local")
        try:
            await scenario(env)
        finally:
            await made.stop()

    run_virtual(main())


__all__ = [
    "SECRET", "Introduction", "Note", "Parcel", "Peers", "Probe", "Question", "Silence", "Trouble", "peers", "settle",
    "with_env", "with_peers",
]  # fmt: skip
