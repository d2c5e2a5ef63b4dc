"""Blocks as they arrive from another process: verified piece by piece, kept in memory or in a file.

Used by `fetcher`, off its loop for files. A wrong checksum does not stop the receiving, so that the stream is read to
its end; it is noted, and whoever asked decides. Must not know what is in the blocks.
"""

import contextlib
import os
import threading
import zlib
from collections.abc import Sequence

from minispark.errors import MiniSparkError
from minispark.rpc.message import Attachment

__all__ = ["Arrival", "Damaged", "FileArrival", "MemoryArrival"]


class Damaged(MiniSparkError):
    """A block came with a wrong checksum; `position` is its place in its request."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(text)
        self.position = position


class Checker:
    """Verifies blocks that follow one after another.

    Args:
        sizes: of the blocks.
        checksums: their crc32; negative: none was kept.
    """

    def __init__(self, sizes: tuple[int, ...], checksums: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.checksums = checksums
        self.position = 0
        self.left = sizes[0] if sizes else 0
        self.found = 0
        self.damaged: Damaged | None = None

    def take(self, piece: Attachment) -> None:
        """Look at what came next."""
        rest = memoryview(piece)
        while rest and self.position < len(self.sizes):
            part = rest[: self.left]
            if self.checksums[self.position] >= 0:
                self.found = zlib.crc32(part, self.found)
            self.left -= len(part)
            rest = rest[len(part) :]
            if not self.left:
                self.next_block()

    def next_block(self) -> None:
        """Compare a block's checksum, and begin with the next."""
        expected = self.checksums[self.position]
        if self.damaged is None and expected >= 0 and expected != self.found:
            text = f"block {self.position} of {self.sizes[self.position]} bytes came with a wrong checksum"
            self.damaged = Damaged(self.position, text)
        self.position += 1
        self.found = 0
        self.left = self.sizes[self.position] if self.position < len(self.sizes) else 0


class MemoryArrival:
    """Few bytes, kept in memory."""

    path = ""

    def __init__(self, sizes: tuple[int, ...], checksums: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.checker = Checker(sizes, checksums)
        self.content = bytearray()

    @property
    def data(self) -> Attachment:
        """The blocks."""
        return self.content

    @property
    def damaged(self) -> Damaged | None:
        """What is wrong with them."""
        return self.checker.damaged

    def take(self, pieces: Sequence[Attachment]) -> None:
        """Keep and verify what came next."""
        for piece in pieces:
            self.checker.take(piece)
            self.content += piece

    def discard(self) -> None:
        """Let go of what was kept."""
        self.content = bytearray()


class FileArrival:
    """Many bytes, written to a file. Blocking.

    Args:
        sizes: of the blocks.
        checksums: their crc32; negative: none was kept.
        path: where the file goes.

    Raises:
        OSError: it cannot be written (from `take` too).
    """

    data = b""

    def __init__(self, sizes: tuple[int, ...], checksums: tuple[int, ...], path: str) -> None:
        self.sizes = sizes
        self.path = path
        self.checker = Checker(sizes, checksums)
        self.lock = threading.Lock()  # whoever waits for `take` may be cancelled, and abandon this, while it writes
        self.abandoned = False
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    @property
    def damaged(self) -> Damaged | None:
        """What is wrong with them."""
        return self.checker.damaged

    def take(self, pieces: Sequence[Attachment]) -> None:
        """Write and verify what came next; after `close` it is dropped."""
        with self.lock:
            for piece in pieces:
                if self.fd < 0:
                    return
                self.checker.take(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self.fd, rest) :]
        if self.abandoned:
            self.close()

    def close(self) -> None:
        """Write no more."""
        with self.lock:
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = -1

    def abandon(self) -> None:
        """Remove the file and close it; a thread that writes to it closes it when it is done. Never waits."""
        self.abandoned = True
        self.discard()
        if self.lock.acquire(blocking=False):
            self.lock.release()
            self.close()

    def discard(self) -> None:
        """Remove the file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


Arrival = MemoryArrival | FileArrival
