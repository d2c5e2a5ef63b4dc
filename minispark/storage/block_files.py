"""The file of a persisted partition: batches of records as pickles, with their large buffers beside them.

Written by the runner that computes the partition, by `write` and never through a mapping, so that a full file system
is an error and not a signal; read by any runner of the host, which maps the file: numpy arrays and other buffers of
the records are views of it, read-only, shared by all who read them.
"""

import mmap
import os
import pickle
import struct
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from itertools import chain, islice
from typing import Any, Final

from minispark.errors import PicklingError, StorageError
from minispark.storage.batches import BATCH_BYTES, BATCH_RECORDS, CANNOT_PICKLE, FIRST_RECORDS, PICKLE_PROTOCOL

__all__ = ["BlockWriter", "copy_file", "read_block", "record_batches"]

MAGIC: Final = 0x6D73_626B
HEAD: Final = struct.Struct("<IIQ")  # magic, buffers, bytes of the pickle
LENGTH: Final = struct.Struct("<Q")
ALIGNMENT: Final = 64
MIN_BUFFER_BYTES: Final = 4096  # smaller ones cost less inside the pickle
FILE_BUFFER_BYTES: Final = 256 << 10
COPY_BYTES: Final = 16 << 20

Fallback = Callable[[Any], bytes]


def record_batches(records: Iterable[Any], written: Callable[[], int]) -> Iterator[list[Any]]:
    """Cut records into lists that come out at a few hundred KiB, as far as those before tell.

    Args:
        records: taken lazily, a batch at a time.
        written: says how many bytes the batches before took.
    """
    iterator = iter(records)
    count, before = FIRST_RECORDS, 0
    while batch := list(islice(iterator, count)):
        yield batch
        size, before = written() - before, written()
        fitting = len(batch) * (BATCH_BYTES // 2) // max(size, 1)
        count = max(1, min(fitting, 8 * count, BATCH_RECORDS))


class BlockWriter:
    """Writes one file, batch by batch.

    Args:
        path: where it is made; something there before is replaced.
        fallback: pickles what the C pickler cannot.

    Attributes:
        size_bytes: how much was written.
        buffer_bytes: how much of that are buffers beside the pickles.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: str, fallback: Fallback | None = None) -> None:
        self.path = path
        self.fallback = fallback
        self.file: FileIO | None = FileIO(path, "w")
        self.size_bytes = 0
        self.buffer_bytes = 0
        self.parts: list[bytes | memoryview] = []
        self.parts_bytes = 0

    def write(self, batch: list[Any]) -> None:
        """Add a batch.

        Raises:
            PicklingError: a record cannot be pickled.
            OSError: it cannot be written, for want of room above all; `move` and `flush` go on.
        """
        buffers: list[memoryview] = []

        def keep(buffer: pickle.PickleBuffer) -> bool:
            view = buffer.raw()
            if view.nbytes < MIN_BUFFER_BYTES:
                return True
            buffers.append(view)
            return False

        try:
            data = pickle.dumps(batch, PICKLE_PROTOCOL, buffer_callback=keep)
        except CANNOT_PICKLE as error:
            if self.fallback is None:
                raise PicklingError(f"a record cannot be pickled: {error}") from error
            buffers.clear()
            data = self.fallback(batch)
        self.add(HEAD.pack(MAGIC, len(buffers), len(data)))
        for buffer in buffers:
            self.add(LENGTH.pack(buffer.nbytes))
        self.add(data)
        for buffer in buffers:
            self.pad()
            self.add(buffer)
            self.buffer_bytes += buffer.nbytes
        self.pad()
        if self.parts_bytes >= FILE_BUFFER_BYTES:
            self.flush()

    def add(self, part: bytes | memoryview) -> None:
        """Have something written."""
        self.parts.append(part)
        self.parts_bytes += len(part)
        self.size_bytes += len(part)

    def pad(self) -> None:
        """Go on at the next multiple of the alignment."""
        rest = -self.size_bytes % ALIGNMENT
        if rest:
            self.add(bytes(rest))

    def flush(self) -> None:
        """Write what was added.

        Raises:
            OSError: not all of it could be written; what could not is kept.
        """
        assert self.file is not None
        while self.parts:
            part = self.parts[0]
            count = self.file.write(part) or 0
            self.parts_bytes -= count
            if count == len(part):
                del self.parts[0]
            else:
                self.parts[0] = memoryview(part)[count:]

    def move(self, path: str) -> None:
        """Go on in another file, with what was written.

        Raises:
            OSError: it cannot be copied there; the file is where it was.
        """
        assert self.file is not None
        copy_file(self.path, path)
        self.file.close()
        os.unlink(self.path)
        self.path, self.file = path, FileIO(path, "a")

    def close(self) -> None:
        """Write the rest and close.

        Raises:
            OSError: as for `flush`.
        """
        if self.file is not None:
            self.flush()
            self.file.close()
            self.file = None

    def take_back(self) -> Iterator[Any]:
        """Return the records that were added, and remove the file; for what is not to be stored after all."""
        if not self.parts:
            self.close()
            records = read_block(self.path)
            remove(self.path)
            return records
        with FileIO(self.path) as file:
            content = b"".join([file.readall() or b"", *self.parts])
        self.discard()
        return chain.from_iterable(batches_in(memoryview(content), self.path))

    def discard(self) -> None:
        """Remove the file."""
        self.release()
        remove(self.path)

    def release(self) -> None:
        """Write nothing any more, and leave the file where it is."""
        if self.file is not None:
            self.file.close()
            self.file = None
        self.parts.clear()


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def copy_file(source: str, target: str) -> None:
    """Copy a file; one that is not complete is removed.

    Raises:
        OSError: it cannot be read, or there is no room.
    """
    try:
        with FileIO(source) as reading, FileIO(target, "w") as writing:
            while chunk := reading.read(COPY_BYTES):
                view = memoryview(chunk)
                while view:
                    view = view[writing.write(view) or 0 :]
    except BaseException:
        remove(target)
        raise


def read_block(path: str, size_bytes: int | None = None) -> Iterator[Any]:
    """Return the records of a file; its name may be removed from now on.

    Args:
        path: of a finished file.
        size_bytes: what its size must be; None: any.

    Raises:
        StorageError: it is missing, or has another size.
    """
    try:
        with FileIO(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size_bytes is not None and size != size_bytes:
                raise StorageError(f"block file {path} has {size} bytes, and not {size_bytes}")
            if not size:
                return iter(())
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"block file {path} cannot be read: {error}") from error
    return chain.from_iterable(batches_in(content, path))


def batches_in(content: memoryview, path: str) -> Iterator[list[Any]]:
    """Yield the batches of a mapped file.

    Raises:
        StorageError: this is no such file.
    """
    position = 0
    while position < len(content):
        try:
            magic, count, length = HEAD.unpack_from(content, position)
        except struct.error:
            magic = 0
        if magic != MAGIC:
            raise StorageError(f"block file {path} is damaged at byte {position}")
        position += HEAD.size
        sizes = [LENGTH.unpack_from(content, position + LENGTH.size * number)[0] for number in range(count)]
        position += LENGTH.size * count
        data = content[position : position + length]
        position += length
        buffers = []
        for size in sizes:
            position += -position % ALIGNMENT
            buffers.append(content[position : position + size])
            position += size
        position += -position % ALIGNMENT
        yield pickle.loads(data, buffers=buffers)
