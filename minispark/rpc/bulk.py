"""Bulk connections: blocks, shuffle data and files on connections of their own, with awaited writes.

No heartbeat waits behind data: a control connection never carries a stream. A service is a name and an async handler;
a channel is one connection, on which both sides send messages and data in turn, as the service defines. A file goes
out by `os.sendfile` where the kernel may see the bytes; sealed and TLS connections read it first.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from typing import TYPE_CHECKING, Any

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcError
from minispark.rpc.connection import Connection
from minispark.rpc.failures import describe, rebuild
from minispark.rpc.logic import codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.frames import Frame, encode_frame, frame_head
from minispark.rpc.message import Attachment, Message, message
from minispark.rpc.remote import not_for

if TYPE_CHECKING:
    from minispark.rpc.network import Network

__all__ = ["CHUNK", "Bulk", "BulkChannel", "BulkData", "BulkEnd", "BulkFailed", "BulkHandler", "BulkOpen"]

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Data goes in pieces of at most this many bytes."""

PAUSE_ABOVE = 4 << 20  # bytes received and not yet taken
RESUME_BELOW = 1 << 20


@message(32010)
class BulkOpen(Message):
    """Dialler → listener, first: the service it wants."""

    service: str


@message(32011)
class BulkData(Message):
    """Either side: a piece of a stream."""

    data: Attachment


@message(32012)
class BulkEnd(Message):
    """Either side: the stream is complete with so many bytes."""

    size_bytes: int


@message(32013)
class BulkFailed(Message):
    """Either side: the request, or the stream, failed."""

    error_type: str
    text: str


DATA_BODY = codec.pack((BulkData.TAG, 0), BulkData(b""))  # of a piece that is the frame's one attachment


class BulkChannel:
    """One bulk connection; one task at a time may send on it, and one receive.

    Attributes:
        peer: the other side, for people.
    """

    def __init__(self, connection: Connection, network: "Network") -> None:
        self.connection = connection
        self.network = network
        self.loop = network.loop
        self.messages: deque[tuple[Any, int]] = deque()
        self.queued = 0
        self.reading = True
        self.reader: asyncio.Future[None] | None = None
        self.writer: asyncio.Future[None] | None = None
        self.out_fd = self.duplicate_fd()
        connection.on_frame = self.take
        connection.on_drained = self.wake_writer
        # Not 0: TLS transports pause their protocol at the limit, and an empty one has then nothing to resume for.
        connection.transport.set_write_buffer_limits(high=1, low=0)
        connection.closed.add_done_callback(self.ended)

    @property
    def peer(self) -> str:
        """The other side, for people."""
        return str(self.connection)

    def duplicate_fd(self) -> int | None:
        """Return a descriptor of the socket for sendfile; None where bytes must be sealed or encrypted first."""
        transport = self.connection.transport
        sock = transport.get_extra_info("socket")
        if sock is None or self.connection.sealed or transport.get_extra_info("ssl_object") is not None:
            return None
        return os.dup(sock.fileno())  # the loop refuses callbacks on a descriptor that a transport has

    def take(self, frame: Frame) -> None:
        """Queue what arrived; stop reading when the receiver is behind."""
        got = codec.decode(frame.body, frame.attachments)
        size = len(got.data) if isinstance(got, BulkData) else len(frame.body)
        self.messages.append((got, size))
        self.queued += size
        if self.queued > PAUSE_ABOVE and self.reading and not self.connection.transport.is_closing():
            self.reading = False
            self.connection.transport.pause_reading()
        wake(self.reader)

    async def receive(self) -> Any:
        """Return the peer's next message.

        Raises:
            RpcError: the peer reported a failure, or the connection ended.
        """
        while not self.messages:
            if self.connection.closed.done():
                raise RpcError(f"the bulk connection to {self.peer} ended: {self.connection.error or 'closed'}")
            self.reader = self.loop.create_future()
            try:
                await self.reader
            finally:
                self.reader = None
        got, size = self.messages.popleft()
        self.queued -= size
        if not self.reading and self.queued < RESUME_BELOW and not self.connection.transport.is_closing():
            self.reading = True
            self.connection.transport.resume_reading()
        if isinstance(got, BulkFailed):
            raise rebuild(got.error_type, got.text)
        return got

    async def receive_data(self) -> AsyncIterator[Attachment]:
        """Yield the pieces of a stream, up to its end.

        Raises:
            RpcError: the peer failed, or the connection ended, before the stream was complete.
        """
        received = 0
        while isinstance(got := await self.receive(), BulkData):
            received += len(got.data)
            yield got.data
        if not isinstance(got, BulkEnd) or got.size_bytes != received:
            raise ProtocolError(f"the stream of {self.peer} is not complete: {received} bytes, then {got!r}")

    async def send(self, message: Message) -> None:
        """Send a message; returns when the kernel has it.

        Raises:
            RpcError: the connection ended.
        """
        agreement = self.connection.agreement
        assert agreement is not None
        body, attachments = codec.encode(message)
        for buffer in encode_frame(body, attachments, agreement.sending):
            self.connection.transport.write(memoryview(buffer))
        await self.drain()

    async def send_data(self, data: Attachment) -> None:
        """Send bytes as pieces of a stream; it is closed with `end`."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            await self.send(BulkData(view[start : start + CHUNK]))

    async def send_file(self, fd: int, offset: int, size_bytes: int) -> None:
        """Send a range of an open file as pieces of a stream; it is closed with `end`.

        Raises:
            RpcError: the file is shorter (the connection is broken off), or the connection ended.
        """
        stop = offset + size_bytes
        for start in range(offset, stop, CHUNK):
            count = min(CHUNK, stop - start)
            if self.out_fd is not None:
                await self.send_by_kernel(self.out_fd, fd, start, count)
                await self.network.env.world.sleep(0)  # a fast peer must not keep the loop
                continue
            data = await self.network.env.world.run_blocking(os.pread, fd, count, start)
            if len(data) < count:
                raise self.too_short(start + len(data))
            await self.send(BulkData(data))

    async def send_by_kernel(self, out_fd: int, fd: int, offset: int, count: int) -> None:
        """Send one piece of a file with `os.sendfile`."""
        self.connection.transport.write(frame_head(DATA_BODY, [count]))
        await self.drain()
        while count:
            try:
                sent = os.sendfile(out_fd, fd, offset, count)
            except BlockingIOError:
                await self.writable(out_fd)
                continue
            except OSError as error:
                self.connection.break_off(error)
                raise RpcError(f"the bulk connection to {self.peer} ended: {error}") from None
            if sent == 0:
                raise self.too_short(offset)
            offset += sent
            count -= sent

    def too_short(self, offset: int) -> RpcError:
        """Break off: the rest of a piece that was announced does not exist."""
        error = RpcError(f"the file to be sent ends at {offset}, before its announced size")
        self.connection.break_off(error)
        return error

    async def end(self, size_bytes: int) -> None:
        """Close a stream that had so many bytes."""
        await self.send(BulkEnd(size_bytes))

    async def fail(self, error: BaseException) -> None:
        """Tell the peer that its request, or the stream, failed."""
        await self.send(BulkFailed(*describe(error)))

    async def drain(self) -> None:
        """Wait until the transport has given all to the kernel."""
        while self.connection.paused and not self.connection.closed.done():
            await self.wait_writer()
        self.check_open()

    async def writable(self, out_fd: int) -> None:
        """Wait until the socket takes more."""
        self.check_open()
        self.loop.add_writer(out_fd, self.wake_writer)
        try:
            await self.wait_writer()
        finally:
            self.loop.remove_writer(out_fd)
        self.check_open()

    async def wait_writer(self) -> None:
        """Wait for `wake_writer`."""
        self.writer = self.loop.create_future()
        try:
            await self.writer
        finally:
            self.writer = None

    def wake_writer(self) -> None:
        """Let the sender look again."""
        wake(self.writer)

    def check_open(self) -> None:
        """Raise if the connection ended."""
        if self.connection.closed.done():
            raise RpcError(f"the bulk connection to {self.peer} ended: {self.connection.error or 'closed'}")

    def ended(self, closed: "asyncio.Future[None]") -> None:
        """Let whoever waits see that the connection is gone."""
        out_fd, self.out_fd = self.out_fd, None
        if out_fd is not None:
            os.close(out_fd)
        wake(self.reader)
        wake(self.writer)

    async def __aenter__(self) -> "BulkChannel":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and end the connection."""
        self.connection.close()


BulkHandler = Callable[[BulkChannel], Awaitable[None]]
"""Serves one channel until it returns; what it raises is told to the peer. The channel is closed after it."""


def wake(waiter: "asyncio.Future[None] | None") -> None:
    """Wake a waiter, if there is one."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Bulk:
    """The bulk services of an env, and its channels to others; `env.bulk`."""

    def __init__(self, network: "Network") -> None:
        self.network = network
        self.handlers: dict[str, tuple[BulkHandler, Container[str]]] = {}

    def serve(self, service: str, handler: BulkHandler, *, realms: Container[str] | None = None) -> None:
        """Let peers open channels to a service of this env: those of these realms, by default of the env's own.

        Raises:
            ValueError: there is one of that name.
        """
        if service in self.handlers:
            raise ValueError(f"there is already a bulk service {service!r}")
        self.handlers[service] = handler, (self.network.env.realm,) if realms is None else realms

    async def open(self, address: RpcAddress, service: str) -> BulkChannel:
        """Connect to a service; close the channel after use (`async with`).

        Raises:
            RpcError: the peer cannot be reached. An unknown service fails the first `receive`.
        """
        connection = await self.network.connect(address, "bulk")
        channel = BulkChannel(connection, self.network)
        await channel.send(BulkOpen(service))
        return channel

    def opened(self, connection: Connection) -> None:
        """Serve a channel that a peer opened."""
        if connection.dialled is None:
            channel = BulkChannel(connection, self.network)
            self.network.env.scope.spawn(self.run_handler(channel), name=f"bulk channel of {channel.peer}")

    async def run_handler(self, channel: BulkChannel) -> None:
        """Find the service and let it work."""
        try:
            first = await channel.receive()
            served = self.handlers.get(first.service) if isinstance(first, BulkOpen) else None
            if served is None:
                raise RpcEndpointNotFound(f"there is no bulk service for {first!r}")
            handler, realms = served
            if channel.connection.realm not in realms:
                raise not_for(first.service, channel.connection.realm)
            await handler(channel)
        except Exception as error:  # noqa: BLE001 — the boundary of a service
            if not channel.connection.closed.done():
                log.info("bulk channel of %s: %s: %s", channel.peer, type(error).__name__, error)
                await tell(channel, error)
        finally:
            channel.close()


async def tell(channel: BulkChannel, error: BaseException) -> None:
    """Tell the peer of an error, if it still listens."""
    try:
        await channel.fail(error)
    except RpcError:
        log.debug("bulk channel of %s ended before it could be told of an error", channel.peer)
