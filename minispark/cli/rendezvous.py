"""Where the nodes of `minispark run` find each other: a directory that all of them see, of this user alone.

It holds who is which rank (for launchers that do not say), where the master of rank 0 is, with the secret of this
run's cluster, and how the program ended. Rank 0 removes it at the end.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from minispark.deploy.secrets import read_private
from minispark.errors import ConfigurationError

__all__ = ["Meeting", "Rendezvous", "job_of", "rank_of"]

RANKS: Final = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
JOBS: Final = (("SLURM_JOB_ID", "SLURM_STEP_ID"), ("PMIX_NAMESPACE",), ("OMPI_MCA_ess_base_jobid",))
MAX_SIZE: Final = 4096


def rank_of(environment: Mapping[str, str]) -> int | None:
    """Return the rank that srun or mpirun gave this process; None: there was none of them."""
    return next((int(environment[name]) for name in RANKS if environment.get(name, "").isdigit()), None)


def job_of(environment: Mapping[str, str]) -> str | None:
    """Return a name that the processes of one srun or mpirun share, and no others; None: there is none."""
    for names in JOBS:
        if all(environment.get(name) for name in names):
            text = "-".join(environment[name] for name in names)
            return "".join(letter if letter.isalnum() else "-" for letter in text)
    return None


@dataclass(frozen=True)
class Meeting:
    """What rank 0 tells the others.

    Attributes:
        master: host:port of the master.
        secret: of this run's cluster.
        name: of this run, told from what an earlier one left.
    """

    master: str
    secret: bytes
    name: str


class Rendezvous:
    """The directory.

    Args:
        path: made if it is not there.

    Raises:
        ConfigurationError: it cannot be made, or is another user's, who could read what is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = path.stat()
        except OSError as error:
            raise ConfigurationError(f"cannot meet in {path}: {error.strerror}") from None
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ConfigurationError(f"cannot meet in {path}: others can write to it; `chmod 700 {path}`, or another")

    def claim_rank(self, count: int) -> int:
        """Return a rank that no other process has.

        Raises:
            ConfigurationError: all are taken.
        """
        for rank in range(count):
            try:
                os.close(os.open(self.path / f"rank-{rank}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            return rank
        raise ConfigurationError(f"all {count} places in {self.path} are taken; if an earlier run left it, remove it")

    def open(self, meeting: Meeting) -> None:
        """Tell the others."""
        values = {"master": meeting.master, "secret": meeting.secret.hex(), "name": meeting.name}
        self.write("meeting", json.dumps(values))

    def meeting(self) -> Meeting | None:
        """Return what rank 0 told; None: nothing yet.

        Raises:
            ConfigurationError: others could have written or read it.
        """
        if not (self.path / "meeting").exists():
            return None
        values = json.loads(read_private(self.path / "meeting", MAX_SIZE))
        return Meeting(values["master"], bytes.fromhex(values["secret"]), values["name"])

    def end(self, meeting: Meeting, code: int) -> None:
        """Tell the others that the program has ended."""
        self.write(f"ended-{meeting.name}", str(code))

    def ended(self, meeting: Meeting) -> int | None:
        """Return the program's exit code; None: it has not ended."""
        path = self.path / f"ended-{meeting.name}"
        return int(path.read_text()) if path.exists() else None

    def leave(self, rank: int) -> None:
        """Say that this rank has read the end; a rank 0 that waits no more has removed everything."""
        with contextlib.suppress(FileNotFoundError):
            self.write(f"left-{rank}", "")

    def number_left(self) -> int:
        """Return how many ranks have said so."""
        return len(list(self.path.glob("left-*")))

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, text: str) -> None:
        """Write a file, for this user alone, that is never seen half."""
        draft = self.path / f".{name}.draft"
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        draft.rename(self.path / name)
