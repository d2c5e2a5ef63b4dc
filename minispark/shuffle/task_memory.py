"""How much memory an attempt's containers may hold, and which of them goes to disk when it is too much.

Each container (a dict of combined values, a list to be sorted, pickled pairs of a map output) opens an account and
tells from time to time, by a sample of its records, about how many bytes it holds. When all together hold more than
the attempt's share, the largest spills: at once if it only waits to be read, else the one that asks. Accounted bytes
decide, because what a process holds does not shrink when objects are freed; it is watched beside them, for objects
that are larger than they look. Source: Spark's TaskMemoryManager and Spillable.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import ref

from minispark.ids import TaskId
from minispark.rdd.closures import dumps_value
from minispark.rdd.ports import MutableTaskMetrics
from minispark.shuffle.pairs import Compression
from minispark.shuffle.spill_file import SpillFile

__all__ = ["FOR_CONTAINERS", "Account", "Steps", "TaskMemory", "resident_bytes"]

FOR_CONTAINERS: Final = 0.75  # of a task's memory; the rest is for batches under way, and lists and dicts that grow
DEFAULT_SHARE: Final = 256 << 20  # of an attempt whose executor says nothing
FIRST_STEP: Final = 64  # records, that may turn out to be large
LARGEST_STEP: Final = 1 << 16
STEPS_PER_SHARE: Final = 8
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
MUCH_SMALLER: Final = 4
LEAST_PART: Final = 16
GUARD_FACTOR: Final = 1.5
GUARD_SLACK: Final = 32 << 20
TRIM: Final[Callable[[int], int] | None] = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it


@dataclass(slots=True, eq=False)
class Account:
    """What one container holds.

    Attributes:
        size_bytes: about how much, when it told last.
        free: spills it although somebody else needs the memory; None: it cannot now.
        resident_bytes: what the process held when the container began to fill.
    """

    size_bytes: int = 0
    free: Callable[[], None] | None = None
    resident_bytes: int = 0


class TaskMemory:
    """The share of one attempt.

    Args:
        directory: the session directory, where spill files go.
        task_id: the attempt.
        metrics: counts what is spilled.
        share_bytes: what its containers may hold together, until the executor says something else; 0: 256 MiB.
        force_records: records after which a container spills, whatever it holds.
        compress: whether lz4 is tried on what is spilled.
        guarded: whether the memory of this process is watched; makes sense only where it is this attempt's alone.
    """

    def __init__(
        self,
        directory: str,
        task_id: TaskId,
        metrics: MutableTaskMetrics,
        share_bytes: int = 0,
        force_records: int = 1 << 62,
        *,
        compress: bool = True,
        guarded: bool = False,
    ) -> None:
        self.directory = directory
        self.task_id = task_id
        self.metrics = metrics
        self.share_bytes = share_bytes or DEFAULT_SHARE
        self.force_records = force_records
        self.compress = compress
        self.guarded = guarded
        self.accounts: list[Account] = []
        self.files: list[ref[SpillFile]] = []

    def open(self, free: Callable[[], None] | None = None) -> Account:
        """Open an account."""
        account = Account(0, free, self.settled_bytes())
        self.accounts.append(account)
        return account

    def close(self, account: Account) -> None:
        """Close an account; closing it again does nothing."""
        account.free = None
        if account in self.accounts:
            self.accounts.remove(account)
            self.tell()

    def emptied(self, account: Account) -> None:
        """Note that a container holds nothing any more, and begins anew."""
        account.size_bytes = 0
        self.tell()
        account.resident_bytes = self.settled_bytes()

    def settled_bytes(self) -> int:
        """Give back what is free and the process would keep; return what it holds then. 0: it is not watched."""
        if not self.guarded:
            return 0
        if TRIM is not None:
            TRIM(0)  # what earlier containers left, in pieces too small for this one, would come on top of its share
        return resident_bytes()

    def tell(self) -> int:
        """Tell the executor what all containers hold, hear what they may hold, and return the first."""
        held = sum(map(size_of, self.accounts))
        self.metrics.holds(held)
        share = self.metrics.memory_share()
        if share:
            self.share_bytes = int(share * FOR_CONTAINERS)
        return held

    def must_spill(self, account: Account, size_bytes: int) -> bool:
        """Take down what a container holds now, and tell whether it must spill.

        Of those that can be freed, and are not much smaller, the largest are freed first: what only waits is written
        and read once, and then is no burden any more.
        """
        account.size_bytes = size_bytes
        if size_bytes < self.share_bytes // LEAST_PART:
            return False  # a small part on disk would not help those that hold the rest
        while self.tell() > self.share_bytes:
            others = [other for other in self.accounts if other is not account and other.free is not None]
            largest = max(others, key=size_of, default=None)
            if largest is None or largest.free is None or largest.size_bytes * MUCH_SMALLER < size_bytes:
                return True
            largest.free()
            self.emptied(largest)
        return self.guarded and self.outgrown(account)

    def outgrown(self, account: Account) -> bool:
        """Tell whether the process has grown by much more than the share since a container began to fill.

        Objects may be larger than they look. What was freed before does not count, so this does not fire for ever.
        """
        return resident_bytes() - account.resident_bytes > GUARD_FACTOR * self.share_bytes + GUARD_SLACK

    def new_file(self) -> SpillFile:
        """Open a file to spill to.

        Raises:
            StorageError: the directory cannot be written to.
        """
        file = SpillFile(self.directory, self.task_id)
        self.files.append(ref(file))
        return file

    def close_files(self) -> None:
        """Close what is open of an attempt that failed: its error may keep those alive who read them."""
        for known in self.files:
            file = known()
            if file is not None:
                file.close()

    def spilled(self, size_bytes: int) -> None:
        """Count bytes that were spilled."""
        self.metrics.spilled_bytes += size_bytes

    def compression(self) -> Compression:
        """Return what frames the batches of one spill file."""
        return Compression(self.compress)

    @staticmethod
    def fallback(value: Any) -> bytes:
        """Pickle what the C pickler cannot."""
        return dumps_value(value)


class Steps:
    """How many records a container takes before it looks at its size again: few, then an eighth of the share.

    Args:
        memory: the share.

    Attributes:
        size: of the next step, in records.
        taken: records since the container was empty.
    """

    def __init__(self, memory: TaskMemory) -> None:
        self.memory = memory
        self.size = min(FIRST_STEP, memory.force_records)
        self.taken = 0

    def took(self, size_bytes: int) -> None:
        """Note that a step was taken, and what the container holds now."""
        self.taken += self.size
        fitting = self.memory.share_bytes // STEPS_PER_SHARE * self.taken // max(size_bytes, 1)
        self.size = min(max(1, fitting), 8 * self.size, LARGEST_STEP, self.memory.force_records)

    @property
    def forced(self) -> bool:
        """Whether the container spills because of the number of its records."""
        return self.taken >= self.memory.force_records


def size_of(account: Account) -> int:
    """Return what an account holds."""
    return account.size_bytes


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[1]) * PAGE_BYTES
