"""The file of a broadcast: a pickle and the buffers that were left out of it, laid out to be mapped.

The driver writes it once; every process of the host maps it read-only, so that large arrays are in memory once,
whoever reads them. Executors of other hosts get it in pieces, byte for byte. What the pickle holds is not looked at
here: `rdd.broadcast` makes it and reads it.

Layout: a head (magic, size of the pickle, number of buffers, size of each buffer), the pickle, the buffers. Pickle
and buffers begin at multiples of 64, with at least 64 zeros before each and after the last (see `mapped_bytes`).
"""

import contextlib
import errno
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from minispark.errors import MiniSparkError
from minispark.rpc.message import Attachment

__all__ = [
    "GAP_BYTES",
    "PIECE_BYTES",
    "broadcast_path",
    "check_room",
    "checksums_of",
    "file_size",
    "map_file",
    "piece_count",
    "piece_range",
    "places_in",
    "write_file",
]

PIECE_BYTES: Final = 4 << 20
GAP_BYTES: Final = 64
WRITE_BYTES: Final = 16 << 20  # after so much it is asked whether the file is still wanted
HEAD: Final = struct.Struct("<8sQQ")
SIZE: Final = struct.Struct("<Q")
MAGIC: Final = b"msbcast1"


def broadcast_path(directory: str, broadcast_id: int) -> str:
    """Return where a session directory has the file of a broadcast."""
    return os.path.join(directory, "blocks", f"broadcast_{broadcast_id}")


def place_all(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Return where the pickle and each buffer begin (`sizes` are theirs, in order), and the size of the file."""
    end = HEAD.size + SIZE.size * (len(sizes) - 1)
    starts = []
    for size in sizes:
        starts.append(-(-(end + GAP_BYTES) // GAP_BYTES) * GAP_BYTES)
        end = starts[-1] + size
    return starts, end + GAP_BYTES


def file_size(pickled: Attachment, buffers: Sequence[Attachment] = ()) -> int:
    """Return the size of the file of a broadcast."""
    return place_all([memoryview(part).nbytes for part in (pickled, *buffers)])[1]


def check_room(path: str, size_bytes: int) -> None:
    """Look whether a file system has room for a file that is to be written there.

    Raises:
        MiniSparkError: it has not, or there is no such directory.
    """
    try:
        facts = os.statvfs(os.path.dirname(path))
    except OSError as error:
        raise no_room(path, size_bytes, error) from error
    if facts.f_bavail * facts.f_frsize < size_bytes:
        raise no_room(path, size_bytes, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def write_file(
    path: str,
    pickled: Attachment,
    buffers: Sequence[Attachment] = (),
    is_wanted: Callable[[], bool] = lambda: True,
) -> int:
    """Write the file of a broadcast; return its size in bytes. Any thread may do that.

    Args:
        path: where it goes; nothing is there.
        pickled: the pickle.
        buffers: what was left out of it.
        is_wanted: asked from time to time.

    Raises:
        MiniSparkError: there is no room for it, it cannot be written, or it is wanted no more; nothing is left.
    """
    parts = [memoryview(part).cast("B") for part in (pickled, *buffers)]
    sizes = [len(part) for part in parts]
    starts, size_bytes = place_all(sizes)
    head = HEAD.pack(MAGIC, sizes[0], len(buffers)) + b"".join(map(SIZE.pack, sizes[1:]))
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(fd, size_bytes)
            write_at(fd, 0, memoryview(head), is_wanted)
            for start, part in zip(starts, parts, strict=True):
                write_at(fd, start, part, is_wanted)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
    except OSError as error:
        raise no_room(path, size_bytes, error) from error
    return size_bytes


def write_at(fd: int, offset: int, data: memoryview, is_wanted: Callable[[], bool]) -> None:
    """Write all of some bytes, part by part.

    Raises:
        MiniSparkError: they are wanted no more.
    """
    while data:
        if not is_wanted():
            raise MiniSparkError("the broadcast is wanted no more")
        written = os.pwrite(fd, data[:WRITE_BYTES], offset)
        data = data[written:]
        offset += written


def no_room(path: str, size_bytes: int, error: OSError) -> MiniSparkError:
    """Return what an error of the disk means for a broadcast."""
    hint = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "; set minispark.local.dir to a directory on a larger disk"
    return MiniSparkError(f"a broadcast of {size_bytes:,} bytes cannot be written to {path}: {error.strerror}{hint}")


def map_file(path: str, *, private: bool = False) -> mmap.mmap:
    """Map a whole file; it stays mapped until nothing refers to the mapping or to views of it.

    Args:
        path: the file; it may be removed afterwards.
        private: whether writing to the mapping is allowed; it changes nobody else's, nor the file.

    Raises:
        OSError: it is not there, or it is empty.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if private:
            return mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        return mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    finally:
        os.close(fd)


def places_in(content: Attachment) -> list[slice]:
    """Return where in a file's content the pickle is, and each buffer.

    Raises:
        MiniSparkError: it is not the file of a broadcast, or it is not complete.
    """
    view = memoryview(content)
    with contextlib.suppress(struct.error):
        magic, pickle_size, count = HEAD.unpack_from(view)
        if magic == MAGIC and HEAD.size + SIZE.size * count <= len(view):
            sizes = [pickle_size, *(size for (size,) in SIZE.iter_unpack(view[HEAD.size :][: SIZE.size * count]))]
            starts, size_bytes = place_all(sizes)
            if size_bytes == len(view):
                return [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    raise MiniSparkError(f"these {len(view):,} bytes are not the file of a broadcast")


def piece_count(size_bytes: int, piece_bytes: int = PIECE_BYTES) -> int:
    """Return how many pieces a file has."""
    return -(-size_bytes // piece_bytes)


def piece_range(index: int, size_bytes: int, piece_bytes: int = PIECE_BYTES) -> tuple[int, int]:
    """Return where a piece begins, and its size."""
    offset = index * piece_bytes
    return offset, min(piece_bytes, size_bytes - offset)


def pieces_of(path: str, piece_bytes: int) -> Iterator[bytes]:
    """Yield the pieces of a file."""
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(piece_bytes):
            yield piece


def checksums_of(path: str, piece_bytes: int = PIECE_BYTES) -> bytes:
    """Return the checksums of a file's pieces, four bytes each; see `messages.distribution.BroadcastFacts`.

    Raises:
        OSError: the file cannot be read.
    """
    return b"".join(zlib.adler32(piece).to_bytes(4, "big") for piece in pieces_of(path, piece_bytes))
