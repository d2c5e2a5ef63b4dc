"""One connection on an asyncio transport, TCP, Unix or in memory: handshake, frames in, batched frames out.

Made by `network.Network`. It knows frames, not what they hold: after the handshake each goes to `on_frame`. Writes
never wait: those of one turn of the dispatcher go out together, and a peer that does not read is given up when more
than `minispark.rpc.outbox.maxSize` waits for it.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from minispark.errors import OutboxOverflow, ProtocolError, RpcError
from minispark.rpc.logic import codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.frames import Frame, FrameReader, encode_frame
from minispark.rpc.logic.handshake import HANDSHAKE_MAX_SIZE, Agreement, Answerer, Dialler, Hello, Refused, Role
from minispark.rpc.logic.outbox import check_room, over_size
from minispark.rpc.logic.seal import BlakeSeal
from minispark.rpc.logic.shapes import MAX_ATTACHMENTS
from minispark.rpc.message import Attachment

__all__ = ["Connection", "ConnectionOwner"]

log = logging.getLogger(__name__)

WRITE_ALONE = 64 * 1024  # a buffer above this is written without being joined to others
FRAME_OVERHEAD = 6 + 4 * MAX_ATTACHMENTS + BlakeSeal.size  # of the largest frame over its message
BROKEN_HANDSHAKE = (
    "ended the connection in the handshake: does only one side use TLS (minispark.ssl.certificateFile)?"
)
numbers = itertools.count(1)


class ConnectionOwner(Protocol):
    """What a connection needs of the env's network."""

    loop: asyncio.AbstractEventLoop
    buffer: bytearray
    max_size: int
    outbox_limit: int
    secrets: dict[str, bytes]

    def hello(self, connection: "Connection", *, sealed: bool) -> Hello:
        """Return this side's hello."""

    def opened(self, connection: "Connection") -> None:
        """The handshake is done; `on_frame` is to be set."""

    def lost(self, connection: "Connection", error: BaseException | None) -> None:
        """The connection ended, opened or not."""

    def at_end_of_turn(self, callback: Callable[[], object]) -> None:
        """Call something when the endpoints have handled what they have."""


def directly(function: Callable[[int], None], count: int) -> None:
    """Call."""
    function(count)


class Connection(asyncio.BufferedProtocol):
    """One end of a connection.

    Args:
        owner: the env's network.
        dialled: the address this side connected to; None on the side that was connected to.
        role: what the connection is for; the dialling side says.
        realm: names the secret; the dialling side says.

    Attributes:
        line: the line of the env that it belongs to (control).
        ready: done when the handshake is; fails with what kept it from it.
        peer: the other side's hello, once open.
        peer_socket: where the other side's socket is; an invented one for Unix sockets.
        serve: calls what hands the frames on that arrived together, and has them handled before it returns (control).
        on_drained: called when the transport has little enough to write again (bulk).
    """

    def __init__(self, owner: ConnectionOwner, dialled: RpcAddress | None, role: Role, realm: str = "") -> None:
        self.owner = owner
        self.dialled = dialled
        self.role = role
        self.realm = realm
        self.transport: Any = None
        self.reader = FrameReader(HANDSHAKE_MAX_SIZE, owner.buffer)
        self.handshake: Dialler | Answerer | None = None
        self.agreement: Agreement | None = None
        self.line: Any = None
        self.ready: asyncio.Future[None] = owner.loop.create_future()
        self.peer_socket = RpcAddress("unknown", 0)
        self.on_frame: Callable[[Frame], None] = self.handshake_frame
        self.serve: Callable[[Callable[[int], None], int], None] = directly
        self.on_drained: Callable[[], None] = lambda: None
        self.error: BaseException | None = None
        self.closed: asyncio.Future[None] = owner.loop.create_future()
        self.paused = False
        self.pending: list[Attachment] = []
        self.pending_size = 0
        self.backlog = 0
        self.flush_scheduled = False

    @property
    def peer(self) -> Hello | None:
        """The other side's hello; None before the handshake is done."""
        return self.agreement.peer if self.agreement else None

    @property
    def peer_address(self) -> RpcAddress | None:
        """Where the other side's env listens; None if it does not, or is not known yet."""
        return self.agreement.peer.address if self.agreement else None

    @property
    def sealed(self) -> bool:
        """Whether frames carry seals."""
        return self.agreement is not None and self.agreement.sending is not None

    @property
    def usable(self) -> bool:
        """Whether it is open and not being closed."""
        return self.agreement is not None and not self.transport.is_closing()

    def __repr__(self) -> str:
        name = f"{self.peer.name} at " if self.peer else ""
        return f"{name}{self.dialled or self.peer_address or self.peer_socket.host_port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self.transport = transport
        self.peer_socket = prepare_socket(transport)
        hello = self.owner.hello(self, sealed=not is_private(transport))
        if self.dialled is None:
            self.handshake = Answerer(hello, self.owner.secrets)
        else:
            self.handshake = Dialler(hello, self.owner.secrets[self.realm])
            self.write_raw(self.handshake.first)

    def handshake_frame(self, frame: Frame) -> None:
        """Take the peer's next word of the handshake."""
        assert self.handshake is not None
        if frame.attachments:
            raise ProtocolError("a frame of the handshake has attachments")
        try:
            answer, agreement = self.handshake.received(frame.body)
        except ProtocolError as error:
            if self.dialled is None:
                self.write_raw(codec.encode(Refused(str(error)))[0])
            raise
        if answer:
            self.write_raw(answer)
        if agreement is not None:
            self.open(agreement)

    def open(self, agreement: Agreement) -> None:
        """Go over to what the connection is for."""
        self.agreement = agreement
        if self.dialled is None:
            self.role, self.realm = agreement.peer.role, agreement.peer.realm
        self.reader.seal = agreement.receiving
        self.reader.max_size = self.owner.max_size + FRAME_OVERHEAD
        self.owner.opened(self)
        if not self.ready.done():
            self.ready.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return memory to receive into."""
        return self.reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on the frames that are complete."""
        self.serve(self.take, nbytes)

    def take(self, nbytes: int) -> None:
        """Hand on the frames that these bytes complete."""
        try:
            body = self.reader.only(nbytes)
            for frame in self.reader.advance(nbytes) if body is None else (Frame(body, ()),):
                self.on_frame(frame)
        except ProtocolError as error:
            self.break_off(error)

    def eof_received(self) -> bool:
        """Close when the peer does."""
        return False

    def write(self, body: bytes, attachments: Sequence[Attachment]) -> None:
        """Queue a frame; it goes out with the others of this turn of the dispatcher.

        Attachments must not be changed until then. On a closed connection it is dropped.

        Raises:
            ProtocolError: it is over `minispark.rpc.message.maxSize`.
        """
        if self.agreement is None:
            return
        size = len(body)
        if attachments:
            size += sum(map(len, attachments))
        if size > self.owner.max_size:
            raise over_size(size, self.owner.max_size)
        self.pending += encode_frame(body, attachments, self.agreement.sending)
        if self.backlog + self.pending_size > self.owner.outbox_limit and not self.has_room():
            return
        self.pending_size += size
        if not self.flush_scheduled:
            self.flush_scheduled = True
            self.owner.at_end_of_turn(self.flush)

    def has_room(self) -> bool:
        """Tell whether the peer has read enough to be sent more; if not, it is given up."""
        self.backlog = self.transport.get_write_buffer_size()
        try:
            check_room(str(self), self.backlog + self.pending_size, self.owner.outbox_limit)
        except OutboxOverflow as error:
            self.break_off(error)
            return False
        return True

    def flush(self) -> None:
        """Write what was queued."""
        self.flush_scheduled = False
        pending, self.pending, self.pending_size = self.pending, [], 0
        if not pending or self.transport.is_closing():
            return
        write = self.transport.write
        if len(pending) == 1:
            write(pending[0])
        else:
            small: list[Attachment] = []
            for buffer in pending:
                if len(buffer) <= WRITE_ALONE:
                    small.append(buffer)
                    continue
                if small:
                    write(b"".join(small))
                    small = []
                write(memoryview(buffer))  # what does not go out at once is cut off it, without a copy
            if small:
                write(b"".join(small))
        # Below the mark above which the transport pauses writing, what waits there is little.
        self.backlog = self.transport.get_write_buffer_size() if self.paused else 0

    def write_raw(self, body: bytes) -> None:
        """Write a frame of the handshake."""
        self.transport.write(b"".join(encode_frame(body)))

    def pause_writing(self) -> None:
        """Take note that the peer does not read fast enough (bulk waits for it)."""
        self.paused = True

    def resume_writing(self) -> None:
        """Take note that it does again."""
        self.paused = False
        self.on_drained()

    def break_off(self, error: BaseException) -> None:
        """End the connection because of an error; what waits to be written is lost unless it is a refusal."""
        if self.error is None:
            self.error = error
        self.pending = []
        if self.transport is None or self.owner.loop.is_closed():  # nobody is left to close a socket then
            return
        if isinstance(self.handshake, Answerer) and self.agreement is None:
            self.transport.close()
        else:
            self.transport.abort()

    def close(self) -> None:
        """Write what waits and end the connection."""
        if self.transport is not None and not self.transport.is_closing():
            self.flush()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, and whoever waits for the handshake."""
        error = self.error = self.error or exc
        self.pending = []
        if not self.ready.done():
            self.ready.set_exception(error if isinstance(error, RpcError) else RpcError(f"{self} {BROKEN_HANDSHAKE}"))
            self.ready.exception()  # it may be that nobody waits for it
        if not self.closed.done():
            self.closed.set_result(None)
        self.on_drained()
        self.owner.lost(self, error)


def prepare_socket(transport: asyncio.BaseTransport) -> RpcAddress:
    """Set the socket's options and return the address of its other end."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        return RpcAddress(name[0], name[1])
    return RpcAddress("unix-peer", next(numbers) % 65536)


def is_private(transport: asyncio.BaseTransport) -> bool:
    """Tell whether nobody on a network can read or change what is sent: TLS, loopback or a Unix socket."""
    if transport.get_extra_info("ssl_object") is not None:
        return True
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return True
    ends = [transport.get_extra_info("peername"), transport.get_extra_info("sockname")]
    return all(isinstance(end, tuple) and is_loopback(end[0]) for end in ends)


def is_loopback(host: str) -> bool:
    """Tell whether a numeric address is of this machine alone."""
    host = host.lower().removeprefix("::ffff:")
    return host == "::1" or (host.startswith("127.") and host.count(".") == 3)
