"""Sorting what does not fit into memory: sorted runs on disk, merged. Called by `access` for sort_by_key and sort_by.

Runs are merged a batch of each at a time: what is not above the smallest of their last records is ready, and one call
of `sort` puts it in order, at C speed, because it merges runs that it finds. Equal records keep their order. Source:
Spark's ExternalSorter.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from minispark.shuffle.pairs import read_frames
from minispark.shuffle.spill_file import Segment, SegmentReader, SpillFile
from minispark.shuffle.task_memory import Steps, TaskMemory
from minispark.shuffle.waiting import hand_out
from minispark.storage.batches import dump_batches, load_batch
from minispark.storage.size_estimator import estimate_bytes

__all__ = ["sort_records"]

SORTING_BYTES: Final = 32  # a record's places in the list and among the keys while it is sorted
MERGED_BYTES: Final = 1 << 20  # about what a batch takes as objects
FEWEST_MERGED: Final = 4
MOST_MERGED: Final = 64

KeyFunction = Callable[[Any], Any]


def sort_records(
    memory: TaskMemory, records: Iterable[Any], key: KeyFunction, *, reverse: bool = False
) -> Iterator[Any]:
    """Yield records in order, equal ones in the order in which they come; all are taken when the first is asked for.

    Args:
        memory: the attempt's share.
        records: what is sorted.
        key: what of a record is compared.
        reverse: the greatest first.

    Raises:
        StorageError: there is no room on disk.
    """
    return chain.from_iterable(Sorting(memory, key, reverse).pieces(records))


class Sorting:
    """Sorts; the parameters are those of `sort_records`."""

    def __init__(self, memory: TaskMemory, key: KeyFunction, reverse: bool) -> None:
        self.memory = memory
        self.key = key
        self.reverse = reverse
        self.account = memory.open()
        self.steps = Steps(memory)
        self.compression = memory.compression()
        self.file: SpillFile | None = None
        self.runs: list[Segment] = []

    def pieces(self, records: Iterable[Any]) -> Iterator[Iterable[Any]]:
        """Yield the records in order, in pieces."""
        held = self.gather(iter(records))
        if not self.runs:
            held.sort(key=self.key, reverse=self.reverse)
            ready = iter(held)
            del held
            yield from hand_out(self.memory, self.account, ready)
            return
        if held:
            self.spill(held)
        del held
        self.memory.close(self.account)
        widest = min(MOST_MERGED, max(FEWEST_MERGED, self.memory.share_bytes // MERGED_BYTES))
        while len(self.runs) > widest:
            groups = [self.runs[start : start + widest] for start in range(0, len(self.runs), widest)]
            self.runs = [self.write(chain.from_iterable(self.merged(group))) for group in groups]
        yield from self.merged(self.runs)

    def gather(self, records: Iterator[Any]) -> list[Any]:
        """Take all records and spill whenever they are too many; return those that are left."""
        held: list[Any] = []
        size = 0
        while True:
            before = len(held)
            held += islice(records, self.steps.size)
            taken = len(held) - before
            if taken < self.steps.size and not self.steps.taken:
                return held
            size += estimate_bytes(held[before:]) + SORTING_BYTES * taken
            if taken < self.steps.size:
                self.account.size_bytes = size
                return held
            self.steps.took(size)
            if self.memory.must_spill(self.account, size) or self.steps.forced:
                self.spill(held)
                size = self.steps.taken = 0

    def spill(self, held: list[Any]) -> None:
        """Sort records and write them as a run."""
        held.sort(key=self.key, reverse=self.reverse)
        self.runs.append(self.write(held))
        held.clear()
        self.memory.emptied(self.account)

    def write(self, ordered: Iterable[Any]) -> Segment:
        """Write sorted records and return where they are."""
        if self.file is None:
            self.file = self.memory.new_file()
        batches = dump_batches(ordered, fallback=self.memory.fallback)
        segment = self.file.append(chain.from_iterable(map(self.compression.frame, batches)))
        self.memory.spilled(segment[1])
        return segment

    def merged(self, segments: Sequence[Segment]) -> Iterator[list[Any]]:
        """Yield the records of several runs in order, in pieces."""
        assert self.file is not None
        opened = [Run(self.file, segment, self.key, self.reverse) for segment in segments]
        runs = [run for run in opened if run.load()]
        pick = max if self.reverse else min
        while len(runs) > 1:
            bound = pick(run.last for run in runs)
            first = next(place for place, run in enumerate(runs) if run.last is bound)
            ready: list[Any] = []
            for place, run in enumerate(runs):
                # Of those after the first, equal records wait for those that the first may still have.
                ready += run.take(bound, including_equal=place <= first)
            ready.sort(key=self.key, reverse=self.reverse)
            yield ready
            runs = [run for run in runs if run.keys or run.load()]
        for run in runs:
            yield from run.rest()


class Run:
    """A sorted run being read, a batch at a time.

    Args:
        file: where it is.
        segment: and where there.
        key: what of a record is compared.
        reverse: whether the greatest comes first.

    Attributes:
        keys: of the records that were loaded and not taken.
        last: the last of the keys.
    """

    def __init__(self, file: SpillFile, segment: Segment, key: KeyFunction, reverse: bool) -> None:
        self.batches = map(load_batch, read_frames(SegmentReader(file, segment), segment[1]))
        self.key = key
        self.reverse = reverse
        self.records: list[Any] = []
        self.keys: list[Any] = []
        self.last: Any = None

    def load(self) -> bool:
        """Load the next batch; False if there is none."""
        self.records = next(self.batches, [])
        self.keys = list(map(self.key, self.records))
        if self.keys:
            self.last = self.keys[-1]
        return bool(self.keys)

    def take(self, bound: Any, *, including_equal: bool) -> list[Any]:
        """Take the records that come before a bound, or are equal to it."""
        count = self.count_before(bound, including_equal)
        taken = self.records[:count]
        del self.records[:count], self.keys[:count]
        return taken

    def count_before(self, bound: Any, including_equal: bool) -> int:
        """Return how many of the loaded records come before a bound."""
        if including_equal and self.last is bound:
            return len(self.keys)  # whatever keys do that compare inconsistently: of one run all are taken
        if not self.reverse:
            return (bisect_right if including_equal else bisect_left)(self.keys, bound)
        ascending = self.keys[::-1]
        return len(ascending) - (bisect_left if including_equal else bisect_right)(ascending, bound)

    def rest(self) -> Iterator[list[Any]]:
        """Yield what is left, in pieces."""
        yield self.records
        yield from self.batches
