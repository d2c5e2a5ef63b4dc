"""The files of one map output: data sorted by partition, and an index with where each partition is and its checksum.

`shuffle/shuffle_<shuffle>_<map id>.data` holds the partitions' segments one after another, `.index` a header (magic,
version, flags, number of partitions, length of the data) and per partition offset, length and crc32. Both are written
under other names and committed together under a lock of the directory: of two attempts under one id the first wins,
and readers never see half an output. Runners write and read files themselves; nothing here runs on an event loop.
"""

import contextlib
import errno
import fcntl
import io
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import starmap
from types import TracebackType
from typing import IO, Final, Self

from minispark.errors import MiniSparkError, StorageError
from minispark.ids import ShuffleId, TaskId
from minispark.shuffle.pairs import read_frames

__all__ = [
    "OWN_TROUBLE",
    "MapOutputDamaged",
    "MapOutputFile",
    "map_output_paths",
    "read_entry",
    "read_segment",
    "remove_attempt_files",
    "remove_shuffle_files",
]

MAGIC: Final = b"MSHF"
VERSION: Final = 1
HAS_CHECKSUMS: Final = 1
HEADER: Final = struct.Struct("<4sHHIQ")
ENTRY: Final = struct.Struct("<QQI")
BUFFER_BYTES: Final = 1 << 20
WHOLE_BYTES: Final = 2 << 20  # segments up to this are read at once, larger ones twice: to check, then to use
OWN_TROUBLE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the reader's own limits, not the output's fault


class MapOutputDamaged(MiniSparkError):
    """A map output's files are missing, cut off or changed; the message says which and how."""


def map_output_paths(directory: str, shuffle_id: ShuffleId, map_id: TaskId) -> tuple[str, str]:
    """Return the paths of a map output's data and index in a session directory."""
    stem = os.path.join(directory, "shuffle", f"shuffle_{shuffle_id}_{map_id}")
    return f"{stem}.data", f"{stem}.index"


def remove_shuffle_files(directories: Iterable[str], shuffle_id: ShuffleId) -> int:
    """Remove all files of a shuffle, those of superseded attempts too; return how many.

    Args:
        directories: session directories; one that is not here, or is gone, is passed over.
        shuffle_id: the shuffle.
    """
    removed = 0
    for directory in directories:
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(directory, "shuffle")) as entries:
            for entry in entries:
                if entry.name.startswith(f"shuffle_{shuffle_id}_"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.path)
                        removed += 1
    return removed


def remove_attempt_files(directory: str, map_id: TaskId) -> int:
    """Remove what an attempt that did not succeed has written for a shuffle, committed or not; return how many files.

    Args:
        directory: the session directory; it may be gone.
        map_id: the attempt's id, under which it wrote.
    """
    removed = 0
    with contextlib.suppress(OSError), os.scandir(os.path.join(directory, "shuffle")) as entries:
        for entry in entries:
            if entry.name.partition(".")[0].endswith(f"_{map_id}"):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    removed += 1
    return removed


class MapOutputFile:
    """A map output being written: `with` it, append every partition in order, commit. Without commit nothing is left.

    Args:
        directory: the session directory.
        shuffle_id: the shuffle.
        map_id: the attempt's id, under which the files are found.
        num_partitions: how many reducers there are.
        checksum: whether to keep a checksum per partition.

    Raises:
        StorageError: the disk is full, or cannot be written to (from any method).
    """

    def __init__(
        self, directory: str, shuffle_id: ShuffleId, map_id: TaskId, num_partitions: int, checksum: bool = True
    ) -> None:
        self.data_path, self.index_path = map_output_paths(directory, shuffle_id, map_id)
        self.num_partitions = num_partitions
        self.checksum = checksum
        self.entries: list[tuple[int, int, int]] = []
        self.size_bytes = 0
        self.temporary: list[str] = []
        with self.reporting():
            self.data = self.open_temporary(self.data_path)

    def append(self, chunks: Iterable[bytes]) -> None:
        """Write the next partition's segment."""
        self.append_all((chunks,))

    def append_all(self, segments: Iterable[Iterable[bytes]]) -> None:
        """Write the segments of the next partitions, each as chunks."""
        write, with_checksum = self.data.write, self.checksum
        with self.reporting():
            for chunks in segments:
                checksum, start = 0, self.size_bytes
                for chunk in chunks:
                    write(chunk)
                    self.size_bytes += len(chunk)
                    if with_checksum:
                        checksum = zlib.crc32(chunk, checksum)
                self.entries.append((start, self.size_bytes - start, checksum))

    def commit(self) -> list[int]:
        """Put the files where readers look, unless a valid output is there; return the lengths of what is there."""
        assert len(self.entries) == self.num_partitions, (len(self.entries), self.num_partitions)
        with self.reporting():
            self.data.close()
            with self.open_temporary(self.index_path) as index:
                index.write(HEADER.pack(*self.header()))
                index.write(b"".join(starmap(ENTRY.pack, self.entries)))
            with locked(os.path.dirname(self.data_path)):
                existing = committed_lengths(self.data_path, self.index_path, self.num_partitions)
                if existing is not None:
                    return existing
                for temporary, path in zip(self.temporary, (self.data_path, self.index_path), strict=True):
                    os.replace(temporary, path)
            self.temporary.clear()
        return [length for _, length, _ in self.entries]

    def header(self) -> tuple[bytes, int, int, int, int]:
        """Return the fields of the index's header."""
        return MAGIC, VERSION, HAS_CHECKSUMS if self.checksum else 0, self.num_partitions, self.size_bytes

    def open_temporary(self, path: str) -> IO[bytes]:
        """Create a file beside a path, to be renamed to it."""
        # Noted before it is there, and opened in one step: a kill may strike between any two.
        temporary = f"{path}.{os.urandom(6).hex()}.tmp"
        self.temporary.append(temporary)
        return open(temporary, "xb", buffering=BUFFER_BYTES)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn the system's errors into one that says what was being written."""
        try:
            yield
        except OSError as error:
            hint = (
                "; point minispark.local.dir to a larger disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            )
            raise StorageError(
                f"cannot write map output {self.data_path} ({self.size_bytes} bytes so far): {error.strerror}{hint}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # closing flushes, to a disk that may be full
            self.data.close()
        for temporary in self.temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the lock of a directory, against other threads and processes."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def committed_lengths(data_path: str, index_path: str, num_partitions: int) -> list[int] | None:
    """Return the lengths of a map output that is there and whole; None if there is none."""
    try:
        with open(index_path, "rb") as index:
            content = index.read()
        data_bytes = os.stat(data_path).st_size
    except FileNotFoundError:
        return None
    if len(content) != HEADER.size + num_partitions * ENTRY.size:
        return None
    magic, version, _, partitions, total = HEADER.unpack_from(content)
    entries = list(ENTRY.iter_unpack(content[HEADER.size :]))
    end = 0
    for offset, length, _ in entries:
        if offset != end:
            return None
        end += length
    if (magic, version, partitions) != (MAGIC, VERSION, num_partitions) or not total == end == data_bytes:
        return None
    return [length for _, length, _ in entries]


def read_segment(
    directory: str, shuffle_id: ShuffleId, map_id: TaskId, partition: int, *, verify: bool = True
) -> Iterator[bytes]:
    """Yield the batches of one partition of a map output; the checksum is verified before the first.

    Args:
        directory: the writer's session directory.
        shuffle_id: the shuffle.
        map_id: the id under which the files were written.
        partition: the reducer.
        verify: whether to verify the checksum, if there is one.

    Raises:
        MapOutputDamaged: a file is missing, cut off or changed.
    """
    data_path, index_path = map_output_paths(directory, shuffle_id, map_id)
    try:
        offset, length, checksum = read_entry(index_path, data_path, partition)
        with open(data_path, "rb", buffering=BUFFER_BYTES if length > WHOLE_BYTES else 0) as data:
            verify = verify and checksum is not None
            source = verified(data, offset, length, checksum if verify else None, data_path)
            yield from read_frames(source, length)
    except EOFError as error:
        raise MapOutputDamaged(f"{data_path}: {error}") from error
    except OSError as error:
        if error.errno in OWN_TROUBLE:
            raise
        raise MapOutputDamaged(f"{error.filename or data_path}: {error.strerror}") from error


def read_entry(index_path: str, data_path: str, partition: int) -> tuple[int, int, int | None]:
    """Return a partition's offset, length and checksum (None: none was kept), with the data's length checked."""
    with open(index_path, "rb", buffering=0) as index:
        header = index.read(HEADER.size)
        index.seek(HEADER.size + partition * ENTRY.size)
        entry = index.read(ENTRY.size)
    if len(header) < HEADER.size or len(entry) < ENTRY.size:
        raise MapOutputDamaged(f"{index_path} is cut off")
    magic, version, flags, num_partitions, total = HEADER.unpack(header)
    if magic != MAGIC or version != VERSION or partition >= num_partitions:
        raise MapOutputDamaged(f"{index_path} is not an index of version {VERSION} with partition {partition}")
    found = os.stat(data_path).st_size
    offset, length, checksum = ENTRY.unpack(entry)
    if found != total or offset + length > total:
        raise MapOutputDamaged(f"{data_path} has {found} bytes instead of {total}")
    if not length:
        raise MapOutputDamaged(f"{index_path} has nothing for partition {partition}, which is not empty")
    return offset, length, checksum if flags & HAS_CHECKSUMS else None


def verified(data: IO[bytes], offset: int, length: int, checksum: int | None, path: str) -> IO[bytes]:
    """Return what to read a segment from, its checksum verified."""
    data.seek(offset)
    if length <= WHOLE_BYTES:
        segment = data.read(length)
        found = zlib.crc32(segment)
        source: IO[bytes] = io.BytesIO(segment)
    else:
        found = checksum_of(data, length) if checksum is not None else 0
        data.seek(offset)
        source = data
    if checksum is not None and found != checksum:
        raise MapOutputDamaged(f"{path}: bytes {offset} to {offset + length} have a wrong checksum: damaged on disk")
    return source


def checksum_of(data: IO[bytes], length: int) -> int:
    """Return the crc32 of the next bytes of a file."""
    checksum = 0
    while length > 0 and (chunk := data.read(min(BUFFER_BYTES, length))):
        checksum = zlib.crc32(chunk, checksum)
        length -= len(chunk)
    return checksum
