"""An echo by hand: asyncio protocols, frames with their length in front, answers in the order of the asks."""

import asyncio
import struct
from collections import deque

__all__ = ["EchoClient", "connect", "serve"]

LENGTH = struct.Struct("!I")
BUFFER = 1 << 16


class Frames(asyncio.BufferedProtocol):
    """Cuts a stream into frames.

    With `data_received` asyncio allocates 256 KiB for every read, which triples a round trip over TCP.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = bytearray(BUFFER)
        self.filled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return memoryview(self.buffer)[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on the frames that are whole."""
        self.filled += nbytes
        start = 0
        while self.filled - start >= LENGTH.size:
            stop = start + LENGTH.size + LENGTH.unpack_from(self.buffer, start)[0]
            if self.filled < stop:
                if len(self.buffer) < stop - start:
                    self.buffer = self.buffer + bytearray(stop - start - len(self.buffer))
                break
            self.frame_received(bytes(memoryview(self.buffer)[start + LENGTH.size : stop]))
            start = stop
        if start:
            self.buffer[: self.filled - start] = self.buffer[start : self.filled]
            self.filled -= start

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        if len(frame) < 4096:
            self.transport.write(LENGTH.pack(len(frame)) + frame)
        else:
            self.transport.writelines((LENGTH.pack(len(frame)), frame))

    def frame_received(self, frame: bytes) -> None:
        """Take a frame."""
        raise NotImplementedError


class EchoServer(Frames):
    """Sends each frame back."""

    def frame_received(self, frame: bytes) -> None:
        """Send it back."""
        self.send(frame)


class EchoClient(Frames):
    """Resolves the oldest ask with each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[asyncio.Future[bytes]] = deque()
        self.loop = asyncio.get_running_loop()

    def ask(self, frame: bytes) -> "asyncio.Future[bytes]":
        """Send a frame; return its future echo."""
        future: asyncio.Future[bytes] = self.loop.create_future()
        self.waiting.append(future)
        self.send(frame)
        return future

    def frame_received(self, frame: bytes) -> None:
        """Answer."""
        self.waiting.popleft().set_result(frame)


async def serve(unix_path: str = "") -> asyncio.Server:
    """Listen at a Unix path, or on a free port of loopback."""
    loop = asyncio.get_running_loop()
    if unix_path:
        return await loop.create_unix_server(EchoServer, unix_path)
    return await loop.create_server(EchoServer, "127.0.0.1", 0)


async def connect(server: asyncio.Server, unix_path: str = "") -> EchoClient:
    """Connect to such a server."""
    loop = asyncio.get_running_loop()
    if unix_path:
        return (await loop.create_unix_connection(EchoClient, unix_path))[1]
    return (await loop.create_connection(EchoClient, *server.sockets[0].getsockname()))[1]
