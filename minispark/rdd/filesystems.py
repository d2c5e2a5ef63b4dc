"""File systems by URL, as `s3://bucket/x` or `sftp://host/x`: what fsspec knows, behind the few verbs that RDDs need.

Called by `files` alone, for names that begin with a scheme. fsspec is loaded with the first of them, and comes with
the extra `remote`. Tasks that write one file name theirs for their attempt and move it when it is whole, which every
file system can do. All functions block: run them off the loop.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

from minispark.errors import ConfigurationError, InputNotFound, MiniSparkError, OutputExists
from minispark.rdd.compression import check_readable, is_compressed, open_compressed
from minispark.urls import conceal, concealing, is_url, shown

__all__ = [
    "HIDDEN",
    "SUCCESS",
    "TEMPORARY",
    "InputFile",
    "RemoteDirectory",
    "RemoteOutput",
    "check_url",
    "find",
    "make_directory",
    "names_in",
    "open_url",
    "remove",
]

HIDDEN: Final = (".", "_")  # how the names of files begin that are not data: _SUCCESS, _temporary-x, .crc
TEMPORARY: Final = "_temporary-"
SUCCESS: Final = "_SUCCESS"
OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss"})
OPEN: Final = "_open"  # a job's mark in its temporary directory: tasks may write


class InputFile(NamedTuple):
    """A file to read."""

    path: str
    size_bytes: int


def fsspec(url: str) -> Any:
    """Return the library.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module("fsspec")  # most programs have local files only, and need not have it
    except ImportError:
        raise ConfigurationError(
            f"{shown(url)!r}: URLs are read and written by fsspec, which is not installed: "
            "pip install 'minispark[remote]'; local files are named as /data/x or file:///data/x"
        ) from None


def check_url(url: str) -> str:
    """Return a URL; what is loaded for it is fsspec itself, not yet what speaks with the server.

    Raises:
        ConfigurationError: fsspec is not installed, or does not know the scheme; or it is a file of another host.
    """
    scheme = url.partition("://")[0].lower()
    if scheme == "file":
        raise ConfigurationError(f"{shown(url)!r} names a host; files of this one are /data/x or file:///data/x")
    library = fsspec(url)
    known = {*library.available_protocols(), *library.registry}  # the second: what the program registered as a class
    if scheme not in known:
        raise ConfigurationError(
            f"{shown(url)!r}: there is no file system for {scheme}; fsspec knows {', '.join(sorted(known))}"
        )
    return url


@contextmanager
def reached(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system of a URL and the path in it; whatever goes wrong inside names the URL.

    Raises:
        ConfigurationError: a package is missing that speaks with the server.
        OSError: the server cannot be reached, or refuses.
    """
    try:
        file_system, path = fsspec(url).core.url_to_fs(url)
        yield file_system, path
    except Exception as error:  # each file system has exceptions of its own, and puts whole URLs into them
        conceal(error, url)
        if isinstance(error, MiniSparkError | OSError):
            if shown(url) not in str(error):
                error.add_note(f"at {shown(url)}")
            raise
        if isinstance(error, ImportError):
            raise ConfigurationError(f"{shown(url)!r} cannot be reached: {error}") from error
        raise OSError(f"{shown(url)!r} cannot be reached: {type(error).__name__}: {error}") from error


# -- reading ---------------------------------------------------------------------------------------------------------


def exists(url: str) -> bool:
    """Tell whether there is a file or directory."""
    with reached(url) as (file_system, path):
        file_system.invalidate_cache()
        return is_there(file_system, path)


def is_there(file_system: Any, path: str) -> bool:
    """Tell the same of a path; what hinders the server is raised, which fsspec's `exists` takes for no."""
    try:
        file_system.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def find(url: str) -> list[InputFile]:
    """Return the files that a URL means: a file, those of a directory, or those that match a glob, by name.

    Raises:
        InputNotFound: there is nothing.
        ConfigurationError: a directory has directories, or a file cannot be read as it is.
    """
    with reached(url) as (file_system, path):
        file_system.invalidate_cache()
        files: list[InputFile] = []
        if is_there(file_system, path):
            matches = [path]
        else:
            matches = sorted(name for name in file_system.glob(path) if not is_hidden(name))
        for match in matches:
            if not file_system.isdir(match):
                files.append(input_file(named(url, path, match), file_system.info(match)))
            elif "**" not in path:  # with **, directories are only on the way to the files
                files += files_in(url, path, file_system, match)
    if not matches:
        raise InputNotFound(f"there is no file or directory {shown(url)!r}, and none that matches")
    return files


def files_in(url: str, path: str, file_system: Any, directory: str) -> list[InputFile]:
    """Return the files of a directory, but for hidden ones."""
    entries = {entry["name"].rstrip("/"): entry for entry in file_system.ls(directory, detail=True)}
    entries.pop(directory.rstrip("/"), None)  # how some object stores remember an empty directory
    files = []
    for name, entry in sorted(entries.items()):
        if is_hidden(name):
            continue
        if entry["type"] == "directory":
            inside, all_below = named(url, path, name), os.path.join(named(url, path, directory), "**")
            raise ConfigurationError(
                f"{shown(inside)!r} is a directory; to read all files below, give {shown(all_below)!r}"
            )
        files.append(input_file(named(url, path, name), entry))
    return files


def is_hidden(name: str) -> bool:
    """Tell whether a file is not data, by its name."""
    return os.path.basename(name.rstrip("/")).startswith(HIDDEN)


def named(url: str, path: str, name: str) -> str:
    """Return the URL of a name that a file system gave.

    Args:
        url: of the same server.
        path: what the file system calls that.
        name: what it calls the other.
    """
    if name == path:
        return url
    if is_url(name):
        return name
    head, chain, inner = url.partition("::")
    return f"{head.rstrip('/').removesuffix(path.rstrip('/'))}{name}{chain}{inner}"


def input_file(url: str, info: dict[str, Any]) -> InputFile:
    """Return a file with its size."""
    check_readable(url)
    if info.get("size") is None:
        raise ConfigurationError(
            f"{shown(url)!r}: its server does not tell its size, without which it cannot be divided"
        )
    return InputFile(url, info["size"])


@contextmanager
def open_url(url: str) -> Iterator[BinaryIO]:
    """Give a file for reading.

    Raises:
        FileNotFoundError: it is not there.
    """
    with reached(url) as (file_system, path):
        file = cast(BinaryIO, file_system.open(path, "rb"))
    with concealing(url), file:
        yield file


def names_in(url: str) -> set[str]:
    """Return the names of the files in a directory; none if it is not there."""
    with reached(url) as (file_system, path):
        file_system.invalidate_cache()
        try:
            return {os.path.basename(name) for name in file_system.ls(path, detail=False)}
        except FileNotFoundError:
            return set()


# -- writing ---------------------------------------------------------------------------------------------------------


def make_directory(url: str) -> None:
    """Make a directory and its parents, unless it is there; a file that is written shows that it can be used."""
    with reached(url) as (file_system, path):
        make_place(file_system, path)
        file_system.pipe_file(f"{path}/{OPEN}", b"")
        file_system.rm_file(f"{path}/{OPEN}")


def make_place(file_system: Any, path: str) -> None:
    """Make a directory and its parents; not where there are none: a bucket of a mistyped name would be made."""
    protocols = file_system.protocol
    if OBJECT_STORES.isdisjoint([protocols] if isinstance(protocols, str) else protocols):
        file_system.makedirs(path, exist_ok=True)


def remove(url: str) -> None:
    """Remove a directory with all that is in it; what cannot be removed stays."""
    with reached(url) as (file_system, path):
        file_system.invalidate_cache()
        if file_system.exists(path):
            file_system.rm(path, recursive=True)


class RemoteDirectory(NamedTuple):
    """A directory that a job fills with parts, as its tasks see it; `files.OutputDirectory` elsewhere.

    Attributes:
        path: its URL.
        temporary: the URL of where attempts write; below `path`, and so named that no other job has the same.
    """

    path: str
    temporary: str

    @contextmanager
    def part(self, name: str, attempt: str, request_commit: Callable[[], object]) -> Iterator[IO[bytes]]:
        """Open a part for writing; it appears under its name, whole, when the block ends well.

        Args:
            name: of the file.
            attempt: names the attempt that writes.
            request_commit: called when all is written; what it raises keeps the part from appearing.
        """
        self.check_open()  # if the job was given up meanwhile, nothing is to come back
        own_url = f"{self.temporary}/{attempt}-{name}"
        try:
            with concealing(self.path), ExitStack() as files:
                with reached(own_url) as (file_system, own):
                    file = files.enter_context(file_system.open(own, "wb"))
                if is_compressed(name):
                    file = files.enter_context(open_compressed(file, name, "wb"))
                yield file
            request_commit()
            self.check_open()
            with reached(f"{self.path}/{name}") as (file_system, path):
                file_system.mv(own, path)
        except BaseException:
            # In object stores a file appears when it is closed, also after its job was given up and all was removed.
            with suppress(Exception), reached(own_url) as (file_system, own):
                file_system.rm_file(own)
            raise

    def check_open(self) -> None:
        """Raise FileNotFoundError if the job is over."""
        if not exists(f"{self.temporary}/{OPEN}"):
            raise FileNotFoundError(
                f"{shown(self.temporary)!r} is gone: the job that writes {shown(self.path)!r} is over"
            )


class RemoteOutput:
    """A job's output directory in the driver; `files.Output` elsewhere, whose methods it has.

    Args:
        path: its URL.
        token: what no other job has.
    """

    def __init__(self, path: str, token: str) -> None:
        self.path = path
        self.directory = RemoteDirectory(path, f"{path}/{TEMPORARY}{token}")
        self.lock = threading.Lock()
        self.is_over = False

    def create(self) -> RemoteDirectory:
        """Make the directory, and its parents where they are missing.

        Raises:
            OutputExists: there is something already.
        """
        with self.lock:
            if not self.is_over:
                if exists(self.path):
                    raise OutputExists(f"{shown(self.path)!r} exists already: remove it, or save to another path")
                with reached(self.directory.temporary) as (file_system, temporary):
                    make_place(file_system, temporary)
                    file_system.pipe_file(f"{temporary}/{OPEN}", b"")
            return self.directory

    def commit(self) -> None:
        """Say that all parts are there."""
        with self.lock:
            if self.is_over:
                return
            remove(self.directory.temporary)  # from here on, attempts that still run fail at their next step
            with reached(f"{self.path}/{SUCCESS}") as (file_system, path):
                file_system.pipe_file(path, b"")
            self.is_over = True

    def abandon(self) -> None:
        """Remove everything, unless it is committed or not this job's; attempts that still run fail then."""
        with self.lock, suppress(OSError, MiniSparkError):  # what the job failed with matters more
            if self.is_over:
                return
            self.is_over = True
            if exists(f"{self.directory.temporary}/{OPEN}"):
                remove(self.directory.temporary)
                remove(self.path)
