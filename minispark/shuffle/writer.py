"""Writing one map output: combine if asked, partition, pickle, write. Runs in a runner, inside of a task.

Pairs are gathered by partition as columns and pickled whenever some megabytes of them are there, so that of a map
output without combining only the pickled form is held until the file is written, in the order of the partitions.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence, Sized
from itertools import filterfalse, islice
from operator import call
from typing import Any, Final

from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.partitioner import Partitioner
from minispark.shuffle.files import MapOutputFile
from minispark.shuffle.merge import NO_PAIRS, combine_values
from minispark.shuffle.pairs import Compression, dump_pairs

__all__ = ["PartitionedPairs", "write_map_output"]

CHUNK_RECORDS: Final = 512  # taken from the parent at once: too few to start the garbage collector (from 700 on)
FIRST_RECORDS: Final = 64  # and at first, when they may turn out to be large
FLUSH_BYTES: Final = 8 << 20
MOST_GATHERED: Final = 1 << 17  # pairs


class PartitionedPairs:
    """The pairs of a map output: gathered by partition, then pickled.

    Args:
        partitioner: key → partition.
        compression: frames the batches.
        fallback: pickles what the C pickler cannot.

    Attributes:
        records: how many pairs were pickled.
        chunks: the frames of each partition.
    """

    def __init__(
        self, partitioner: Partitioner, compression: Compression, fallback: Callable[[Any], bytes] | None = None
    ) -> None:
        self.partitioner = partitioner
        self.compression = compression
        self.fallback = fallback
        self.records = 0
        self.chunks: list[list[bytes]] = [[] for _ in range(partitioner.num_partitions)]
        self.keys: list[list[Any]] = [[] for _ in self.chunks]
        self.values: list[list[Any]] = [[] for _ in self.chunks]
        self.gathered = 0
        self.limit = FIRST_RECORDS

    def add_records(self, records: Iterable[tuple[Any, Any]]) -> None:
        """Take pairs, as many at a time as are small enough to be held.

        Raises:
            TypeError: a record is no pair, or the partitioner refuses a key.
            PicklingError: a key or a value cannot be pickled.
        """
        iterator = iter(records)
        while chunk := list(islice(iterator, min(CHUNK_RECORDS, self.limit))):
            try:
                keys, values = zip(*chunk, strict=True)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{NO_PAIRS}; one is {next(filterfalse(is_pair, chunk), chunk[0])!r:.80}") from error
            self.add(keys, values)

    def add(self, keys: Sequence[Any], values: Iterable[Any]) -> None:
        """Take pairs, as a column of keys and one of values.

        Raises:
            TypeError: the partitioner refuses a key.
            PicklingError: a key or a value cannot be pickled.
        """
        partitions = self.partitioner.assign(keys)
        for columns, added in ((self.keys, keys), (self.values, values)):
            # One C call per value instead of a loop's turn: 50 against 150 ns.
            deque(map(call, map([column.append for column in columns].__getitem__, partitions), added), maxlen=0)
        self.gathered += len(keys)
        if self.gathered >= self.limit:
            self.flush()

    def flush(self) -> None:
        """Pickle what is gathered."""
        size = 0
        for keys, values, chunks in zip(self.keys, self.values, self.chunks, strict=True):
            if keys:
                for _, batch in dump_pairs(keys, values, self.fallback):
                    frame = self.compression.frame(batch)
                    chunks += frame
                    size += len(batch)
                keys.clear()
                values.clear()
        self.records += self.gathered
        self.limit = max(1, min(MOST_GATHERED, self.gathered * FLUSH_BYTES // max(size, 1)))
        self.gathered = 0


def is_pair(record: Any) -> bool:
    """Tell whether a record has two parts."""
    return isinstance(record, Iterable) and isinstance(record, Sized) and len(record) == 2


def write_map_output(
    dependency: ShuffleDependency[Any, Any, Any],
    records: Iterable[tuple[Any, Any]],
    output: Callable[[], MapOutputFile],
    *,
    compress: bool,
    fallback: Callable[[Any], bytes] | None = None,
) -> tuple[list[int], int]:
    """Write one map output and return the bytes of each partition and the number of pairs written.

    Args:
        dependency: partitioner, aggregator, whether to combine.
        records: (key, value) pairs.
        output: opens the files; called when all records are in.
        compress: whether lz4 is tried.
        fallback: pickles what the C pickler cannot.

    Raises:
        TypeError: a key cannot be hashed, or a record is no pair.
        PicklingError: a key or a value cannot be pickled.
        StorageError: the disk is full.
    """
    pairs = PartitionedPairs(dependency.partitioner, Compression(compress), fallback)
    aggregator = dependency.aggregator
    if dependency.map_side_combine and aggregator is not None:
        combined = combine_values(aggregator, records)
        values = iter(combined.values())
        keys = iter(combined)
        while column := list(islice(keys, MOST_GATHERED // 4)):
            pairs.add(column, islice(values, len(column)))
    else:
        pairs.add_records(records)
    pairs.flush()
    with output() as file:
        for chunks in pairs.chunks:
            file.append(chunks)
            chunks.clear()
        return file.commit(), pairs.records
