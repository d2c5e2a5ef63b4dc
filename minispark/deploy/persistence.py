"""Where masters keep what they must not forget, and where they agree who leads: RecoveryStore, and files for it.

All methods block: the Master endpoint and the election call them off the loop. The directory may be shared by the
masters of several machines; `docs/decisions/0008-a-leader-owns-the-records.md` says why it is used as it is:

    term-0000000007/    made by whoever leads in term 7: making a directory is what only one can do
        leader          who that is, and its beat
        lock            locked while its process lives: for masters on the same machine
        records/        app_…, driver_…, worker_…: one file each; moved here from the term before

Source: Spark's PersistenceEngine, FileSystemPersistenceEngine, ZooKeeperLeaderElectionAgent.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from minispark.deploy.logic.effects import Forget, Persist
from minispark.deploy.logic.election import Claim
from minispark.deploy.record_file import read_record, record_bytes
from minispark.errors import LeadershipLost, RecoveryStateError
from minispark.messages.deploy_records import ClusterEntry
from minispark.rpc.logic.shapes import BindRef

__all__ = ["FileStore", "RecoveryStore"]

TERM = re.compile(r"term-(\d{10})")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class RecoveryStore(Protocol):
    """What masters share: the terms of leaders, and the records of the one that leads.

    Raises:
        OSError: the place cannot be reached now.
        LeadershipLost: the term that a method is told is not the highest any more.
        RecoveryStateError: what is there cannot be used.
    """

    def latest(self) -> Claim | None:
        """Return the highest claim; None if there never was one."""

    def claim(self, term: int, holder: str) -> bool:
        """Claim a term; return False if another has it."""

    def renew(self, term: int, beat: int) -> None:
        """Show that the leader of a term lives."""

    def resign(self, term: int) -> None:
        """Say that the leader of a term does not lead any more."""

    def load(self, term: int, bind: BindRef) -> tuple[ClusterEntry, ...]:
        """Take the records over from the term before, and return them; that one can write no more."""

    def write(self, term: int, changes: Sequence[Persist | Forget]) -> None:
        """Change records, in order; they are safe when it returns."""


class FileStore:
    """A RecoveryStore in a directory; one object for one master.

    Args:
        directory: made with its parents if it is missing; may be a symbolic link.

    Raises:
        RecoveryStateError: it cannot be made or used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock_fd: int | None = None
        self.holder = ""
        self.boot_id = BOOT_ID.read_text().strip()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RecoveryStateError(
                f"the recovery directory {directory} cannot be made: {error.strerror}; "
                f"set minispark.deploy.recoveryDirectory to one that can"
            ) from error

    # -- who leads -----------------------------------------------------------------------------------------------

    def latest(self) -> Claim | None:
        """Return the highest claim; None if there never was one."""
        term = max(self.terms(), default=None)
        if term is None:
            return None
        try:
            note = json.loads((self.place(term) / "leader").read_bytes())
            beat, holder, resigned, locked_on = (note[key] for key in ("beat", "holder", "resigned", "locked_on"))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            # It was claimed a moment ago, or its leader died at once; or the machine did before the note was on disk.
            return Claim(term, -1)
        is_over = resigned or (locked_on == self.boot_id and self.holder_is_dead(term))
        return Claim(term, beat, holder, is_over)

    def terms(self) -> Iterator[int]:
        """Return the terms that were claimed and not cleaned up."""
        return (int(match[1]) for match in map(TERM.fullmatch, os.listdir(self.directory)) if match)

    def place(self, term: int) -> Path:
        """Return the directory of a term."""
        return self.directory / f"term-{term:010}"

    def holder_is_dead(self, term: int) -> bool:
        """Tell whether the process on this machine that leads in a term is gone: the kernel let its lock go."""
        try:
            fd = os.open(self.place(term) / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(fd)

    def claim(self, term: int, holder: str) -> bool:
        """Claim a term; return False if another has it."""
        place = self.place(term)
        try:
            place.mkdir(mode=0o700)
        except FileExistsError:
            return False
        sync_directory(self.directory)
        self.holder = holder
        self.lock(place / "lock")  # before the note says so
        self.write_note(term, 0)
        return True

    def lock(self, path: Path) -> None:
        """Hold a lock as long as this process lives; on a filesystem without locks nobody's death is seen early."""
        self.unlock()
        self.lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()

    def unlock(self) -> None:
        """Let the lock go, if there is one."""
        if self.lock_fd is not None:
            os.close(self.lock_fd)
            self.lock_fd = None

    def renew(self, term: int, beat: int) -> None:
        """Show that the leader of a term lives."""
        self.expect_highest(term)
        self.write_note(term, beat)

    def expect_highest(self, term: int) -> None:
        """Raise LeadershipLost if another term was claimed since."""
        highest = max(self.terms(), default=0)
        if highest != term:
            raise LeadershipLost(f"another master leads in term {highest}, this one did in term {term}")

    def resign(self, term: int) -> None:
        """Say that the leader of a term does not lead any more."""
        self.write_note(term, -1, resigned=True)
        self.unlock()

    def write_note(self, term: int, beat: int, *, resigned: bool = False) -> None:
        """Say who leads; others must see it soon, but no crash of the machine needs to be outlived by it."""
        locked_on = "" if self.lock_fd is None else self.boot_id
        note = {"holder": self.holder, "beat": beat, "locked_on": locked_on, "resigned": resigned}
        replace_file(self.place(term) / "leader", json.dumps(note).encode(), durable=False)

    # -- records -------------------------------------------------------------------------------------------------

    def load(self, term: int, bind: BindRef) -> tuple[ClusterEntry, ...]:
        """Take the records over from the term before, and return them; that one can write no more."""
        self.expect_highest(term)
        records = self.take_records(term)
        for stale in [each for each in self.terms() if each < term]:
            shutil.rmtree(self.place(stale), ignore_errors=True)
        names = sorted(name for name in os.listdir(records) if not name.startswith("."))
        return tuple(read_record(records / name, bind) for name in names)

    def take_records(self, term: int) -> Path:
        """Move the records to a term's directory; return where they are."""
        records = self.place(term) / "records"
        while True:
            before = next(
                (each for each in sorted(self.terms(), reverse=True) if (self.place(each) / "records").exists()), None
            )
            try:
                if before is None:
                    records.mkdir(mode=0o700)
                elif before < term:
                    os.rename(self.place(before) / "records", records)
                    sync_directory(self.place(before))
                elif before > term:
                    raise LeadershipLost(f"the master of term {before} has the records")
            except FileNotFoundError:
                continue  # another claimant took them a moment before
            sync_directory(self.place(term))
            return records

    def write(self, term: int, changes: Sequence[Persist | Forget]) -> None:
        """Change records, in order; they are safe when it returns."""
        records = self.place(term) / "records"
        for change in changes:
            match change:
                case Persist():
                    path = records / change.entry.key
                    if change.is_new and path.exists():
                        raise RecoveryStateError(
                            f"{path} exists already, and this master did not write it; is another program using "
                            f"the directory? Move the file away and start the master again"
                        )
                    replace_file(path, record_bytes(change.entry), durable=True)
                case Forget():
                    (records / change.key).unlink(missing_ok=True)
        sync_directory(records)


def replace_file(path: Path, content: bytes, *, durable: bool) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    made = path.with_name(f".{path.name}")
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(fd)
    os.replace(made, path)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory outlive a crash of the machine."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
