"""The executor's end of its conversation with a runner: messages in frames, on the host's event loop, never waiting.

Used by `process_pool` alone. Works on the loop's readers and writers, not its transports: they cost a third as much a
message, and are the same on asyncio and uvloop. Must not know what the messages mean.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.logic.frames import FrameReader, encode_frame
from minispark.rpc.message import Attachment, Message

__all__ = ["LoopChannel"]


class LoopChannel:
    """One conversation.

    Args:
        loop: the running loop.
        link: the executor's end of the socket pair; becomes non-blocking, and is closed by `close`.
        max_size: the largest frame accepted, in bytes.
        buffer: memory to receive into, which all channels of a loop may share; see `FrameReader`.
        on_message: called with each message, in order.
        on_end: called once, with a text, when the runner's end is closed or what came is no message; not after
            `close`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: socket.socket,
        max_size: int,
        buffer: bytearray,
        on_message: Callable[[Any], None],
        on_end: Callable[[str], None],
    ) -> None:
        link.setblocking(False)
        self.loop = loop
        self.link = link
        self.fd = link.fileno()
        self.on_message = on_message
        self.on_end = on_end
        self.reader = FrameReader(max_size, buffer)
        self.backlog: deque[Attachment] = deque()
        self.reading = True
        loop.add_reader(self.fd, self.on_readable)

    def send(self, message: Message) -> None:
        """Send a message, now or as the runner reads; dropped if the runner is gone.

        Raises:
            ProtocolError: the message breaks its own types.
        """
        buffers = encode_frame(*encode(message))
        if self.backlog:
            self.backlog.extend(buffers)
            return
        for position, buffer in enumerate(buffers):
            sent = self.try_send(buffer)
            if sent < len(buffer):
                self.backlog.append(memoryview(buffer)[sent:])
                self.backlog.extend(buffers[position + 1 :])
                self.loop.add_writer(self.fd, self.on_writable)
                return

    def try_send(self, buffer: Attachment) -> int:
        """Send what the kernel takes now; return how much that was. To a runner that is gone, all of it."""
        try:
            return self.link.send(buffer)
        except BlockingIOError:
            return 0
        except OSError:
            return len(buffer)

    def on_writable(self) -> None:
        """Send on; one buffer a turn of the loop."""
        buffer = self.backlog[0]
        sent = self.try_send(buffer)
        if sent < len(buffer):
            self.backlog[0] = memoryview(buffer)[sent:]
            return
        self.backlog.popleft()
        if not self.backlog:
            self.loop.remove_writer(self.fd)

    def on_readable(self) -> bool:
        """Take what is there, up to a buffer's size; return whether there was anything."""
        reader = self.reader
        try:
            count = self.link.recv_into(reader.get_buffer())
        except BlockingIOError:
            return False
        except OSError as error:
            return self.end(str(error))
        if not count:
            return self.end("its end of the conversation was closed")
        body = reader.only(count)
        try:
            if body is not None:
                messages = (decode(body),)
            else:
                messages = tuple(decode(body, parts) for body, parts in reader.advance(count))
        except ProtocolError as error:
            return self.end(str(error))
        for message in messages:
            self.on_message(message)
        return True

    def drain(self) -> None:
        """Take all that the runner said before it went."""
        while self.reading and self.on_readable():
            pass

    def end(self, reason: str) -> bool:
        """Read no more and say why."""
        if self.reading:
            self.reading = False
            self.loop.remove_reader(self.fd)
            self.on_end(reason)
        return False

    def close(self) -> None:
        """Leave the conversation; nothing is reported any more."""
        if not self.loop.is_closed():
            if self.reading:
                self.loop.remove_reader(self.fd)
            if self.backlog:
                self.loop.remove_writer(self.fd)
        self.reading = False
        self.backlog.clear()
        self.link.close()
