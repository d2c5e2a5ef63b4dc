"""The remote half of an RpcEnv: listening, dialling, and what arrives.

Each side's sends use the connection it dialled, one per address; replies, and messages to peers that do not listen,
use the one the peer dialled. Events of connections go to all endpoints of the env.
"""

import asyncio
import errno
import logging
import operator
import ssl
import sys
from functools import partial
from itertools import dropwhile
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from minispark import __version__
from minispark.errors import PeerRefused, ProtocolError, RpcEnvStopped, RpcError
from minispark.rpc.bulk import Bulk
from minispark.rpc.connection import BROKEN_HANDSHAKE, Connection
from minispark.rpc.failures import rebuild
from minispark.rpc.local import OneWay
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.codec import from_wire
from minispark.rpc.logic.envelope import ASK, FAILURE, ONE_WAY, Envelope, open_envelope
from minispark.rpc.logic.frames import BUFFER_SIZE, Frame
from minispark.rpc.logic.handshake import Hello, Identity, Role
from minispark.rpc.logic.shapes import BindRef
from minispark.rpc.outbox import AcceptedLine, DialledLine, Line
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.remote import RemoteCall, RemoteRef, not_for, not_found
from minispark.rpc.world import Listener

if TYPE_CHECKING:
    from minispark.rpc.env import RpcEnv

__all__ = ["Network"]

log = logging.getLogger(__name__)

CODECS = ("msgpack", "pickle5", "lz4")
MAX_HANDSHAKES = 512  # of peers that have not proved anything yet; the oldest makes room for one more
DRAIN_S = 2.0

buffers: "WeakKeyDictionary[asyncio.AbstractEventLoop, bytearray]" = WeakKeyDictionary()


def identity(name: str) -> Identity:
    """Return what this process is to its peers."""
    info = sys.hash_info
    hashes = f"{info.algorithm}/{info.width}/{info.modulus}/{info.hash_bits}/{info.seed_bits}"
    return Identity(__version__, f"{sys.version_info.major}.{sys.version_info.minor}", hashes, CODECS, name)


def buffer_of(loop: asyncio.AbstractEventLoop) -> bytearray:
    """Return what all envs of a loop receive into: nothing stays in it from one callback to the next."""
    buffer = buffers.get(loop)
    if buffer is None:
        buffer = buffers[loop] = bytearray(BUFFER_SIZE)
    return buffer


class Network:
    """Connections of one env.

    Args:
        env: the env.
        server_tls: makes the connections of peers TLS.
        client_tls: makes the connections to peers TLS.
    """

    def __init__(
        self, env: "RpcEnv", server_tls: ssl.SSLContext | None = None, client_tls: ssl.SSLContext | None = None
    ) -> None:
        self.env = env
        self.loop = env.loop
        self.buffer = buffer_of(env.loop)
        self.max_size = env.conf.rpc_message_max_size
        self.outbox_limit = env.conf.rpc_outbox_max_size
        self.connect_timeout_s = env.conf.rpc_connect_timeout
        self.secrets = env.secrets
        self.server_tls, self.client_tls = server_tls, client_tls
        self.identity = identity(env.name)
        self.listener: Listener | None = None
        self.outboxes: dict[RpcAddress, DialledLine] = {}
        self.connections: dict[Connection, None] = {}  # in the order in which they were made
        self.strangers: dict[Connection, None] = {}  # that peers made, and whose handshake is not done
        self.bulk = Bulk(self)
        self.at_end_of_turn = env.dispatcher.at_end_of_turn
        self.stopped = False

    async def listen(self, address: RpcAddress, retries: int) -> RpcAddress:
        """Listen, on one of the next ports if the port is in use; return where."""
        tried = address
        for attempt in range(retries + 1):
            port = address.port + attempt if address.port and not address.is_unix else address.port
            tried = RpcAddress(address.host, port)
            try:
                self.listener = await self.env.world.listen(self.accept, tried, self.server_tls)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not address.port or attempt == retries or port >= 65535:
                    raise RpcError(f"cannot listen on {tried}: {error}") from error
                log.info("%s: %s is in use, trying the next port", self.env.name, tried)
            else:
                return self.listener.address
        raise RpcError(f"cannot listen on {tried}")

    def accept(self) -> Connection:
        """Return the protocol of a connection that a peer makes."""
        return Connection(self, None, "control")

    def hello(self, connection: Connection, *, sealed: bool) -> Hello:
        """Return this side's hello for a connection; a peer that connected has a time to prove the secret."""
        if connection.dialled is None:
            self.connections[connection] = None
            self.strangers[connection] = None
            self.env.world.call_later(self.connect_timeout_s, self.expire, connection)
            if self.stopped:
                connection.break_off(RpcEnvStopped(f"the RpcEnv {self.env.name!r} is stopped"))
            elif len(self.strangers) > MAX_HANDSHAKES:
                # Who knows the secret is done in a moment: it is among the youngest, and nobody can lock it out.
                oldest = next(iter(self.strangers))
                del self.strangers[oldest]
                oldest.break_off(RpcError(f"more than {MAX_HANDSHAKES} connections wait for their handshake"))
        nonce = self.env.world.secret_bytes(32)
        return self.identity.hello(connection.role, connection.realm, self.env.address, sealed=sealed, nonce=nonce)

    def expire(self, connection: Connection) -> None:
        """Give up a peer that does not finish its handshake."""
        if connection.agreement is None and connection in self.connections:
            connection.break_off(RpcError(f"no handshake within {self.connect_timeout_s:g} s"))

    def opened(self, connection: Connection) -> None:
        """Let a connection whose handshake is done serve its purpose."""
        self.strangers.pop(connection, None)
        if connection.role == "bulk":
            self.bulk.opened(connection)
            return
        if connection.line is None:
            connection.line = AcceptedLine(self.env.asks, connection)
        line: Line = connection.line
        one_way = OneWay(lambda: connection.peer_address)

        def bind(name: str, address: RpcAddress | None) -> RpcEndpointRef:
            return self.env.bind(name, address) if address is not None else RemoteRef(self.env, name, None, line)

        connection.on_frame = partial(self.deliver, connection, one_way, bind)
        connection.serve = self.env.dispatcher.serve
        for address in self.addresses(connection):
            self.env.dispatcher.post_to_all(operator.methodcaller("on_connected", address), connection.realm)

    def addresses(self, connection: Connection) -> list[RpcAddress]:
        """Return under which addresses a connection's peer is announced: its socket's and its server's."""
        if connection.dialled is not None:
            return [connection.dialled]
        server = connection.peer_address
        return [connection.peer_socket] if server is None else [connection.peer_socket, server]

    def deliver(self, connection: Connection, one_way: OneWay, bind: BindRef, frame: Frame) -> None:
        """Take one frame: a malformed message is refused, and the connection goes on."""
        ask_id = 0
        try:
            envelope = open_envelope(frame.body)
            if envelope.kind == ASK:
                ask_id = envelope.ask_id
            elif envelope.kind != ONE_WAY:
                self.take_answer(envelope, connection, frame, bind)
                return
            inbox = self.env.dispatcher.inboxes.get(envelope.endpoint)
            if inbox is None:
                raise not_found(envelope.endpoint, self.env.address or self.env.name)
            if connection.realm not in inbox.realms:
                raise not_for(envelope.endpoint, connection.realm)
            message = from_wire(envelope.wire, frame.attachments, bind)
        except RpcError as error:
            if ask_id:
                RemoteCall(connection, ask_id, "").send_failure(error)
            elif self.env.closing is None:  # endpoints that are gone because the env is need nobody's attention
                log.warning("%s: a message of %s was refused: %s", self.env.name, connection, error)
            return
        context = RemoteCall(connection, ask_id, envelope.endpoint) if envelope.kind == ASK else one_way
        self.env.dispatcher.post(inbox, message, context)

    def take_answer(self, envelope: Envelope, connection: Connection, frame: Frame, bind: BindRef) -> None:
        """Give an asker its reply or its failure; only the peer that was asked can answer."""
        ask = self.env.asks.open.get(envelope.ask_id)
        if ask is None or ask.line is not connection.line:
            log.debug("%s: a late reply of %s dropped", self.env.name, connection)
        elif envelope.kind == FAILURE:
            self.env.asks.fail(ask, rebuild(*envelope.failure))
        else:
            try:
                self.env.asks.resolve(ask, from_wire(envelope.wire, frame.attachments, bind))
            except ProtocolError as error:
                self.env.asks.fail(ask, ProtocolError(f"the reply of {ask.ref}: {error}"))

    def outbox(self, address: RpcAddress) -> DialledLine:
        """Return the line to an address; it connects at its first message.

        Raises:
            RpcEnvStopped: the env was shut down.
        """
        line = self.outboxes.get(address)
        if line is None:
            if self.stopped:
                raise RpcEnvStopped(f"the RpcEnv {self.env.name!r} is stopped")
            line = self.outboxes[address] = DialledLine(self, address)
        return line

    def dial(self, line: DialledLine) -> None:
        """Connect a line."""
        self.env.scope.spawn(self.connect_line(line), name=f"connect to {line.address}")

    async def connect_line(self, line: DialledLine) -> None:
        """Connect a line; if it fails, so does all that waits on it."""
        try:
            connection = await self.connect(line.address, "control", line)
        except RpcError as error:
            self.give_up(line, error)
            return
        if line.down:
            connection.close()
        else:
            line.connected(connection)

    async def connect(self, address: RpcAddress, role: Role, line: DialledLine | None = None) -> Connection:
        """Return a connection whose handshake is done.

        Raises:
            PeerRefused: nobody listens there.
            RpcError: the peer cannot be reached, or refused; ProtocolError where the protocol says so.
        """
        connection = Connection(self, address, role, self.env.realm_of(address))
        connection.line = line
        self.connections[connection] = None
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                await self.env.world.connect(lambda: connection, address, self.client_tls)
                await connection.ready
        except TimeoutError:
            raise RpcError(
                f"cannot connect to {address} within {self.connect_timeout_s:g} s; "
                "this timeout is controlled by minispark.rpc.connectTimeout"
            ) from None
        except ConnectionRefusedError as error:
            raise PeerRefused(f"cannot connect to {address}: {error}") from None
        except (OSError, ValueError, OverflowError) as error:  # a host or port that is none is a ValueError
            # A peer that hangs up while TLS begins makes an error without words.
            raise RpcError(f"cannot connect to {address}: {str(error) or f'it {BROKEN_HANDSHAKE}'}") from None
        finally:
            if connection.agreement is None:
                self.connections.pop(connection, None)
                connection.break_off(RpcError(f"no connection to {address}"))
        return connection

    def give_up(self, line: DialledLine, error: BaseException) -> None:
        """Take a line down because of an error."""
        if self.outboxes.get(line.address) is line:
            del self.outboxes[line.address]
        line.fail(str(error), error)
        if line.connection is not None:
            line.connection.break_off(error)
        event = operator.methodcaller("on_network_error", error, line.address)
        self.env.dispatcher.post_to_all(event, self.env.realm_of(line.address))

    def lost(self, connection: Connection, error: BaseException | None) -> None:
        """Forget a connection; the asks that waited on it fail, the endpoints are told."""
        is_back = self.has_connected_again(connection)
        self.connections.pop(connection, None)
        line: Line | None = connection.line
        if connection.agreement is None:
            self.strangers.pop(connection, None)
            if connection.dialled is None and error is not None:
                log.warning("%s: the connection of %s was refused: %s", self.env.name, connection, error)
            return
        if isinstance(line, DialledLine) and self.outboxes.get(line.address) is line:
            del self.outboxes[line.address]
        if line is None:
            return
        reason = f"the connection to {connection} ended" + (f": {error}" if error else "")
        line.fail(reason, error)
        post, realm = self.env.dispatcher.post_to_all, connection.realm
        for address in self.addresses(connection):
            if address == connection.peer_address and is_back:
                continue  # what ended was the old way, of which TCP told late
            if error is not None:
                post(operator.methodcaller("on_network_error", error, address), realm)
            post(operator.methodcaller("on_disconnected", address), realm)

    def has_connected_again(self, lost: Connection) -> bool:
        """Tell whether the peer of a connection has made a younger one, which is open, in the same realm.

        An older one says nothing: a host that was switched off ends no connection, and TCP may tell of any first.
        """
        server = lost.peer_address
        younger = dropwhile(lambda each: each is not lost, self.connections)
        return server is not None and any(
            each is not lost
            and each.dialled is None
            and (each.role, each.realm, each.peer_address) == ("control", lost.realm, server)
            for each in younger
        )

    async def close(self) -> None:
        """Stop listening, write what waits, close all connections."""
        self.stopped = True
        if self.listener is not None:
            self.listener.close()
        connections = list(self.connections)
        for connection in connections:
            connection.close()
        waiting = [connection.closed for connection in connections if connection.transport is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=DRAIN_S)
        for connection in list(self.connections):
            connection.break_off(RpcEnvStopped(f"the RpcEnv {self.env.name!r} is stopped"))
