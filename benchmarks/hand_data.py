"""The same dataflows by hand as group, sort and join have: pickled batches in files by reducer, dicts and lists.

What somebody writes with multiprocessing who knows the data and needs it once: no combining where nothing combines,
no memory bound, no retries. Map tasks write one file with a section for each reducer, reducers read their sections.
"""

import os
import pickle
import tempfile
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.counted import Counted, summed
from benchmarks.data import group_pairs, join_pairs, pair_sum, sort_records

__all__ = [
    "Section", "group_by_hand", "join_by_hand", "read_sections", "shuffle", "sort_by_hand", "write_sections",
]  # fmt: skip

BATCH = 1000
Section = tuple[str, int, int]


def write_sections(output: str, buckets: Sequence[list[Any]]) -> list[int]:
    """Write a map task's file; return where its sections begin, and the end."""
    offsets = [0]
    with open(output + ".unfinished", "wb") as file:
        for bucket in buckets:
            for start in range(0, len(bucket), BATCH):
                data = pickle.dumps(bucket[start : start + BATCH], 5)
                file.write(b"%8d%8x" % (len(data), zlib.crc32(data)) + data)
            offsets.append(file.tell())
    os.rename(output + ".unfinished", output)
    return offsets


def read_sections(sections: Sequence[Section]) -> Iterator[list[Any]]:
    """Yield the batches of sections."""
    for output, start, stop in sections:
        with open(output, "rb") as file:
            file.seek(start)
            while start < stop:
                length, checksum = int(file.read(8)), int(file.read(8), 16)
                data = file.read(length)
                if zlib.crc32(data) != checksum:
                    raise OSError(f"{output} is damaged")
                yield pickle.loads(data)
                start += 16 + length


def place_pairs(pairs: Iterable[tuple[int, int]], reducers: int, output: str) -> list[int]:
    """Write pairs by the hash of their keys."""
    buckets: list[list[tuple[int, int]]] = [[] for _ in range(reducers)]
    for pair in pairs:
        buckets[hash(pair[0]) % reducers].append(pair)
    return write_sections(output, buckets)


def group_map(part: int, parts: int, count: int, reducers: int, output: str) -> list[int]:
    """Place a part's pairs."""
    return place_pairs(group_pairs(part, parts, count), reducers, output)


def group_reduce(sections: Sequence[Section]) -> tuple[int, int]:
    """Group, and return the number of groups and a checksum of them."""
    groups = defaultdict(list)
    for batch in read_sections(sections):
        for key, value in batch:
            groups[key].append(value)
    return len(groups), sum(pair_sum(key, len(values)) for key, values in groups.items())


def join_map(side: int, part: int, parts: int, count: int, reducers: int, output: str) -> list[int]:
    """Place a part of one side."""
    return place_pairs(join_pairs(side, part, parts, count), reducers, output)


def join_reduce(left: Sequence[Section], right: Sequence[Section]) -> tuple[int, int]:
    """Join, and return the number of pairs and a checksum of them."""
    lefts = defaultdict(list)
    for batch in read_sections(left):
        for key, value in batch:
            lefts[key].append(value)
    count = total = 0
    for batch in read_sections(right):
        for key, value in batch:
            for other in lefts.get(key, ()):
                count += 1
                total += pair_sum(other, value)
    return count, total


def sort_map(part: int, parts: int, count: int, bounds: list[str], output: str) -> list[int]:
    """Place a part's records by their range."""
    buckets: list[list[str]] = [[] for _ in range(len(bounds) + 1)]
    for record in sort_records(part, parts, count):
        buckets[bisect_left(bounds, record)].append(record)
    return write_sections(output, buckets)


def sort_sample(part: int, parts: int, count: int) -> list[str]:
    """Return some records of a part."""
    return list(sort_records(part, parts, count))[::1000]


def sort_reduce(sections: Sequence[Section], output: str) -> int:
    """Sort a range and write it as lines; return how many."""
    records = [record for batch in read_sections(sections) for record in batch]
    records.sort()
    with open(output, "w", encoding="utf-8") as file:
        file.writelines(record + "\n" for record in records)
    return len(records)


def shuffle(
    pool: HandPool, folder: str, name: str, map_task: Callable[..., list[int]], calls: list[tuple[Any, ...]]
) -> list[list[Section]]:
    """Run map tasks, each with a file as its last argument; return the sections of each reducer."""
    outputs = [f"{folder}/{name}-{number}" for number in range(len(calls))]
    offsets = pool.map(map_task, [(*call, output) for call, output in zip(calls, outputs, strict=True)])
    reducers = len(offsets[0]) - 1
    return [
        [(output, at[reducer], at[reducer + 1]) for output, at in zip(outputs, offsets, strict=True)]
        for reducer in range(reducers)
    ]


def group_by_hand(pool: HandPool, count: int, maps: int, reducers: int) -> Counted:
    """Group."""
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:
        calls = [(part, maps, count, reducers) for part in range(maps)]
        sections = shuffle(pool, folder, "group", group_map, calls)
        found = pool.map(group_reduce, [(one,) for one in sections])
    return summed(found)


def join_by_hand(pool: HandPool, count: int, maps: int, reducers: int) -> Counted:
    """Join."""
    parts = range(maps)
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:
        sides = [
            shuffle(pool, folder, f"join-{side}", join_map, [(side, part, maps, count, reducers) for part in parts])
            for side in (0, 1)
        ]
        found = pool.map(join_reduce, list(zip(*sides, strict=True)))
    return summed(found)


def sort_by_hand(pool: HandPool, count: int, maps: int, reducers: int, target: str) -> None:
    """Sort into the files of a folder."""
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:
        sample = sorted(chain.from_iterable(pool.map(sort_sample, [(part, maps, count) for part in range(maps)])))
        bounds = [sample[len(sample) * place // reducers] for place in range(1, reducers)]
        sections = shuffle(pool, folder, "sort", sort_map, [(part, maps, count, bounds) for part in range(maps)])
        pool.map(sort_reduce, [(one, f"{target}/part-{place:05d}") for place, one in enumerate(sections)])
