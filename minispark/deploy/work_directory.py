"""A worker's directory: a folder for each application with one for each executor, and a folder for each driver.

What an executor or driver prints is there, and an executor's session directory; old folders are removed. Called by
the worker; the methods block and are run off the loop where they may take long.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from minispark.errors import ConfigurationError
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy_values import ShippedFile
from minispark.storage.memory_folder import remove_memory, remove_unheld

__all__ = ["WorkDirectory", "check_file_name", "remove_session_files", "remove_session_memory"]

PREFIXES = ("app-", "driver-")
KEPT_FOR_READERS = ("shuffle", "token", "lock")
"""What the shuffle service needs of a session directory: map outputs, and the proof that a reader is on this host."""
KEPT_BLOCKS = "rdd_"
"""How files of `blocks` begin that it may serve, too. If it does not, the executor's janitor has removed them."""


class WorkDirectory:
    """The directory of one worker.

    Args:
        path: made if it is not there.

    Raises:
        ConfigurationError: it cannot be made or written to; the message names it and what to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.path / f".minispark-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"the worker's directory {self.path} cannot be written to ({error.strerror}): name another one with "
                "--work-dir, or change its owner"
            ) from error

    def application(self, app_id: ApplicationId) -> Path:
        """Return an application's folder."""
        return self.path / checked(app_id, "app-")

    def make_executor(self, app_id: ApplicationId, number: int) -> Path:
        """Make and return an executor's folder.

        Raises:
            OSError: it cannot be made, or is there already.
        """
        folder = self.application(app_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        made = folder / str(number)
        made.mkdir(mode=0o700)
        return made

    def make_driver(self, driver_id: DriverId, files: Iterable[ShippedFile]) -> Path:
        """Make and return a driver's folder with the files that it needs.

        Raises:
            OSError: it cannot be made.
            ValueError: the name of a file is none.
        """
        made = self.path / checked(driver_id, "driver-")
        made.mkdir(mode=0o700, exist_ok=True)
        for file in files:
            (made / check_file_name(file.name)).write_bytes(file.data)
        return made

    def clean(self, running: Collection[str], older_than: float) -> list[str]:
        """Remove what ended long ago, and return the names.

        Args:
            running: applications and drivers whose folders stay.
            older_than: seconds since the epoch; a folder in which anything changed since then stays.
        """
        removed = []
        for folder in sorted(self.path.iterdir()):
            if not folder.name.startswith(PREFIXES) or folder.name in running or folder.is_symlink():
                continue  # the directory may hold what is not ours
            if all(changed < older_than for changed in changes(folder)):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        return removed

    def sweep(self, served: Collection[str] = ()) -> list[Path]:
        """Remove what executors left whose worker and janitor ended with them, as when a host crashes; return it.

        Args:
            served: session directories that a shuffle service serves on, which stay; those in use stay anyhow.
        """
        kept = set(map(os.path.realpath, served))
        removed = []
        for session in sorted(self.path.resolve().glob("app-*/*/minispark-*")):
            if str(session) in kept or session.resolve() != session:
                continue
            with contextlib.suppress(OSError):
                if remove_unheld(session):
                    removed.append(session)
        return removed


def checked(name: str, prefix: str) -> str:
    """Return an id that becomes the name of a folder; raises ValueError if it would lead elsewhere."""
    if not name.startswith(prefix) or os.sep in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be the name of a folder; it would have to begin with {prefix}")
    return name


def check_file_name(name: str) -> str:
    """Return the name of a file that goes into a driver's folder.

    Raises:
        ValueError: it is empty, or has directories.
    """
    if not name or os.sep in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"{name!r} is not the name of a file: it must be one without directories")
    return name


def changes(folder: Path) -> Iterator[float]:
    """Yield when a folder and all in it changed last, in seconds since the epoch."""
    try:
        facts = folder.lstat()
        yield facts.st_mtime
        if stat.S_ISDIR(facts.st_mode):
            for path in folder.iterdir():
                yield from changes(path)
    except FileNotFoundError:
        return  # somebody else removes it


def remove_session_files(folder: Path, *, served: bool) -> None:
    """Remove what an executor that has ended left in its folder, and on tmpfs: its janitor may have had no time.

    Args:
        folder: the executor's; its logs stay.
        served: whether a shuffle service goes on serving its map outputs, which stay too then.
    """
    remove_session_memory(folder)
    for session in sorted(folder.glob("minispark-*")):
        if not served:
            shutil.rmtree(session, ignore_errors=True)
            continue
        for path in sorted(session.iterdir()):
            if path.name in KEPT_FOR_READERS:
                continue
            if path.name == "blocks":
                remove_other_blocks(path)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def remove_other_blocks(folder: Path) -> None:
    """Remove blocks that nobody serves, and their folder if none is left."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(KEPT_BLOCKS):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove_session_memory(folder: Path) -> None:
    """Remove what an executor that has ended left in memory; nobody else reads that."""
    for session in sorted(folder.glob("minispark-*")):
        remove_memory(session)
