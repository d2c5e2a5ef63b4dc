"""Lists of values too large for memory: what `group_by_key` and `cogroup` give for a key with very many values.

Such a group is no list any more, but something that reads its values from a file, as often as it is iterated over.
Used by `external_combine`. Source: PySpark's ExternalListOfList.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from minispark.rdd.aggregator import Aggregator, ListAggregator
from minispark.shuffle.pairs import read_frames
from minispark.shuffle.spill_file import Segment, SegmentReader, SpillFile
from minispark.shuffle.task_memory import TaskMemory
from minispark.storage.batches import dump_batches, load_batch

__all__ = ["DiskList", "ListsOnDisk", "in_parts"]

LONG: Final = 4096  # values; longer lists are written in parts, so that nobody must load one at once


class DiskList(Iterable[Any]):
    """The values of one key, in their order, on disk but for the last; iterable again and again, and sized.

    Pickled it becomes the list that it stands for.

    Args:
        file: where the values are.
    """

    def __init__(self, file: SpillFile) -> None:
        self.file = file
        self.segments: list[Segment] = []
        self.num_written = 0
        self.rest: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        batches = chain.from_iterable(
            read_frames(SegmentReader(self.file, segment), segment[1]) for segment in self.segments
        )
        return chain(chain.from_iterable(map(load_batch, batches)), self.rest)

    def __len__(self) -> int:
        return self.num_written + len(self.rest)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    def __repr__(self) -> str:
        return f"<{len(self)} values on disk>"


class ListsOnDisk:
    """The lists of a dict's groups that were moved to disk.

    Args:
        memory: the attempt's share.
        aggregator: tells which lists a group has.
    """

    def __init__(self, memory: TaskMemory, aggregator: ListAggregator[Any]) -> None:
        self.memory = memory
        self.aggregator = aggregator
        self.file = memory.new_file()
        self.compression = memory.compression()
        self.moved: dict[Any, list[DiskList]] = {}

    def move(self, combined: dict[Any, Any]) -> None:
        """Empty the longer half of the lists of a dict's groups, which stay where they are."""
        lists_of = self.aggregator.lists_of
        average = self.aggregator.count(combined.values()) / sum(len(lists_of(group)) for group in combined.values())
        for key, group in combined.items():
            for place, values in enumerate(lists_of(group)):
                if values and len(values) >= average:
                    self.write(self.list_of(key, place, group), values)
                    values.clear()

    def list_of(self, key: Any, place: int, group: Any) -> DiskList:
        """Return what stands for one of a group's lists."""
        lists = self.moved.get(key)
        if lists is None:
            self.moved[key] = lists = [DiskList(self.file) for _ in self.aggregator.lists_of(group)]
        return lists[place]

    def write(self, there: DiskList, values: list[Any]) -> None:
        """Append values to those on disk."""
        batches = dump_batches(values, fallback=self.memory.fallback)
        segment = self.file.append(chain.from_iterable(map(self.compression.frame, batches)))
        there.segments.append(segment)
        there.num_written += len(values)
        self.memory.spilled(segment[1])

    def whole(self, combined: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
        """Yield the groups of a dict with all their values."""
        aggregator, moved = self.aggregator, self.moved
        for key, group in combined.items():
            lists = moved.pop(key, None)
            if lists is None:
                yield key, group
                continue
            for there, rest in zip(lists, aggregator.lists_of(group), strict=True):
                there.rest = rest
            yield key, aggregator.group_of([there if there.num_written else there.rest for there in lists])


def in_parts(aggregator: Aggregator[Any, Any], combined: dict[Any, Any]) -> tuple[Iterable[Any], Iterable[Any]]:
    """Return a dict's keys and combined values as columns; groups with long lists come in several parts."""
    if not isinstance(aggregator, ListAggregator) or aggregator.longest(combined.values()) <= LONG:
        return combined.keys(), combined.values()
    keys, groups = [], []
    for key, group in combined.items():
        for part in parts_of(aggregator, group):
            keys.append(key)
            groups.append(part)
    return keys, groups


def parts_of(aggregator: ListAggregator[Any], group: Any) -> Iterator[Any]:
    """Yield a group as groups of short lists, which in this order make it again."""
    lists = aggregator.lists_of(group)
    for start in range(0, max(1, *map(len, lists)), LONG):
        yield aggregator.group_of([values[start : start + LONG] for values in lists])
