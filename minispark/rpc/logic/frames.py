"""Frames: bytes in, (body, attachments) out, and back. Pure: no socket, no loop; runner processes use it too.

A frame is `length` (4 bytes, of all that follows), a count of attachments (2), the length of the body (4), the
length of each attachment (4 each), body, attachments; all numbers big-endian. A sealed frame (see `logic.seal`) has
a sequence number and a tag between `length` and the rest. Frames above the reader's bound break the connection.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from minispark.errors import ProtocolError
from minispark.rpc.message import Attachment

__all__ = ["Frame", "FrameReader", "Seal", "encode_frame"]

LENGTH = struct.Struct(">I")
PLAIN = struct.Struct(">IHI")  # length, no attachments, length of the body
BUFFER_SIZE = 256 * 1024
JOIN_LIMIT = 16 * 1024
MAX_LENGTH = (1 << 32) - 1


class Frame(NamedTuple):
    """One frame's content.

    The body may be a view that is valid only until the reader is fed again; attachments are the receiver's to keep.
    """

    body: bytes | memoryview
    attachments: Sequence[bytes | memoryview]


class Seal(Protocol):
    """Authenticates the frames of one direction of a connection."""

    size: int

    def make(self, parts: Sequence[Attachment]) -> bytes:
        """Return the seal of the next frame to be sent, `size` bytes."""

    def check(self, seal: memoryview, content: memoryview) -> None:
        """Verify the seal of the next frame received; raises ProtocolError."""


def encode_frame(body: bytes, attachments: Sequence[Attachment] = (), seal: Seal | None = None) -> list[Attachment]:
    """Return a frame as buffers to be written one after another; large attachments are not copied.

    Attachments must be contiguous and of single bytes, as `codec.encode` returns them.
    """
    if not attachments and seal is None:
        return [PLAIN.pack(len(body) + 6, 0, len(body)) + body]
    sizes = [len(attachment) for attachment in attachments]
    table = struct.pack(f">HI{len(sizes)}I", len(sizes), len(body), *sizes)
    length = len(table) + len(body) + sum(sizes) + (seal.size if seal else 0)
    if length > MAX_LENGTH:
        raise ProtocolError(f"a frame of {length} bytes is over the format's bound of {MAX_LENGTH}")
    mark = seal.make([table, body, *attachments]) if seal else b""
    head = LENGTH.pack(length) + mark + table + body
    if sum(sizes) <= JOIN_LIMIT:
        return [b"".join((head, *attachments))]
    return [head, *attachments]


def split_frame(content: memoryview, *, keep: bool) -> Frame:
    """Split what follows the length (and seal) into body and attachments.

    Args:
        keep: whether the memory under `content` belongs to this frame alone, so that views may be handed out.
    """
    if len(content) < 6:
        raise ProtocolError(f"a frame of {len(content)} bytes is shorter than its own table")
    count = (content[0] << 8) | content[1]
    start = 6 + 4 * count
    if not count:
        if LENGTH.unpack_from(content, 2)[0] != len(content) - 6:
            raise ProtocolError("the length of the body does not fit the frame's length")
        return Frame(content[6:], ())
    if len(content) < start:
        raise ProtocolError(f"a frame of {len(content)} bytes is too short for its table of {count} attachments")
    body_size, *sizes = struct.unpack_from(f">{count + 1}I", content, 2)
    if start + body_size + sum(sizes) != len(content):
        raise ProtocolError("the lengths of body and attachments do not add up to the frame's length")
    body = content[start : start + body_size]
    start += body_size
    attachments: list[bytes | memoryview] = []
    for size in sizes:
        part = content[start : start + size]
        attachments.append(part.toreadonly() if keep else bytes(part))
        start += size
    return Frame(body, attachments)


class FrameReader:
    """Cuts a stream into frames.

    Two ways to feed it: `feed(data)`, or, without a copy, `get_buffer()` to be filled and then `advance(count)` (the
    calls of `asyncio.BufferedProtocol`). A large frame is received into memory of its own.

    Args:
        max_size: the largest frame accepted, in bytes.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.seal: Seal | None = None
        self.buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self.buffer)
        self.start = 0  # of the first frame not yet taken
        self.end = 0  # of what was received
        self.large: memoryview | None = None  # a large frame's content, of which `filled` bytes are there
        self.filled = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are here."""
        return self.filled if self.large is not None else self.end - self.start

    def get_buffer(self) -> memoryview:
        """Return memory for the next bytes of the stream; never empty."""
        if self.large is not None:
            return self.large[self.filled :]
        if self.start == self.end:
            self.start = self.end = 0
        elif BUFFER_SIZE - self.end < BUFFER_SIZE // 4:
            rest = bytes(self.view[self.start : self.end])
            self.view[: len(rest)] = rest
            self.start, self.end = 0, len(rest)
        return self.view[self.end :]

    def advance(self, count: int) -> list[Frame]:
        """Take note that `count` bytes were put into the buffer; return the frames they complete.

        Raises:
            ProtocolError: the stream is broken; nothing more can be read from it.
        """
        if self.large is None:
            self.end += count
            return self.take_small()
        self.filled += count
        if self.filled < len(self.large):
            return []
        content, self.large = self.large, None
        return [self.open(content, keep=True)]

    def feed(self, data: Attachment) -> list[Frame]:
        """Read bytes; return the frames they complete, whose bodies are copies."""
        frames: list[Frame] = []
        rest = memoryview(data)
        while rest:
            buffer = self.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            rest = rest[count:]
            frames += [Frame(bytes(frame.body), frame.attachments) for frame in self.advance(count)]
        return frames

    def take_small(self) -> list[Frame]:
        """Take the frames that are complete in the shared buffer; begin a large one."""
        frames: list[Frame] = []
        while self.end - self.start >= 4:
            (length,) = LENGTH.unpack_from(self.buffer, self.start)
            if length > self.max_size:
                raise ProtocolError(f"a frame of {length} bytes is over the bound of {self.max_size}")
            stop = self.start + 4 + length
            if stop <= self.end:
                content = self.view[self.start + 4 : stop]
                self.start = stop
                frames.append(self.open(content, keep=False))
            elif length > BUFFER_SIZE // 2:
                self.begin_large(length)
                break
            else:
                break
        return frames

    def begin_large(self, length: int) -> None:
        """Move the beginning of a large frame into memory of its own."""
        self.large = memoryview(bytearray(length))
        self.filled = self.end - self.start - 4
        self.large[: self.filled] = self.view[self.start + 4 : self.end]
        self.start = self.end = 0

    def open(self, content: memoryview, *, keep: bool) -> Frame:
        """Verify a frame's seal, if there is one, and split it."""
        if self.seal is None:
            return split_frame(content, keep=keep)
        size = self.seal.size
        if len(content) < size:
            raise ProtocolError(f"a frame of {len(content)} bytes is too short for its seal")
        self.seal.check(content[:size], content[size:])
        return split_frame(content[size:], keep=keep)
