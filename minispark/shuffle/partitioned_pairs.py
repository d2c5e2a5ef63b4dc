"""Pairs gathered by partition as columns, pickled whenever some megabytes of them are there, spilled if need be.

What a map output is made of (`writer`), and what `external_combine` divides its pairs with. Of pairs that are not
combined only the pickled form is held; when it passes the attempt's share of the memory, it goes to a spill file,
partition by partition.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import chain, filterfalse, islice
from operator import call
from typing import Any, Final, Protocol

from minispark.shuffle.merge import NO_PAIRS
from minispark.shuffle.pairs import Compression, dump_columns
from minispark.shuffle.spill_file import Segment, SegmentReader, SpillFile
from minispark.shuffle.task_memory import TaskMemory

__all__ = ["MOST_GATHERED", "Assigner", "PartitionedPairs"]

CHUNK_RECORDS: Final = 512  # taken from the parent at once: too few to start the garbage collector (from 700 on)
FIRST_RECORDS: Final = 64  # and at first, when they may turn out to be large
FLUSH_BYTES: Final = 8 << 20
FLUSHES_PER_SHARE: Final = 16  # as objects, what is gathered takes several times its pickled size
MOST_GATHERED: Final = 1 << 17  # pairs
SHARE_PER_PAIR: Final = 512  # bytes of the share for one more pair; as objects, two small numbers take 80
COPIED_AT_ONCE: Final = 1 << 20


class Assigner(Protocol):
    """What of a partitioner is needed here."""

    @property
    def num_partitions(self) -> int:
        """How many partitions there are."""

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        """Return the partition of each key."""


class PartitionedPairs:
    """The pairs of a map output: gathered by partition, then pickled.

    Args:
        partitioner: key → partition.
        compression: frames the batches.
        fallback: pickles what the C pickler cannot.
        memory: the attempt's share; None: everything is held.

    Attributes:
        records: how many pairs were pickled.
        chunks: the frames of each partition that are held.
        segments: where in the spill file those are that came before.
    """

    def __init__(
        self,
        partitioner: Assigner,
        compression: Compression,
        fallback: Callable[[Any], bytes] | None = None,
        memory: TaskMemory | None = None,
    ) -> None:
        self.partitioner = partitioner
        self.compression = compression
        self.fallback = fallback
        self.memory = memory
        self.account = None if memory is None else memory.open(self.spill)
        share_bytes = 1 << 62 if memory is None else memory.share_bytes
        self.flush_bytes = min(FLUSH_BYTES, share_bytes // FLUSHES_PER_SHARE)
        self.most_gathered = min(MOST_GATHERED, share_bytes // SHARE_PER_PAIR)
        self.records = 0
        self.chunks: list[list[bytes]] = [[] for _ in range(partitioner.num_partitions)]
        self.keys: list[list[Any]] = [[] for _ in self.chunks]
        self.values: list[list[Any]] = [[] for _ in self.chunks]
        # These lists stay, and so do their methods, which are made once.
        self.append_key = [column.append for column in self.keys].__getitem__
        self.append_value = [column.append for column in self.values].__getitem__
        self.gathered = 0
        self.limit = FIRST_RECORDS
        self.held_bytes = 0
        self.file: SpillFile | None = None
        self.segments: dict[int, list[Segment]] = {}

    def add_records(self, records: Iterable[tuple[Any, Any]]) -> None:
        """Take pairs, as many at a time as are small enough to be held.

        Raises:
            TypeError: a record is no pair, or the partitioner refuses a key.
            PicklingError: a key or a value cannot be pickled.
            StorageError: the disk is full.
        """
        iterator = iter(records)
        while chunk := list(islice(iterator, min(CHUNK_RECORDS, self.limit))):
            try:
                keys, values = zip(*chunk, strict=True)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{NO_PAIRS}; one is {next(filterfalse(is_pair, chunk), chunk[0])!r:.80}") from error
            self.add(keys, values)

    def add_columns(self, keys: Iterable[Any], values: Iterable[Any]) -> None:
        """Take pairs, as two iterables of the same length, as many at a time as may be gathered."""
        keys, values = iter(keys), iter(values)
        while column := list(islice(keys, max(1, min(MOST_GATHERED // 4, self.limit - self.gathered)))):
            self.add(column, islice(values, len(column)))

    def add(self, keys: Sequence[Any], values: Iterable[Any]) -> None:
        """Take pairs, as a column of keys and one of values.

        Raises:
            TypeError: the partitioner refuses a key.
            PicklingError: a key or a value cannot be pickled.
            StorageError: the disk is full.
        """
        partitions = self.partitioner.assign(keys)
        # One C call per value instead of a loop's turn: 50 against 150 ns.
        deque(map(call, map(self.append_key, partitions), keys), maxlen=0)
        deque(map(call, map(self.append_value, partitions), values), maxlen=0)
        self.gathered += len(keys)
        if self.gathered >= self.limit:
            self.flush()

    def flush(self) -> None:
        """Pickle what is gathered, and spill if it is too much."""
        size = 0
        for keys, values, chunks in zip(self.keys, self.values, self.chunks, strict=True):
            if keys:
                for batch in dump_columns(keys, values, self.fallback):
                    frame = self.compression.frame(batch)
                    chunks += frame
                    size += len(batch)
                    self.held_bytes += len(frame[1])
                keys.clear()
                values.clear()
        self.records += self.gathered
        self.limit = max(1, min(self.most_gathered, self.gathered * self.flush_bytes // max(size, 1)))
        self.gathered = 0
        if size and self.must_spill():
            self.spill()

    def must_spill(self) -> bool:
        """Tell whether what is pickled must go to disk."""
        if self.memory is None or self.account is None:
            return False
        return self.memory.must_spill(self.account, self.held_bytes)

    def spill(self) -> None:
        """Write what is pickled to the spill file, a segment a partition."""
        assert self.memory is not None
        assert self.account is not None
        if self.file is None:
            self.file = self.memory.new_file()
        for partition, chunks in enumerate(self.chunks):
            if chunks:
                self.segments.setdefault(partition, []).append(self.file.append(chunks))
                chunks.clear()
        self.memory.spilled(self.held_bytes)
        self.held_bytes = 0
        self.memory.emptied(self.account)

    def take(self, partition: int) -> Iterable[bytes]:
        """Return the bytes of a partition, what was spilled first, and let go of them."""
        chunks, self.chunks[partition] = self.chunks[partition], []
        segments = self.segments.pop(partition, None)
        return chunks if segments is None else chain(self.spilled(segments), chunks)

    def spilled(self, segments: Iterable[Segment]) -> Iterator[bytes]:
        """Yield the bytes of segments of the spill file."""
        for segment in segments:
            assert self.file is not None
            reader = SegmentReader(self.file, segment)
            while data := reader.read(COPIED_AT_ONCE):
                yield data


def is_pair(record: Any) -> bool:
    """Tell whether a record has two parts."""
    return isinstance(record, Iterable) and isinstance(record, Sized) and len(record) == 2
