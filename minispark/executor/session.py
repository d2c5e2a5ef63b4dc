"""Session directories: where an executor keeps what it writes, and how what a killed one left is found and removed.

The executor creates its directory; its zygote removes it when the executor goes, however it goes. `sweep` removes
what even that left behind (a power cut): a directory is in use exactly as long as its creator holds the lock on its
`lock` file, which the kernel releases when the process ends.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.ids import TaskId, task_result_block_id
from minispark.shuffle.files import remove_attempt_files
from minispark.storage.memory_folder import PREFIX, lock_of, remove_memory, remove_unheld, sweep_memory

__all__ = ["SessionDirectory", "local_directory", "remove_folder", "remove_leavings", "sweep"]

ATTEMPTS = 100


def local_directory(conf: SparkConf) -> Path:
    """Return where session directories go: `minispark.local.dir`, or the system's folder for temporary files."""
    return Path(conf.local_dir or tempfile.gettempdir())


class SessionDirectory:
    """One executor's directory, with `shuffle/`, `blocks/`, `token` and `lock`; readable by its user alone.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.lock_fd = lock_fd

    @classmethod
    def create(cls, parent: Path, secret_bytes: Callable[[int], bytes]) -> "SessionDirectory":
        """Make a directory `minispark-<pid>-<random>` and lock it.

        Args:
            parent: an existing directory.
            secret_bytes: chance nobody can guess, as `World.secret_bytes`.

        Raises:
            MiniSparkError: it cannot be made; the text names the setting.
        """
        for _ in range(ATTEMPTS):
            path = parent / f"{PREFIX}{os.getpid()}-{secret_bytes(6).hex()}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            except OSError as error:
                raise MiniSparkError(
                    f"cannot create a session directory in {parent}: {error}; set minispark.local.dir to a directory "
                    "that exists and can be written to"
                ) from error
            lock_fd = lock_of(path)
            if lock_fd is not None:
                fill(path, secret_bytes)
                return cls(path, lock_fd)
        raise MiniSparkError(f"cannot create a session directory in {parent}: every name is taken")

    def remove(self) -> None:
        """Remove the directory with all it holds and release the lock."""
        remove_folder(self.path)
        self.release()

    def release(self) -> None:
        """Release the lock; what is left of the directory may be swept."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1


def fill(path: Path, secret_bytes: Callable[[int], bytes]) -> None:
    """Make what every session directory holds."""
    (path / "shuffle").mkdir(mode=0o700)
    (path / "blocks").mkdir(mode=0o700)
    token = os.open(path / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(token, "w", encoding="ascii") as file:
        file.write(secret_bytes(16).hex())


def remove_folder(path: Path) -> None:
    """Remove a session directory, and what it has on tmpfs.

    Its lock goes last: where something cannot be removed, or somebody still writes, a later sweep finds it.
    """
    remove_memory(path)
    with contextlib.suppress(OSError):
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != "lock":
                os.unlink(entry.path)
        if os.listdir(path) in (["lock"], []):
            shutil.rmtree(path, ignore_errors=True)


def remove_leavings(directory: str, task_id: TaskId) -> None:
    """Remove what an attempt left whose runner died: files of a map output, finished or not, and a result."""
    remove_attempt_files(directory, task_id)
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, "blocks", task_result_block_id(task_id)))


def sweep(parent: Path) -> list[Path]:
    """Remove the session directories of this user that nobody holds the lock of; return them. On tmpfs, too.

    A directory without a lock file was made a moment ago and is left alone.
    """
    sweep_memory()
    removed = []
    for path in sorted(parent.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):
            facts = path.lstat()
            if facts.st_uid != os.geteuid() or not path.is_dir() or path.is_symlink():
                continue
            if remove_unheld(path, remove_folder):
                removed.append(path)
    return removed
