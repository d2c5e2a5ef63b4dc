"""The runner's end of its conversation with the executor: messages in frames over the inherited socket pair.

Used by `runner_main` alone; it blocks and knows no event loop. The executor's end is `loop_channel`. Must not know
what the messages mean.
"""

import select
import socket
from collections import deque
from typing import Any

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.logic.frames import FrameReader, encode_frame
from minispark.rpc.message import Message

__all__ = ["RunnerChannel"]


class RunnerChannel:
    """Sends and receives messages, one thread at a time.

    Args:
        link: the runner's end of the socket pair; writing blocks.
        max_size: the largest frame either way, in bytes.
    """

    def __init__(self, link: socket.socket, max_size: int) -> None:
        self.link = link
        self.max_size = max_size
        self.reader = FrameReader(max_size)
        self.messages: deque[Any] = deque()
        self.poller = select.poll()
        self.poller.register(link.fileno(), select.POLLIN)

    def send(self, message: Message) -> None:
        """Write a message; returns when the kernel has all of it.

        Raises:
            ProtocolError: the message does not fit into a frame or breaks its own types; nothing was sent.
            OSError: the executor is gone.
        """
        body, attachments = encode(message)
        size = len(body) + sum(map(len, attachments))
        if size > self.max_size:
            raise ProtocolError(
                f"{type(message).__name__} takes {size} bytes, more than minispark.rpc.message.maxSize allows "
                f"({self.max_size})"
            )
        for buffer in encode_frame(body, attachments):
            self.link.sendall(buffer)

    def receive(self) -> Any:
        """Return the next message if it is all here.

        What was received of an unfinished message is kept, whatever this raises.

        Raises:
            BlockingIOError: it is not all here; `wait`.
            EOFError: the executor is gone.
        """
        messages = self.messages
        reader = self.reader
        while not messages:
            count = self.link.recv_into(reader.get_buffer(), 0, socket.MSG_DONTWAIT)
            if not count:
                raise EOFError
            body = reader.only(count)
            if body is not None:
                return decode(body)
            messages.extend([decode(body, parts) for body, parts in reader.advance(count)])
        return messages.popleft()

    def wait(self, timeout_ms: int | None = None) -> None:
        """Return when there is more to receive, or on a watched descriptor, or after the timeout; loses nothing.

        A blocking `recv` would be woken in vain whenever the executor reads: the kernel takes it for a writer.
        """
        if not self.messages:
            self.poller.poll(timeout_ms)

    def watch(self, fd: int) -> None:
        """Have `wait` return also when this descriptor can be read."""
        self.poller.register(fd, select.POLLIN)

    def close(self) -> None:
        """Leave the conversation."""
        self.link.close()
