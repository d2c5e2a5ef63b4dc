"""What a task writes to disk because its share of the memory is full: one file, read back in segments.

The file has no name from the moment it is open, so its space is free again when the last reader lets go of it, and
when the process dies, however it dies. One open file serves any number of segments. Used by all here that spill; must
not know what the bytes mean.
"""

import contextlib
import errno
import os
from collections.abc import Iterable
from typing import Final, TypeAlias

from minispark.errors import StorageError
from minispark.ids import TaskId

__all__ = ["Segment", "SegmentReader", "SpillFile"]

Segment: TypeAlias = tuple[int, int]
"""Where bytes are in a spill file: offset and length."""

WRITTEN_AT_ONCE: Final = 256 << 10
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class SpillFile:
    """A nameless file in a session directory; open as long as somebody refers to it.

    Args:
        directory: the session directory.
        task_id: the attempt; the file has its name for the moment in which it has one.

    Raises:
        StorageError: the disk is full, or cannot be written to (from any method that writes).
    """

    def __init__(self, directory: str, task_id: TaskId) -> None:
        self.fd = -1
        self.directory = directory
        self.size_bytes = 0
        # Named as the files of the attempt's map outputs are, so that whoever removes those removes this one too.
        path = os.path.join(directory, "shuffle", f"spill_{task_id}.{os.urandom(6).hex()}")
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.unlink(path)
        except OSError as error:
            raise self.cannot_write(error) from error

    def append(self, chunks: Iterable[bytes]) -> Segment:
        """Write chunks one after another and return where they are."""
        start = self.size_bytes
        gathered: list[bytes] = []
        size = 0
        for chunk in chunks:
            gathered.append(chunk)
            size += len(chunk)
            if size >= WRITTEN_AT_ONCE:
                self.write(b"".join(gathered))
                gathered.clear()
                size = 0
        if gathered:
            self.write(b"".join(gathered))
        return start, self.size_bytes - start

    def write(self, data: bytes) -> None:
        """Write bytes at the end."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self.fd, view, self.size_bytes)
                self.size_bytes += written
                view = view[written:]
        except OSError as error:
            raise self.cannot_write(error) from error

    def cannot_write(self, error: OSError) -> StorageError:
        """Return the error that says what was being written, and where."""
        hint = "; point minispark.local.dir to a larger disk" if error.errno in FULL else ""
        return StorageError(
            f"cannot spill to {self.directory} ({self.size_bytes} bytes so far): {error.strerror}{hint}"
        )

    def close(self) -> None:
        """Let go of the file; closing it again does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        self.close()


class SegmentReader:
    """Reads a segment of a spill file from its beginning; a `pairs.ByteSource`."""

    def __init__(self, file: SpillFile, segment: Segment) -> None:
        self.file = file
        self.offset, self.left = segment

    def read(self, size: int, /) -> bytes:
        """Return that many bytes, fewer at the end."""
        data = os.pread(self.file.fd, min(size, self.left), self.offset)
        self.offset += len(data)
        self.left -= len(data)
        return data
