"""One page of memory that a runner process and its executor share: what goes on in there right now.

The pool makes it before the fork and maps it; the runner maps it too. Each field is an aligned 64-bit integer with
one writer, so there is nothing to lock. Every runner gets a page of its own: a dead one cannot write into another's.
"""

import mmap
import os
from typing import Self

from minispark.ids import TaskId

__all__ = ["COUNTERS", "SharedPage"]

PAGE_BYTES = 4096
TASK_ID = 0
BEGUN = 1
FIRST_COUNTER = 2
COUNTERS = (
    "records_read",
    "shuffle_read_bytes",
    "shuffle_read_records",
    "shuffle_write_bytes",
    "shuffle_write_records",
    "spilled_bytes",
)
HELD = FIRST_COUNTER + len(COUNTERS)  # bytes that the attempt's containers hold
SHARE = HELD + 1  # bytes that they may hold; written by the executor; 0: what the settings say
ZEROS = memoryview(bytes(8 * (len(COUNTERS) + 1))).cast("q")


class SharedPage:
    """The page, from either side.

    Args:
        fd: a descriptor of the page's memory file; it is mapped, and stays the caller's to close.

    Attributes:
        words: the page as signed 64-bit integers.
    """

    def __init__(self, fd: int) -> None:
        self.mapping = mmap.mmap(fd, PAGE_BYTES)
        self.words = memoryview(self.mapping).cast("q")

    @classmethod
    def create(cls) -> tuple[Self, int]:
        """Return a fresh page (nothing runs, all counters 0) and the descriptor to hand to the runner."""
        fd = os.memfd_create("minispark-runner-page", os.MFD_CLOEXEC)
        os.ftruncate(fd, PAGE_BYTES)
        page = cls(fd)
        page.words[TASK_ID] = page.words[BEGUN] = -1
        return page, fd

    def begin(self, task_id: TaskId) -> None:
        """Say that this attempt runs now; its counters start at 0."""
        words = self.words
        words[TASK_ID] = -1
        words[FIRST_COUNTER:SHARE] = ZEROS
        words[TASK_ID] = words[BEGUN] = task_id

    def end(self) -> None:
        """Say that nothing runs."""
        self.words[TASK_ID] = -1

    @staticmethod
    def place_of(counter: str) -> int:
        """Return which of the page's words is a counter."""
        return FIRST_COUNTER + COUNTERS.index(counter)

    @property
    def task_id(self) -> TaskId | None:
        """The attempt that runs, None if there is none."""
        value = self.words[TASK_ID]
        return TaskId(value) if value >= 0 else None

    @property
    def begun(self) -> int:
        """The attempt that was begun last, −1 if none was."""
        return self.words[BEGUN]

    @property
    def held_bytes(self) -> int:
        """What the containers of the attempt that runs hold, as far as it has told."""
        return self.words[HELD] if self.words[TASK_ID] >= 0 else 0

    def counters(self, task_id: TaskId) -> dict[str, int] | None:
        """Return the attempt's counters by name, or None if it is not the one that runs."""
        values = self.values()
        return dict(zip(COUNTERS, values, strict=True)) if self.task_id == task_id else None

    def values(self) -> list[int]:
        """Return all counters, in the order of `COUNTERS`, which is that of the last fields of `TaskMetrics`."""
        return self.words[FIRST_COUNTER : FIRST_COUNTER + len(COUNTERS)].tolist()

    def detach(self) -> None:
        """Go on with a page that nobody else sees."""
        self.words = memoryview(bytearray(PAGE_BYTES)).cast("q")

    def close(self) -> None:
        """Unmap the page."""
        self.words.release()
        self.mapping.close()
