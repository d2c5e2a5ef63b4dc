"""Records that are ready and wait to be read: they go to disk if somebody else in the task needs their memory.

Used by `external_combine` and `external_sort` for what they hold when all their records are in.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

from minispark.shuffle.pairs import read_frames
from minispark.shuffle.spill_file import Segment, SegmentReader, SpillFile
from minispark.shuffle.task_memory import Account, TaskMemory
from minispark.storage.batches import BATCH_RECORDS, dump_batches, load_batch

__all__ = ["hand_out"]

SMALL_PART: Final = 8  # less than this part of a share may wait as it is


def hand_out(
    memory: TaskMemory, account: Account, records: Iterable[Any], *, can_wait: bool = True
) -> Iterator[Iterable[Any]]:
    """Yield records in pieces, and let go of them; closes the account.

    Args:
        memory: the attempt's share.
        account: of the container that holds the records.
        records: whoever calls keeps no other reference to them.
        can_wait: whether they may be written to disk.
    """
    if not can_wait or account.size_bytes < memory.share_bytes // SMALL_PART:
        yield records  # as they are: no Python code runs between them
    else:
        waiting = Waiting(memory, account, iter(records))
        del records
        yield from waiting.pieces()
    memory.close(account)


class Waiting:
    """Records that can be spilled between two pieces.

    Args:
        memory: the attempt's share.
        account: of the container that holds the records.
        records: the only reference to them.
    """

    def __init__(self, memory: TaskMemory, account: Account, records: Iterator[Any]) -> None:
        self.memory = memory
        self.records: Iterator[Any] | None = records
        self.file: SpillFile | None = None
        self.segment: Segment = (0, 0)
        account.free = self.spill

    def pieces(self) -> Iterator[Iterable[Any]]:
        """Yield the records, from memory as long as they are there."""
        while self.records is not None and (piece := list(islice(self.records, BATCH_RECORDS))):
            yield piece
        self.records = None
        if self.file is not None:
            yield from map(load_batch, read_frames(SegmentReader(self.file, self.segment), self.segment[1]))

    def spill(self) -> None:
        """Write what was not read yet."""
        rest, self.records = self.records, None
        if rest is None:
            return
        self.file, compression = self.memory.new_file(), self.memory.compression()
        batches = dump_batches(rest, fallback=self.memory.fallback)
        self.segment = self.file.append(chain.from_iterable(map(compression.frame, batches)))
        self.memory.spilled(self.segment[1])
