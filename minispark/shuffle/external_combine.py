"""Combining values by key when they do not fit into memory. Called by `writer`, and by `access` for readers.

A dict is filled by the aggregator's own loop, some thousand records a call, and looked at between the calls. While it
fits, nothing else happens. A map output's dict that does not fit is emptied into the output, because readers combine
again. A reader's dict is divided by a hash of its keys into buckets on disk; when all records are in, each bucket is
combined by itself, divided again with another hash if it does not fit either. So no order of keys is needed, equal
hashes are no special case, and values stay in the order in which they came. Source: Spark's ExternalAppendOnlyMap.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, Final, TypeAlias

from minispark.rdd.aggregator import Aggregator, ListAggregator
from minispark.shuffle.external_lists import ListsOnDisk, in_parts
from minispark.shuffle.merge import combine_into
from minispark.shuffle.pairs import load_pairs, read_frames
from minispark.shuffle.partitioned_pairs import PartitionedPairs
from minispark.shuffle.spill_file import SegmentReader
from minispark.shuffle.task_memory import Account, Steps, TaskMemory
from minispark.shuffle.waiting import hand_out
from minispark.storage.size_estimator import estimate_bytes

__all__ = ["Loop", "Source", "combine_records", "gather"]

Loop: TypeAlias = Callable[[Any, dict[Any, Any]], None]
"""A loop of an aggregator, which combines pairs into a dict."""
Source: TypeAlias = tuple[Loop, Iterable[tuple[Any, Any]]]
"""Pairs, and how they are combined."""

BUCKETS: Final = 32
DEEPEST: Final = 4  # what still does not fit when it was divided so often is as good as one key
FEW_KEYS: Final = 256  # groups that are so large go to disk one by one
SAMPLED: Final = 8  # at either end of a dict
LIST_BYTES: Final = 112  # of a list without its items, with the room that it keeps for more
END: Final[Any] = object()


class Gathering:
    """A dict that is filled.

    Args:
        memory: the attempt's share.
        aggregator: how values are combined.
        make_room: takes the dict's content when it is too much; None: nobody does.
    """

    def __init__(
        self,
        memory: TaskMemory,
        aggregator: Aggregator[Any, Any],
        make_room: Callable[[dict[Any, Any]], None] | None,
    ) -> None:
        self.memory = memory
        self.aggregator = aggregator
        self.make_room = make_room
        self.account: Account = memory.open()
        self.steps = Steps(memory)
        self.combined: dict[Any, Any] = {}

    def add(self, loop: Loop, records: Iterable[tuple[Any, Any]]) -> None:
        """Combine pairs into the dict.

        Raises:
            TypeError: a key cannot be hashed, or a record is no pair.
            StorageError: there is no room on disk either.
        """
        iterator = iter(records)
        while True:
            combine_into(loop, islice(iterator, self.steps.size), self.combined)
            first = next(iterator, END)
            if first is END:
                return
            combine_into(loop, (first,), self.combined)
            self.look()

    def end(self) -> dict[Any, Any]:
        """Hand over the dict, after a last look at what it holds."""
        if self.steps.taken:
            self.account.size_bytes = held_bytes(self.combined, self.aggregator)
        combined, self.combined = self.combined, {}
        return combined

    def look(self) -> None:
        """Estimate what the dict holds, and make room if that is too much."""
        size = held_bytes(self.combined, self.aggregator)
        self.steps.took(size)
        must_spill = self.memory.must_spill(self.account, size)
        if (must_spill or self.steps.forced) and self.make_room is not None:
            self.account.size_bytes = 0  # or who takes the content would find memory full
            self.make_room(self.combined)
            self.steps.taken = 0
            self.memory.emptied(self.account)


def held_bytes(combined: dict[Any, Any], aggregator: Aggregator[Any, Any]) -> int:
    """Return about how many bytes a dict of combined values takes: by those at its ends, and all items of lists."""
    ends = [*islice(combined.items(), SAMPLED), *islice(reversed(combined.items()), SAMPLED)]
    if not ends:
        return 0
    size, count = sys.getsizeof(combined), len(combined)
    keys = estimate_bytes([key for key, _ in ends]) * count // len(ends)
    if not isinstance(aggregator, ListAggregator):
        return size + keys + estimate_bytes([value for _, value in ends]) * count // len(ends)
    lists = list(chain.from_iterable(aggregator.lists_of(value) for _, value in ends))
    last = [values[-1] for values in lists if values]
    items = estimate_bytes(last) * aggregator.count(combined.values()) // max(len(last), 1)
    return size + keys + count * LIST_BYTES * len(lists) // len(ends) + items


def gather(
    memory: TaskMemory,
    aggregator: Aggregator[Any, Any],
    records: Iterable[tuple[Any, Any]],
    output: PartitionedPairs,
) -> None:
    """Combine a map output's values, as far as memory reaches: a key comes again if its dict had to be emptied.

    Args:
        memory: the attempt's share.
        aggregator: how values are combined.
        records: pairs.
        output: gets keys and combined values.
    """

    def empty(combined: dict[Any, Any]) -> None:
        output.add_columns(*in_parts(aggregator, combined))
        combined.clear()
        output.flush()  # what it gathers it gathers by reference: a good part of the dict's values would stay

    gathering = Gathering(memory, aggregator, empty)
    gathering.add(aggregator.combine_values, records)
    empty(gathering.combined)
    memory.close(gathering.account)


def combine_records(
    memory: TaskMemory, aggregator: Aggregator[Any, Any], sources: Sequence[Source]
) -> Iterator[tuple[Any, Any]]:
    """Yield the combined value of each key, when asked for the first.

    While all fits into memory, keys come in the order in which they came first.

    Args:
        memory: the attempt's share.
        aggregator: merges combined values, which may have been apart on disk.
        sources: the pairs, one source after the other.

    Raises:
        TypeError: a key cannot be hashed, or a record is no pair.
        StorageError: there is no room on disk either.
    """
    return chain.from_iterable(Combining(memory, aggregator, 0).runs(sources))


class BucketOf:
    """Divides keys by their hash, independently of reducers and of other levels."""

    num_partitions = BUCKETS

    def __init__(self, level: int) -> None:
        self.shift = 8 * level

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        """Return the bucket of each key."""
        # A tuple's hash mixes that of its parts, at C speed; each level looks at other bits of it.
        return [(mixed >> self.shift) % BUCKETS for mixed in map(hash, zip(keys, repeat(None), strict=False))]


class Buckets(PartitionedPairs):
    """Pairs on disk, by bucket."""

    def __init__(self, memory: TaskMemory, level: int) -> None:
        super().__init__(BucketOf(level), memory.compression(), memory.fallback, memory)

    def must_spill(self) -> bool:
        """Hold nothing: it is here because memory is full."""
        return True

    def pairs(self, bucket: int) -> Iterator[tuple[Any, Any]]:
        """Yield a bucket's pairs in the order in which they came."""
        for segment in self.segments.pop(bucket, ()):
            assert self.file is not None
            for batch in read_frames(SegmentReader(self.file, segment), segment[1]):
                yield from zip(*load_pairs(batch), strict=True)


class Combining:
    """Combines what belongs together: all of a reducer's pairs, or those of one bucket.

    Args:
        memory: the attempt's share.
        aggregator: merges combined values.
        level: how often the pairs were divided before.
    """

    def __init__(self, memory: TaskMemory, aggregator: Aggregator[Any, Any], level: int) -> None:
        self.memory = memory
        self.aggregator = aggregator
        self.level = level
        self.buckets: Buckets | None = None
        self.lists: ListsOnDisk | None = None
        can_divide = level < DEEPEST or isinstance(aggregator, ListAggregator)
        self.gathering = Gathering(memory, aggregator, self.make_room if can_divide else None)

    def runs(self, sources: Iterable[Source]) -> Iterator[Iterable[tuple[Any, Any]]]:
        """Combine the sources, and yield the result in pieces."""
        gathering = self.gathering
        for loop, records in sources:
            gathering.add(loop, records)
        combined = gathering.end()
        if self.buckets is None:
            pairs = combined.items() if self.lists is None else self.lists.whole(combined)
            can_wait = self.lists is None
            del combined
            yield from hand_out(self.memory, gathering.account, pairs, can_wait=can_wait)
            return
        self.divide(combined)
        self.memory.close(gathering.account)
        del combined
        for bucket in range(BUCKETS):
            inner = Combining(self.memory, self.aggregator, self.level + 1)
            yield from inner.runs([(self.aggregator.combine_combiners, self.buckets.pairs(bucket))])

    def make_room(self, combined: dict[Any, Any]) -> None:
        """Move what was combined to disk: by bucket, or list by list where few groups are that large."""
        aggregator = self.aggregator
        if self.lists is None and isinstance(aggregator, ListAggregator) and self.helps_little(combined):
            self.lists = ListsOnDisk(self.memory, aggregator)
        if self.lists is None:
            self.divide(combined)
        else:
            self.lists.move(combined)

    def helps_little(self, combined: dict[Any, Any]) -> bool:
        """Tell whether the next level would hardly hold more groups at once than this one."""
        return self.level >= DEEPEST or (self.level > 0 and self.buckets is None and len(combined) < FEW_KEYS)

    def divide(self, combined: dict[Any, Any]) -> None:
        """Move the pairs of a dict to the buckets."""
        if self.buckets is None:
            self.buckets = Buckets(self.memory, self.level)
        self.buckets.add_columns(*in_parts(self.aggregator, combined))
        combined.clear()
        self.buckets.flush()
