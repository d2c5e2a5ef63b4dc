"""What a program gives to all its tasks: broadcast values, files, modules and archives.

A base of SparkContext. What it takes to bring them to executors is `distribution`'s, which is loaded at the first
use. Source: the methods of Spark's SparkContext of these names.
"""

import os
from typing import TYPE_CHECKING, TypeVar

from minispark.conf import SparkConf

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.messages.distribution import FileKind
    from minispark.rdd.broadcast import Broadcast

__all__ = ["Sharing"]

T = TypeVar("T")


class Sharing:
    """Broadcasting values and adding files."""

    conf: SparkConf
    driver: "Driver"

    def check_on_loop(self) -> None:
        """Raise unless the context is active and this is its loop's thread."""
        raise NotImplementedError

    def broadcast(self, value: T) -> "Broadcast[T]":
        """Give tasks a value that each host has once, however many tasks read it.

        It is pickled now: what changes in it later is not seen. Then it is written, off the event loop if it is
        large; but an array of numpy that could be changed is written now, while the loop waits: make it read-only
        (`array.flags.writeable = False`) if others are served meanwhile. Large buffers, as of such arrays and of
        `bytes`, are mapped by the tasks, not copied, and arrays are read-only there.

        Args:
            value: anything that can be pickled; tasks read `Broadcast.value`.

        Raises:
            ContextError: the context is not active, or the value is an RDD.
            PicklingError: it cannot be pickled.
            MiniSparkError: there is no room for it; if that is seen only while it is written, its readers fail.
        """
        self.check_on_loop()
        return self.driver.distribution.broadcast(value)

    async def add_file(self, path: str | os.PathLike[str], recursive: bool = False) -> None:
        """Have a file at every executor; code of jobs started from now on finds it by `SparkFiles.get(name)`.

        Args:
            path: of the file, or its `file:` URI. A file that is added again with other content replaces the first.
            recursive: whether it may be a folder, with all that it holds.

        Raises:
            ConfigurationError: there is no such file, or another one of its name was added.
        """
        await self.add(path, "directory" if recursive else "file")

    async def add_py_file(self, path: str | os.PathLike[str]) -> None:
        """Let tasks of jobs started from now on, and the driver, import a module or a package.

        A runner that has imported a module keeps what it imported.

        Args:
            path: of a .py, .zip, .egg or .whl file, or of a package's folder.

        Raises:
            ConfigurationError: there is no such file, it is none of these, or another one of its name was added.
        """
        await self.add(path, "py")

    async def add_archive(self, path: str | os.PathLike[str]) -> None:
        """Have an archive unpacked at every executor; `SparkFiles.get(name)` returns its folder.

        Args:
            path: of a zip or tar file, compressed or not; `archive.zip#name` names the folder.

        Raises:
            ConfigurationError: there is no such file, it is no archive, or another one of its name was added; it is
                damaged, or would write outside of its folder.
        """
        await self.add(path, "archive")

    async def add(self, path: str | os.PathLike[str], kind: "FileKind") -> None:
        """Hand out a file."""
        self.check_on_loop()
        self.driver.jobs.files_version = await self.driver.distribution.add_file(os.fspath(path), kind)

    async def add_configured_files(self) -> None:
        """Hand out what the settings name; part of the start, and if it fails the driver stops.

        Raises:
            ConfigurationError: something is missing, or cannot be used.
        """
        kinds: tuple[tuple[str, FileKind], ...] = (
            (self.conf.files, "file"), (self.conf.py_files, "py"), (self.conf.archives, "archive"),
        )  # fmt: skip
        for paths, kind in kinds:
            for path in filter(None, map(str.strip, paths.split(","))):
                try:
                    await self.add(path, kind)
                except BaseException:
                    await self.driver.stop()
                    raise

    def list_files(self) -> list[str]:
        """Return the canonical paths of all files, modules and archives that were added, in order."""
        self.check_on_loop()
        return self.driver.distribution.list_files() if self.driver.jobs.files_version else []
