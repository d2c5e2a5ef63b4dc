"""RpcEnv: the owner of endpoints, refs, connections and background tasks of one component of the program.

Made by a composition root (the driver's context, an executor's, worker's or master's main), inside a running event
loop; everything of it runs on that loop. Without `listen` nothing listens: that is local mode and client mode.
"""

import asyncio
import ssl
from collections.abc import Container, Iterable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from minispark.conf import SparkConf
from minispark.errors import RpcEnvStopped, RpcError, RpcTimeout
from minispark.rpc.asks import AskTable
from minispark.rpc.dispatcher import Dispatcher
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.local import LocalRef, OneWay, through_the_codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.timeouts import ASK_KEYS, LOOKUP_KEYS, timeout_of
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.remote import RemoteRef, not_found
from minispark.rpc.scope import TaskScope
from minispark.rpc.verifier import VERIFIER, CheckExistence, EndpointVerifier
from minispark.rpc.world import World

if TYPE_CHECKING:
    from minispark.rpc.bulk import Bulk
    from minispark.rpc.file_server import FileServer
    from minispark.rpc.network import Network

__all__ = ["WILDCARDS", "RpcEnv"]

CLOSE_DEADLINE_S = 5.0
MIN_SECRET_SIZE = 16
WILDCARDS = ("", "0.0.0.0", "::")


class RpcEnv:
    """Endpoints by name, refs to endpoints anywhere, and a scope for tasks.

    Args:
        name: shown to people: "driver", "executor-3".
        world: clock, chance, network.
        conf: settings `minispark.rpc.*`.
        secret: what peers must prove to know, at least 16 bytes; by default a random one that nobody else knows.
        realm: the name of that secret, which this env's connections say unless `add_realm` says otherwise.
        server_tls: makes the connections of peers TLS; without it frames off loopback are sealed.
        client_tls: makes the connections to peers TLS.

    Attributes:
        scope: where background tasks of this env's endpoints are spawned; closed with the env.
        address: where the env listens, as peers know it; None without a server.
        dispatcher: local delivery; its `observer` may be set to trace every message.
    """

    def __init__(
        self,
        name: str,
        world: World,
        conf: SparkConf,
        *,
        secret: bytes | None = None,
        realm: str = "",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        if secret is not None and len(secret) < MIN_SECRET_SIZE:
            raise ValueError(f"a secret needs at least {MIN_SECRET_SIZE} bytes, not {len(secret)}")
        self.name = name
        self.secret = world.secret_bytes(32) if secret is None else secret
        self.realm = realm
        self.secrets = {realm: self.secret}
        self.realms: dict[RpcAddress, str] = {}
        self.world = world
        self.conf = conf
        self.loop = asyncio.get_running_loop()
        self.address: RpcAddress | None = None
        self.loopback = conf.rpc_loopback_encode
        self.dispatcher = Dispatcher(self.loop, world.monotonic)
        self.asks = AskTable(self.loop, world, timeout_of(conf, *ASK_KEYS))
        self.scope = TaskScope(name, self.dispatcher.report)
        self.one_way = OneWay(lambda: self.address)
        self.server_tls, self.client_tls = server_tls, client_tls
        self.closing: asyncio.Task[None] | None = None

    # What follows is loaded and made at first use: local mode never talks to another process.

    @cached_property
    def network(self) -> "Network":
        """Servers, connections and what travels over them."""
        made: Network = import_module("minispark.rpc.network").Network(self, self.server_tls, self.client_tls)
        return made

    @cached_property
    def files(self) -> "FileServer":
        """The file server."""
        made: FileServer = import_module("minispark.rpc.file_server").FileServer(self)
        return made

    @property
    def bulk(self) -> "Bulk":
        """Services and channels for data of any size."""
        return self.network.bulk

    def setup_endpoint(
        self, name: str, endpoint: RpcEndpoint, *, realms: Container[str] | None = None
    ) -> RpcEndpointRef:
        """Register an endpoint; its `on_start` runs before its first message.

        Args:
            name: what peers call it.
            endpoint: the endpoint.
            realms: peers that proved the secret of one of these may talk to it, and it is told of their connections;
                by default those of the env's own realm. Other endpoints of this env may talk to it in any case.

        Raises:
            ValueError: the name is taken.
            RpcEnvStopped: the env was shut down.
        """
        ref = LocalRef(self, name)
        ref.inbox = self.dispatcher.register(name, endpoint, ref, (self.realm,) if realms is None else realms)
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

    async def listen(
        self, host: str = "127.0.0.1", port: int = 0, *, advertised_host: str | None = None
    ) -> RpcAddress:
        """Let peers connect; return the address, which refs of this env carry from now on.

        Args:
            host: a name or numeric address of this machine, or the path of a Unix socket to be made.
            port: 0 for any; if it is in use, up to `minispark.port.maxRetries` next ones are tried.
            advertised_host: what peers are told instead of `host`; needed for a wildcard.

        Raises:
            RpcError: it cannot listen there, or listens already.
            ValueError: a wildcard address without `advertised_host`.
        """
        if self.address is not None:
            raise RpcError(f"the RpcEnv {self.name!r} listens already on {self.address}")
        if host in WILDCARDS and advertised_host is None:
            raise ValueError(f"peers cannot connect to {host}: say advertised_host")
        bound = await self.network.listen(RpcAddress(host, port), self.conf.port_max_retries)
        self.address = RpcAddress(advertised_host or bound.host, bound.port)
        verifier = EndpointVerifier(lambda name: name in self.dispatcher.inboxes)
        self.setup_endpoint(VERIFIER, verifier, realms=self.secrets)
        return self.address

    async def lookup(self, address: RpcAddress, name: str) -> RpcEndpointRef:
        """Return the ref of an endpoint anywhere after asking its env whether it exists.

        Raises:
            RpcEndpointNotFound: it does not.
            RpcTimeout: no answer within `minispark.rpc.lookupTimeout`.
            RpcError: the env cannot be reached.
        """
        if address == self.address:
            return self.endpoint_ref(name)
        timeout = timeout_of(self.conf, *LOOKUP_KEYS)
        try:
            answer = await self.bind(VERIFIER, address).ask(CheckExistence(name), timeout.duration_s)
        except RpcTimeout:
            raise timeout.error(f"no answer from {address} whether there is {name!r}") from None
        if not answer.exists:
            raise not_found(name, address)
        return self.bind(name, address)

    def bind(self, name: str, address: RpcAddress | None) -> RpcEndpointRef:
        """Return a ref to an endpoint by name and address, without asking whether it exists."""
        if address is None or address == self.address:
            return LocalRef(self, name)
        return RemoteRef(self, name, address)

    def add_realm(self, realm: str, secret: bytes, peers: Iterable[RpcAddress] = ()) -> None:
        """Let peers in that prove another secret, and prove it to these peers (a cluster's beside the application's).

        Args:
            realm: its name, which connections to those peers say.
            secret: at least 16 bytes.
            peers: addresses that are connected to under this realm.
        """
        if len(secret) < MIN_SECRET_SIZE:
            raise ValueError(f"a secret needs at least {MIN_SECRET_SIZE} bytes, not {len(secret)}")
        self.secrets[realm] = secret
        self.realms.update((peer, realm) for peer in peers)

    def realm_of(self, address: RpcAddress) -> str:
        """Return under which realm a peer is connected to."""
        return self.realms.get(address, self.realm)

    def remove_realm(self, realm: str) -> None:
        """Let nobody in any more by that realm's secret; connections that exist go on."""
        self.secrets.pop(realm, None)
        self.realms = {peer: name for peer, name in self.realms.items() if name != realm}

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
        if "network" in vars(self):
            await self.network.close()
        await self.scope.close(CLOSE_DEADLINE_S)
        self.asks.fail_all(f"the RpcEnv {self.name!r} is stopped", RpcEnvStopped)
