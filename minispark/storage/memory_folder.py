"""The folder on tmpfs of an executor whose persisted partitions count as memory, and how it goes with the executor.

It is made when the first block comes, and is named after the executor's session directory: so whoever removes that
directory, or finds it gone, knows what else to remove, whoever of executor, zygote and worker is left to do it. It is
locked as that directory is; what nobody holds is swept by the next executor or worker of the same user.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = [
    "PREFIX",
    "TMPFS",
    "MemoryFolder",
    "folder_of",
    "lock_of",
    "remove_memory",
    "remove_unheld",
    "sweep_memory",
]

PREFIX: Final = "minispark-"
SUFFIX: Final = ".memory"
TMPFS = Path("/dev/shm")  # a simulation has one of its own


class MemoryFolder:
    """The folder of one executor.

    Args:
        session_directory: the executor's.
        tmpfs: where the folder is to be; None: on `TMPFS`.
    """

    def __init__(self, session_directory: str, tmpfs: Path | None = None) -> None:
        self.path = folder_of(session_directory, tmpfs)
        self.lock_fd: int | None = None
        self.is_usable: bool | None = None

    @property
    def directory(self) -> str | None:
        """Where blocks go; made when it is asked for first. None: there is no such file system here."""
        if self.is_usable is None:
            self.is_usable = self.make()
        return os.fspath(self.path) if self.is_usable else None

    def make(self) -> bool:
        """Make and lock the folder, after removing what those left who are gone: it takes memory."""
        sweep_memory(self.path.parent)
        try:
            self.path.mkdir(mode=0o700)
        except OSError:
            return False
        self.lock_fd = lock_of(self.path)
        return self.lock_fd is not None

    def release(self) -> None:
        """Release the lock; what is left of the folder may be swept."""
        if self.lock_fd is not None:
            os.close(self.lock_fd)
            self.lock_fd = None


def folder_of(session_directory: str | Path, tmpfs: Path | None = None) -> Path:
    """Return which folder on tmpfs belongs to a session directory."""
    return (tmpfs or TMPFS) / f"{os.path.basename(session_directory)}{SUFFIX}"


def remove_memory(session_directory: str | Path, tmpfs: Path | None = None) -> None:
    """Remove what an executor has on tmpfs; its session directory may be gone already."""
    folder = folder_of(session_directory, tmpfs)
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def sweep_memory(tmpfs: Path | None = None) -> list[Path]:
    """Remove the folders of this user that nobody holds the lock of; return them.

    One without a lock file was made a moment ago and is left alone.
    """
    removed = []
    for path in sorted((tmpfs or TMPFS).glob(f"{PREFIX}*{SUFFIX}")):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid != os.geteuid() or path.is_symlink():
                continue
            if remove_unheld(path):
                removed.append(path)
    return removed


def remove_tree(path: Path) -> None:
    """Remove a directory, as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)


def remove_unheld(path: Path, remove: Callable[[Path], object] = remove_tree) -> bool:
    """Remove a directory whose lock nobody holds; tell whether it was so.

    One without a lock file was made a moment ago and is left alone.

    Raises:
        OSError: there is no lock file, or it cannot be opened.
    """
    fd = os.open(path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not locked(fd):
        return False
    remove(path)
    os.close(fd)
    return True


def lock_of(path: Path) -> int | None:
    """Create and lock a directory's lock file; None if a sweep was faster (it takes the directory for a dead one)."""
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    return fd if locked(fd) else None


def locked(fd: int) -> bool:
    """Lock an open lock file, or close it and tell that it is in use or was removed."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return True
    os.close(fd)
    return False
