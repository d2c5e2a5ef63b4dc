"""Files and directories that RDDs read and write: the one place that knows what a path is. Local files only."""

import glob
import gzip
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, BinaryIO, Final, NamedTuple

from minispark.errors import ConfigurationError, InputNotFound, OutputExists

__all__ = ["InputFile", "OutputDirectory", "PathLike", "find_inputs", "is_compressed", "open_input"]

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
    # The tasks get absolute paths: their working directory need not be the driver's of now.
    names = [os.path.abspath(name) for path in paths for name in expand(path)]
    return [InputFile(name, os.path.getsize(name)) for name in names]


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


class OutputDirectory(NamedTuple):
    """A directory that a job fills with parts; made by the driver, pickled into the tasks.

    Attributes:
        path: absolute.
    """

    path: str

    @classmethod
    def create(cls, path: PathLike) -> "OutputDirectory":
        """Make the directory, and its parents where they are missing.

        Raises:
            OutputExists: there is something already.
            ConfigurationError: the path is not local.
        """
        directory = cls(os.path.abspath(local_path(path)))
        os.makedirs(os.path.dirname(directory.path), exist_ok=True)
        try:
            os.mkdir(directory.path)
        except FileExistsError:
            raise OutputExists(f"{directory.path!r} exists already: remove it, or save to another path") from None
        os.mkdir(directory.temporary)
        return directory

    @property
    def temporary(self) -> str:
        """Where attempts write."""
        return os.path.join(self.path, "_temporary")

    @contextmanager
    def part(self, name: str, attempt: str) -> Iterator[IO[bytes]]:
        """Open a part for writing; it appears under its name, whole, when the block ends well."""
        own = os.path.join(self.temporary, attempt)
        os.mkdir(own)  # not its parents: if the job was given up meanwhile, nothing is to come back
        written = os.path.join(own, name)
        file: Any = gzip.open(written, "wb") if is_compressed(name) else open(written, "wb")  # noqa: SIM115 - closed below
        with file:
            yield file
        os.replace(written, os.path.join(self.path, name))
        os.rmdir(own)

    def commit(self) -> None:
        """Say that all parts are there."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        with open(os.path.join(self.path, "_SUCCESS"), "wb"):
            pass

    def abandon(self) -> None:
        """Remove everything; attempts that still run fail at their next step."""
        grave = f"{self.path}._abandoned"
        with suppress(OSError):  # what the job failed with matters more
            os.rename(self.path, grave)  # at once, so that no attempt adds a file while the others are removed
        shutil.rmtree(grave, ignore_errors=True)
