"""Frames: bytes in, (body, attachments) out, and back. Pure: no socket, no loop; runner processes use it too.

A frame is `length` (4 bytes, of all that follows), a count of attachments (2), the length of the body (4), the
length of each attachment (4 each), body, attachments; all numbers big-endian. A sealed frame (see `logic.seal`) has
a sequence number and a tag between `length` and the rest. Frames above the reader's bound break the connection.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from minispark.errors import ProtocolError
from minispark.rpc.message import Attachment

__all__ = ["BUFFER_SIZE", "Frame", "FrameReader", "Seal", "encode_frame", "frame_head"]

LENGTH = struct.Struct(">I")
PLAIN = struct.Struct(">IHI")  # length, no attachments, length of the body
TABLE = struct.Struct(">HI")  # no attachments, length of the body
BUFFER_SIZE = 256 * 1024
LARGE = BUFFER_SIZE // 2  # a frame above this is received into memory of its own
JOIN_LIMIT = 16 * 1024
MAX_LENGTH = (1 << 32) - 1


class Frame(NamedTuple):
    """One frame's content.

    The body may be a view that is valid only until the next frame is taken; attachments are the receiver's to keep.
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


def frame_table(body: bytes, sizes: Sequence[int]) -> bytes:
    """Return the table that opens a frame's content: the lengths of its parts."""
    return struct.pack(f">HI{len(sizes)}I", len(sizes), len(body), *sizes)


def frame_head(body: bytes, sizes: Sequence[int]) -> bytes:
    """Return a plain frame up to its attachments, which the caller writes himself: exactly these sizes."""
    table = frame_table(body, sizes)
    return LENGTH.pack(checked(len(table) + len(body) + sum(sizes))) + table + body


def checked(length: int) -> int:
    """Return a length that the format can hold."""
    if length > MAX_LENGTH:
        raise ProtocolError(f"a frame of {length} bytes is over the format's bound of {MAX_LENGTH}")
    return length


def encode_frame(body: bytes, attachments: Sequence[Attachment] = (), seal: Seal | None = None) -> list[Attachment]:
    """Return a frame as buffers to be written one after another; large attachments are not copied.

    Attachments must be contiguous and of single bytes, as `codec.encode` returns them.
    """
    if not attachments and seal is None:
        return [PLAIN.pack(len(body) + 6, 0, len(body)) + body]
    if not attachments and seal is not None:
        table = TABLE.pack(0, len(body))
        return [LENGTH.pack(checked(seal.size + 6 + len(body))) + seal.make((table, body)) + table + body]
    sizes = [len(attachment) for attachment in attachments]
    if seal is None:
        head = frame_head(body, sizes)
    else:
        table = frame_table(body, sizes)
        length = checked(seal.size + len(table) + len(body) + sum(sizes))
        head = LENGTH.pack(length) + seal.make([table, body, *attachments]) + table + body
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

    Feed it with `feed(data)`, or, without a copy, let `get_buffer()` be filled and call `advance(count)`; take all
    frames that either returns before feeding again. `max_size` and `seal` may change between two frames.

    Args:
        max_size: the largest frame accepted, in bytes.
        buffer: memory to receive into, `BUFFER_SIZE` bytes; readers of one thread may share it, because nothing stays
            in it between `frames()` and `get_buffer()`. A large frame is received into memory of its own.
    """

    def __init__(self, max_size: int, buffer: bytearray | None = None) -> None:
        self.max_size = max_size
        self.seal: Seal | None = None
        self.buffer = bytearray(BUFFER_SIZE) if buffer is None else buffer
        self.view = memoryview(self.buffer)
        self.rest = b""  # the beginning of a small frame that is not complete
        self.end = 0  # of what is in the buffer
        self.large: memoryview | None = None  # a large frame's content, of which `filled` bytes are there
        self.filled = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are here."""
        return self.filled if self.large is not None else len(self.rest)

    def get_buffer(self) -> memoryview:
        """Return memory for the next bytes of the stream; never empty."""
        if self.large is not None:
            return self.large[self.filled :]
        rest = self.rest
        if rest:
            self.view[: len(rest)] = rest
            return self.view[len(rest) :]
        return self.view

    def advance(self, count: int) -> Iterator[Frame]:
        """Take note that `count` bytes were put into the buffer; return the iterator of the frames they complete."""
        if self.large is None:
            self.end = len(self.rest) + count
        else:
            self.filled += count
        return self.frames()

    def only(self, count: int) -> memoryview | None:
        """Return the body, if the `count` bytes that were put into the buffer are one frame of nothing else.

        Nearly always they are, and this takes 2 µs less than `advance`, which can do everything. None: advance.
        """
        if self.large is None and self.seal is None and not self.rest and count >= PLAIN.size:
            length, attachments, size = PLAIN.unpack_from(self.buffer)
            is_whole = size == count - PLAIN.size and length == size + TABLE.size
            if is_whole and not attachments and length <= self.max_size:
                return self.view[PLAIN.size : count]
        return None

    def feed(self, data: Attachment) -> Iterator[Frame]:
        """Read bytes and yield the frames they complete, their bodies copied."""
        rest = memoryview(data)
        while rest:
            buffer = self.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            rest = rest[count:]
            for body, attachments in self.advance(count):
                yield Frame(bytes(body), attachments)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that are complete; what is not taken stays for the next time.

        Raises:
            ProtocolError: the stream is broken; nothing more can be read from it.
        """
        if self.large is not None:
            if self.filled == len(self.large):
                content, self.large = self.large, None
                yield self.open(content, keep=True)
            return
        start, end = 0, self.end
        try:
            while end - start >= 4:
                (length,) = LENGTH.unpack_from(self.buffer, start)
                if length > self.max_size:
                    raise ProtocolError(f"a frame of {length} bytes is over the bound of {self.max_size}")
                begin, stop = start + 4, start + 4 + length
                if stop > end:
                    if length > LARGE:
                        self.begin_large(length, start)
                        start = end
                    break
                start = stop
                yield self.open(self.view[begin:stop], keep=False)
        finally:
            self.rest = bytes(self.view[start:end])
            self.end = 0

    def begin_large(self, length: int, start: int) -> None:
        """Move the beginning of a large frame into memory of its own."""
        self.large = memoryview(bytearray(length))
        self.filled = self.end - start - 4
        self.large[: self.filled] = self.view[start + 4 : self.end]

    def open(self, content: memoryview, *, keep: bool) -> Frame:
        """Verify a frame's seal, if there is one, and split it."""
        if self.seal is None:
            return split_frame(content, keep=keep)
        size = self.seal.size
        if len(content) < size:
            raise ProtocolError(f"a frame of {len(content)} bytes is too short for its seal")
        self.seal.check(content[:size], content[size:])
        return split_frame(content[size:], keep=keep)
