"""SparkFiles: where code finds the files that were added to the application, in the driver and in tasks.

The driver's context and, in runners, `executor.task_files` say where the folder is. Source: Spark's SparkFiles.
"""

import os
import sys
from collections.abc import Iterable
from importlib import invalidate_caches

from minispark.errors import ContextError

__all__ = ["SparkFiles", "add_import_paths", "remove_import_paths", "set_root"]

root: str | None = None


class SparkFiles:
    """Finds files that were added with `SparkContext.add_file`, `add_py_file` and `add_archive`."""

    @classmethod
    def get(cls, name: str) -> str:
        """Return the path of a file by its name; of an archive, the folder that it was unpacked to.

        Raises:
            ContextError: no such file was added.
        """
        path = os.path.join(cls.get_root_directory(), name)
        if not os.path.lexists(path):
            raise ContextError(f"no file {name!r} was added to this application, or not before this job was started")
        return path

    @classmethod
    def get_root_directory(cls) -> str:
        """Return the folder that has all files that were added.

        Raises:
            ContextError: there is none, because none was added.
        """
        if root is None:
            raise ContextError("no file was added to an application here: use `await sc.add_file(path)`")
        return root


def set_root(path: str | None) -> None:
    """Say where the files are; None: there are none any more."""
    global root
    root = path


def add_import_paths(paths: Iterable[str]) -> None:
    """Let modules be found in more places, before the installed ones, after the program's own folder."""
    fresh = [path for path in paths if path not in sys.path]
    sys.path[1:1] = fresh
    if fresh:
        invalidate_caches()


def remove_import_paths(paths: Iterable[str]) -> None:
    """Look for modules in these places no more."""
    for path in paths:
        if path in sys.path:
            sys.path.remove(path)
