"""Files and directories that RDDs read and write: the one place that knows what a path is.

Local files are handled here, those of other file systems, which URLs name, in `filesystems`.
"""

import glob
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from tempfile import mkdtemp
from typing import IO, Any, BinaryIO, Final, NamedTuple, Protocol

from minispark.errors import ConfigurationError, InputNotFound, OutputExists
from minispark.rdd import filesystems
from minispark.rdd.compression import check_readable, is_compressed, open_compressed
from minispark.rdd.filesystems import HIDDEN, SUCCESS, TEMPORARY, InputFile, RemoteOutput
from minispark.urls import is_url, shown

__all__ = [
    "InputFile",
    "InputPath",
    "JobOutput",
    "Output",
    "OutputDirectory",
    "PartDirectory",
    "PathLike",
    "absolute_path",
    "find_inputs",
    "input_paths",
    "make_directory",
    "names_in",
    "open_input",
    "output_at",
    "remove_directory",
]

PathLike = str | os.PathLike[str]

FILE_URL: Final = re.compile(r"^file:(?:/(?!/)|//(?:localhost)?/)")
KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class InputPath(NamedTuple):
    """What a user said is to be read: made absolute and checked when it was said, looked for later, off the loop.

    Attributes:
        path: absolute, or a URL; what exists by that very name is taken as it is.
        pattern: the glob that is meant if nothing has that name; the working directory in it is escaped.
        parts: what is meant instead if commas may separate paths, and there are some.
    """

    path: str
    pattern: str
    parts: tuple["InputPath", ...] = ()


def input_paths(argument: str, given: object) -> list[InputPath]:
    """Return a path, several with commas between them, or a collection of paths, as they are meant here and now.

    Args:
        argument: its name, for messages.
        given: what the user gave; a path in a collection is one path, commas and all.

    Raises:
        TypeError: it is something else.
        ConfigurationError: a path is empty, or a URL that cannot be read.
    """
    if isinstance(given, str | os.PathLike):
        return [input_path(argument, given, is_list=isinstance(given, str))]
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray | memoryview):
        raise TypeError(f"{argument} = {shown(repr(given))}: a str, an os.PathLike or a list of them is needed")
    return [input_path(f"{argument}[{index}]", path, is_list=False) for index, path in enumerate(given)]


def input_path(argument: str, given: object, is_list: bool) -> InputPath:
    """Return one path, or those with commas between them."""
    text = checked(argument, given)
    parts: tuple[InputPath, ...] = ()
    if is_list and "," in text:
        parts = tuple(input_path(argument, part.strip(), is_list=False) for part in text.split(",") if part.strip())
        if not parts:
            raise ConfigurationError(f"{argument} = {given!r}: there is no path in it")
    name = FILE_URL.sub("/", text)
    if is_url(name):
        return InputPath(name if parts else filesystems.check_url(name), name, parts)
    # Not normalised: what .. means depends on links.
    directory = "" if os.path.isabs(name) else os.getcwd()
    return InputPath(os.path.join(directory, name), os.path.join(glob.escape(directory), name), parts)


def absolute_path(argument: str, given: object) -> str:
    """Return the absolute path of what is one path, as it is meant here and now; a URL as it is.

    `file:/x`, `file:///x` and `file://localhost/x` are local paths.

    Raises:
        TypeError: it is not a path.
        ConfigurationError: it is empty, or a URL that cannot be read.
    """
    name = FILE_URL.sub("/", checked(argument, given))
    return without_slash(filesystems.check_url(name)) if is_url(name) else os.path.abspath(name)


def without_slash(url: str) -> str:
    """Return a URL without slashes at its end; those after the scheme stay, or it were none."""
    scheme, mark, path = url.partition("://")
    return f"{scheme}{mark}{path.rstrip('/')}"


def checked(argument: str, given: object) -> str:
    """Return the text of a path; raises for one that is empty, or none at all."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str):
        raise TypeError(
            f"{argument} = {shown(repr(given))}: a str or an os.PathLike is needed, not {type(given).__name__}"
        )
    if not text.strip():
        raise ConfigurationError(f"{argument} = {given!r}: a path is needed; the working directory is '.'")
    return text


def find_inputs(paths: Iterable[InputPath]) -> list[InputFile]:
    """Return the files that are meant by paths, directories and globs, in their order. Blocks: run it off the loop.

    Raises:
        InputNotFound: there is nothing at a path.
        ConfigurationError: a directory has directories, or what is there is not a file that can be read as text.
    """
    return [file for path in paths for file in meant_by(path)]


def meant_by(path: InputPath) -> Iterator[InputFile]:
    """Yield the files that one path means; what exists by that very name is taken as it is, commas and all."""
    if path.parts and not (filesystems.exists(path.path) if is_url(path.path) else os.path.exists(path.path)):
        for part in path.parts:
            yield from meant_by(part)
    elif is_url(path.path):
        yield from filesystems.find(path.path)
    else:
        yield from map(input_file, expand(path))


def input_file(name: str) -> InputFile:
    """Return a file with its size.

    Raises:
        InputNotFound: it is gone, or a link to nothing.
        ConfigurationError: it is a pipe, a socket or a device, or in a format that cannot be read.
    """
    try:
        status = os.stat(name)
    except FileNotFoundError:
        raise InputNotFound(f"{name!r} is a link to nothing, or has just been removed") from None
    if not stat.S_ISREG(status.st_mode):
        kinds = (kind for is_it, kind in KINDS if is_it(status.st_mode))
        raise ConfigurationError(f"{name!r} is {next(kinds, 'not a file')}: only files and directories can be read")
    check_readable(name)
    return InputFile(name, status.st_size)


def expand(path: InputPath) -> Iterator[str]:
    """Yield the files that one local path means."""
    if os.path.exists(path.path):
        yield from files_at(path.path)
    else:
        found = sorted(
            match
            for match in glob.iglob(path.pattern, recursive=True)
            if not os.path.basename(match.rstrip(os.sep)).startswith(HIDDEN)
        )
        if not found:
            what = "no file matches" if glob.has_magic(path.pattern) else "there is no file or directory"
            raise InputNotFound(f"{what} {shown(path.path)!r}")
        for match in found:
            # With **, directories are only on the way to the files.
            if not ("**" in path.pattern and os.path.isdir(match)):
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


def open_input(path: str) -> AbstractContextManager[BinaryIO]:
    """Return a file for reading, as the target of a `with`."""
    return filesystems.open_url(path) if is_url(path) else open(path, "rb")


def names_in(path: str) -> set[str]:
    """Return the names of what is in a directory; none if it is not there. Blocks."""
    if is_url(path):
        return filesystems.names_in(path)
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def make_directory(path: str) -> None:
    """Make a directory and its parents, unless it is there. Blocks.

    Raises:
        OSError: it cannot be made, or the server of a URL cannot be reached.
    """
    if is_url(path):
        filesystems.make_directory(path)
    else:
        os.makedirs(path, exist_ok=True)


def remove_directory(path: str) -> None:
    """Remove a directory, as far as that can be done, with all that is in it. Blocks."""
    if is_url(path):
        with suppress(OSError):
            filesystems.remove(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


def nobody_else() -> None:
    """Permit a commit: no other attempt writes."""


class PartDirectory(Protocol):
    """A directory that a job fills with parts, as its tasks see it, wherever it is."""

    def part(
        self, name: str, attempt: str, request_commit: Callable[[], object]
    ) -> AbstractContextManager[IO[bytes]]:
        """Open a part for writing; it appears under its name, whole, when the block ends well."""


class JobOutput(Protocol):
    """A job's output directory in the driver, wherever it is. Its methods block, and may overtake each other."""

    path: str

    def create(self) -> PartDirectory:
        """Make the directory; raises OutputExists if there is something already."""

    def commit(self) -> None:
        """Say that all parts are there."""

    def abandon(self) -> None:
        """Remove everything, unless it is committed."""


def output_at(path: str) -> JobOutput:
    """Return a job's output directory, which is not made yet.

    Args:
        path: absolute, or a URL.
    """
    return RemoteOutput(path, os.urandom(8).hex()) if is_url(path) else Output(path)


class OutputDirectory(NamedTuple):
    """A local directory that a job fills with parts, as its tasks see it.

    Attributes:
        path: absolute.
        temporary: where attempts write; below `path`, and so named that no other job ever has the same.
    """

    path: str
    temporary: str

    @contextmanager
    def part(
        self, name: str, attempt: str, request_commit: Callable[[], object] = nobody_else
    ) -> Iterator[IO[bytes]]:
        """Open a part for writing; it appears under its name, whole, when the block ends well.

        Args:
            name: of the file.
            attempt: names the attempt that writes.
            request_commit: called when all is written; what it raises keeps the part from appearing.
        """
        own = os.path.join(self.temporary, attempt)
        os.mkdir(own)  # not its parents: if the job was given up meanwhile, nothing is to come back
        written = os.path.join(own, name)
        file: Any = open_compressed(written, name, "wb") if is_compressed(name) else open(written, "wb")  # noqa: SIM115 - closed below
        with file:
            yield file
        request_commit()
        os.replace(written, os.path.join(self.path, name))
        os.rmdir(own)


class Output:
    """A job's output directory in the driver. Its methods block, run off the loop, and may overtake each other.

    What an await of them leaves to its thread when it is cancelled is right all the same: nothing is made after
    `abandon`, and `abandon` waits for what is being made.

    Args:
        path: absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.temporary = ""
        self.lock = threading.Lock()
        self.is_over = False

    def create(self) -> OutputDirectory:
        """Make the directory, and its parents where they are missing.

        Raises:
            OutputExists: there is something already.
        """
        with self.lock:
            if not self.is_over:
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
                try:
                    os.mkdir(self.path)
                except FileExistsError:
                    raise OutputExists(f"{self.path!r} exists already: remove it, or save to another path") from None
                self.temporary = mkdtemp(prefix=TEMPORARY, dir=self.path)
            return OutputDirectory(self.path, self.temporary)

    def commit(self) -> None:
        """Say that all parts are there."""
        with self.lock:
            if self.is_over:
                return
            closed = f"{self.temporary}-closed"
            os.rename(self.temporary, closed)  # from here on, attempts that still run fail at their next step
            self.temporary = closed
            with open(os.path.join(self.path, SUCCESS), "xb"):
                pass
            shutil.rmtree(closed, ignore_errors=True)
            self.is_over = True

    def abandon(self) -> None:
        """Remove everything, unless it is committed; attempts that still run fail at their next step."""
        with self.lock:
            if self.is_over:
                return
            self.is_over = True
            # Somebody may have removed the directory and made one of the same name: that one is not this job's.
            if not (self.temporary and os.path.isdir(self.temporary)):
                return
            grave = f"{self.path}._abandoned{os.path.basename(self.temporary).removeprefix(TEMPORARY)}"
            try:
                os.rename(self.path, grave)  # at once, so that no attempt adds a file while the others are removed
            except OSError:
                grave = self.path
            shutil.rmtree(grave, ignore_errors=True)  # what the job failed with matters more
