"""Bytes objects whose content is a mapped file, so that the processes of a host share one copy of it.

An array can be a view of memory that something else owns; a `bytes` object holds its content in itself. So one is
made in place: in a private mapping of the file its header is written right before the content, which costs one page
of memory, while the pages of the content stay the file's (docs/decisions/0009). Used by `rdd.broadcast` alone. Where
Python's objects look different than expected, the content is copied.
"""

import ctypes
import mmap
import sys
import sysconfig
from typing import Final

from minispark.storage.broadcast_file import map_file

__all__ = ["MAPPED_FROM_BYTES", "bytes_in", "release_unused"]

MAPPED_FROM_BYTES: Final = 64 << 10  # smaller ones are copied: a mapping costs more
HEADER_WORDS: Final = 4  # reference count, type, size, hash
HEADER_BYTES: Final = HEADER_WORDS * 8
OWN_REFERENCES: Final = 1 << 28  # whoever lets go of the object never frees it: its memory is the mapping's
IS_AS_EXPECTED: Final = (
    sys.implementation.name == "cpython"
    and bytes.__basicsize__ == HEADER_BYTES + 1
    and ctypes.sizeof(ctypes.c_void_p) == 8
    and not hasattr(sys, "gettotalrefcount")
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)

live: dict[int, "MappedBytes"] = {}  # address of the object → what keeps it


class MappedBytes:
    """A bytes object within a mapping; both stay until somebody finds that nobody uses the object any more."""

    def __init__(self, mapping: mmap.mmap, offset: int, size: int) -> None:
        self.mapping = mapping
        self.header = (ctypes.c_ssize_t * HEADER_WORDS).from_buffer(mapping, offset - HEADER_BYTES)
        self.header[:] = [OWN_REFERENCES, id(bytes), size, -1]
        self.address = ctypes.addressof(self.header)

    def value(self) -> bytes:
        """Return the object."""
        found = ctypes.cast(self.address, ctypes.py_object).value
        assert isinstance(found, bytes)
        return found

    def is_unused(self) -> bool:
        """Tell whether nobody refers to the object."""
        return self.header[0] <= OWN_REFERENCES

    def close(self) -> None:
        """Unmap it."""
        del self.header
        self.mapping.close()


def bytes_in(path: str, content: memoryview, place: slice) -> bytes:
    """Return the bytes at a place of a mapped file, without copying them if they are many.

    Args:
        path: the file, made by `broadcast_file.write_file`: there are zeros around each of its parts.
        content: all of it.
        place: the part.
    """
    release_unused()
    size = place.stop - place.start
    if size < MAPPED_FROM_BYTES or not IS_AS_EXPECTED:
        return bytes(content[place])
    made = MappedBytes(map_file(path, private=True), place.start, size)
    live[made.address] = made
    return made.value()


def release_unused() -> None:
    """Unmap the objects that nobody uses any more."""
    for address in [address for address, made in live.items() if made.is_unused()]:
        live.pop(address).close()
