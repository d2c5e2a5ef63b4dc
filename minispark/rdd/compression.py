"""Compressed text files: which formats are read, by the suffix of the name, and which are refused.

Called by `files` when it lists, and by the tasks that read and write. Knows nothing of RDDs.
"""

import os
import zlib
from importlib import import_module
from typing import IO, Any, Final

from minispark.errors import ConfigurationError, InputDamaged
from minispark.urls import shown

__all__ = ["check_readable", "damage_errors", "is_compressed", "named_damage", "open_compressed"]

# By the standard library's module; loaded when such a file is met, since a Python may be built without some of them.
READABLE: Final = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".lzma": "lzma"}

REFUSED: Final = {
    ".zst": "Zstandard", ".zstd": "Zstandard", ".lz4": "LZ4", ".lzo": "LZO", ".snappy": "Snappy", ".sz": "Snappy",
    ".br": "Brotli", ".deflate": "zlib", ".z": "compress", ".zip": "ZIP", ".7z": "7-Zip", ".rar": "RAR",
    ".tar": "tar", ".tgz": "tar", ".tbz2": "tar", ".txz": "tar",
}  # fmt: skip


def suffix_of(path: str) -> str:
    """Return the last suffix of a name, in lower case."""
    return os.path.splitext(path)[1].lower()


def is_compressed(path: str) -> bool:
    """Tell by its name whether a file is compressed in a format that can be read."""
    return suffix_of(path) in READABLE


def check_readable(path: str) -> None:
    """Refuse a file whose text would be the bytes of an archive, or of a compression that is not known.

    Raises:
        ConfigurationError: names the file, the format and what is read.
    """
    inner = os.path.splitext(path)[0] if is_compressed(path) else path  # x.tar.gz
    kind = REFUSED.get(suffix_of(inner))
    if kind is not None:
        raise ConfigurationError(
            f"{shown(path)!r} is in the format {kind}, which is not read; of the compressed files, "
            f"{', '.join(READABLE)} are"
        )


def open_compressed(file: str | IO[bytes], suffix_from: str, mode: str) -> Any:
    """Open a compressed file in a binary mode.

    Args:
        file: its path, or what gives its bytes.
        suffix_from: a name that tells the format.
        mode: "rb" or "wb".

    Raises:
        ConfigurationError: this Python was built without the module for it.
    """
    module = READABLE[suffix_of(suffix_from)]
    try:
        opener = import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"{shown(suffix_from)!r}: this Python cannot decompress it: {error}") from None
    return opener.open(file, mode)


def damage_errors(path: str) -> tuple[type[Exception], ...]:
    """Return what reading a file raises when its bytes are not what its name says."""
    if not is_compressed(path):
        return ()
    module = import_module(READABLE[suffix_of(path)])
    return (EOFError, OSError, zlib.error, getattr(module, "LZMAError", zlib.error))


def named_damage(path: str, error: Exception) -> Exception:
    """Return one of the `damage_errors` as an `InputDamaged` that names the file; an error of the disk as it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, EOFError):
        return InputDamaged(f"{shown(path)!r} is cut off: its compressed data ends too early")
    return InputDamaged(f"{shown(path)!r} is damaged, or not what its name says: {shown(str(error))}")
