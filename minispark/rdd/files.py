"""Files and directories that RDDs read and write: the one place that knows what a path is. Local files only."""

import glob
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from minispark.errors import ConfigurationError, InputNotFound

__all__ = ["InputFile", "PathLike", "find_inputs", "is_compressed", "local_path", "open_input"]

PathLike = str | os.PathLike[str]

HIDDEN: Final = (".", "_")  # how the names of files begin that are not data: _SUCCESS, _temporary, .crc


class InputFile(NamedTuple):
    """A file to read."""

    path: str
    size_bytes: int


def find_inputs(paths: Iterable[PathLike]) -> list[InputFile]:
    """Return the files that are meant by paths, directories, globs and lists with commas, in their order.

    Raises:
        InputNotFound: there is nothing at a path.
        ConfigurationError: a path is not local, or a directory has directories.
    """
    return [InputFile(name, os.path.getsize(name)) for path in paths for name in expand(path)]


def expand(path: PathLike) -> Iterator[str]:
    """Yield the files that one path means; what exists by that very name is taken as it is, commas and all."""
    name = local_path(path)
    if os.path.exists(name):
        yield from files_at(name)
    elif not isinstance(path, str):
        raise not_found(name)
    elif "," in path:
        for part in path.split(","):
            if part.strip():
                yield from expand(part.strip())
    else:
        found = sorted(
            match
            for match in glob.iglob(name, recursive=True)
            if not os.path.basename(match.rstrip(os.sep)).startswith(HIDDEN)
        )
        if not found:
            raise not_found(name)
        for match in found:
            # With **, directories are only on the way to the files.
            if not ("**" in name and os.path.isdir(match)):
                yield from files_at(match)


def files_at(name: str) -> Iterator[str]:
    """Yield a file, or the files of a directory."""
    if not os.path.isdir(name):
        yield name
        return
    for entry in sorted(os.scandir(name), key=lambda entry: entry.name):
        if entry.name.startswith(HIDDEN):
            continue
        if entry.is_dir():
            raise ConfigurationError(
                f"{entry.path} is a directory inside of {name}; to read all files below, give"
                f" {os.path.join(name, '**')!r}"
            )
        yield entry.path


def not_found(name: str) -> InputNotFound:
    """Return the error for a path where nothing is."""
    if glob.has_magic(name):
        return InputNotFound(f"no file matches {name!r} (in {os.getcwd()})")
    return InputNotFound(f"there is no file or directory {os.path.abspath(name)!r}")


def local_path(path: PathLike) -> str:
    """Return a path of the local file system; `file:` URLs are understood.

    Raises:
        ConfigurationError: it is a URL of something else.
    """
    name = os.fspath(path)
    scheme, colon, rest = name.partition("://")
    if not colon or os.path.exists(name):
        return name
    if scheme != "file":
        raise ConfigurationError(f"{name!r}: only local files can be read and written, as /data/x or file:///data/x")
    return rest


def is_compressed(path: str) -> bool:
    """Tell by its name whether a file is compressed."""
    return path.endswith(".gz")


def open_input(path: str) -> BinaryIO:
    """Open a file for reading."""
    return open(path, "rb")
