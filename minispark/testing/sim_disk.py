"""A disk without room: while `full_disk` lasts, nothing below a directory can be opened for writing.

The files of simulated hosts are real ones in a folder of each host. `sim_world` and `sim_pool` put this around what
their processes do off the loop and in tasks, one at a time; never to be used where several threads run.
"""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["full_disk", "same_but_guarded"]

REAL_OPEN: Final = builtins.open
REAL_OS_OPEN: Final = os.open
WRITES: Final = os.O_WRONLY | os.O_RDWR


@contextmanager
def full_disk(directory: str) -> Iterator[None]:
    """Let nothing be opened for writing below a directory: it is ENOSPC."""

    def check(path: Any) -> None:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(directory):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))

    def guarded_open(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not mode.startswith("r") or "+" in mode:
            check(file)
        return REAL_OPEN(file, mode, *args, **options)

    def guarded_os_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & WRITES:
            check(path)
        return REAL_OS_OPEN(path, flags, *args, **options)

    replace(guarded_open, guarded_os_open)
    try:
        yield
    finally:
        replace(REAL_OPEN, REAL_OS_OPEN)


def replace(opens: Callable[..., Any], os_opens: Callable[..., int]) -> None:
    """Have files opened by these functions."""
    vars(builtins)["open"] = vars(io)["open"] = opens
    vars(os)["open"] = os_opens


def same_but_guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a function that somebody took hold of before is called now."""
    return os.open if function is REAL_OS_OPEN else function
