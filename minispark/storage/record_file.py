"""Files of pickled records: what checkpoints and `save_as_pickle_file` write, and what is read back of them.

A file is a magic number, then frames (length, checksum, a pickled batch, compressed where that pays), then a frame
without bytes whose checksum is the number of the others. So a file that is cut off anywhere, or in which a bit has
flipped, is never taken for a whole one. Written and read by tasks; what a path is, is the business of `rdd.files`.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

import lz4.block

from minispark.errors import InputDamaged
from minispark.storage.batches import load_batch

__all__ = ["read_batches", "write_batches"]

MAGIC: Final = b"minispark records 1\n"
FRAME: Final = struct.Struct("<II")  # how many bytes follow, the top bit for compressed ones; the crc32 of all that
COMPRESSED: Final = 1 << 31
LARGEST: Final = COMPRESSED - 1
TRIAL_BYTES: Final = 512  # shorter batches gain nothing


def write_batches(file: IO[bytes], batches: Iterable[bytes], compress: bool) -> None:
    """Write batches as `dump_batches` yields them.

    Args:
        file: open for writing, at its beginning.
        batches: pickled lists of records.
        compress: whether to compress the batches that become smaller by it.

    Raises:
        ValueError: a single record takes 2 GiB or more.
    """
    file.write(MAGIC)
    number = 0
    for batch in batches:
        flag = 0
        if compress and TRIAL_BYTES <= len(batch) <= LARGEST:
            packed: bytes = lz4.block.compress(batch)
            if len(packed) < len(batch):
                batch, flag = packed, COMPRESSED
        if len(batch) > LARGEST:
            raise ValueError(f"a record takes {len(batch)} bytes, pickled; a file of records takes less than 2 GiB")
        file.write(FRAME.pack(len(batch) | flag, zlib.crc32(batch, len(batch) | flag)))
        file.write(batch)
        number += 1
    file.write(FRAME.pack(0, number))


def read_batches(file: IO[bytes], path: str) -> Iterator[list[Any]]:
    """Yield the lists of records of a file.

    Args:
        file: open for reading, at its beginning.
        path: its name, for messages.

    Raises:
        InputDamaged: it is no such file, was cut off, or has changed since it was written.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise InputDamaged(
            f"{path!r} is not a file of pickled records, as save_as_pickle_file and checkpoints write it"
        )
    number = 0
    while True:
        size, checksum = FRAME.unpack(whole(file, FRAME.size, path))
        if size == 0:
            break
        data = whole(file, size & LARGEST, path)
        if zlib.crc32(data, size) != checksum:
            raise InputDamaged(f"{path!r} is damaged: a checksum does not fit; it has changed since it was written")
        yield load_batch(lz4.block.decompress(data) if size & COMPRESSED else data)
        number += 1
    if number != checksum or file.read(1):
        raise InputDamaged(f"{path!r} is damaged: it does not end where its last record does")


def whole(file: IO[bytes], size: int, path: str) -> bytes:
    """Return so many bytes of a file."""
    data = file.read(size)
    if len(data) < size:
        raise InputDamaged(f"{path!r} is cut off: it ends in the middle of its records")
    return data
