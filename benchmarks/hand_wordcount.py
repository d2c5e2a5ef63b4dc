"""Word count by hand, twice: the same dataflow as the engine's, and the best hand-tuned form.

The same dataflow: splits of the file, fused iterators, pairs combined by the user's function in a dict, hashed to
reducers, pickled batches in files, read and combined again, the best of each reducer merged by the driver. Tuned:
what somebody writes who counts words and nothing else (`Counter` at C speed, no shuffle).
"""

import heapq
import os
import pickle
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice, pairwise
from operator import add, itemgetter
from pathlib import Path

from benchmarks.byhand import HandPool

__all__ = ["BEST", "same_dataflow", "splits", "tuned"]

BEST = 20
BLOCK = 1 << 20
BATCH = 1000

Pairs = list[tuple[str, int]]


def splits(path: Path, count: int) -> list[tuple[Path, int, int]]:
    """Cut a file at line ends into ranges of about the same size."""
    size = path.stat().st_size
    edges = [0]
    with path.open("rb") as file:
        for part in range(1, count):
            file.seek(size * part // count)
            file.readline()
            edges.append(file.tell())
    edges.append(size)
    return [(path, start, stop) for start, stop in pairwise(edges)]


def blocks(path: Path, start: int, stop: int) -> Iterator[str]:
    """Yield a range's text in blocks that end with a line."""
    with path.open("rb") as file:
        file.seek(start)
        rest = b""
        while start < stop:
            data = file.read(min(BLOCK, stop - start))
            start += len(data)
            whole, newline, rest_after = (rest + data).rpartition(b"\n")
            rest = rest_after
            yield (whole + newline).decode()
        if rest:
            yield rest.decode()


def lines(path: Path, start: int, stop: int) -> Iterator[str]:
    """Yield a range's lines."""
    return chain.from_iterable(map(str.splitlines, blocks(path, start, stop)))


def pair(word: str) -> tuple[str, int]:
    """Count a word once."""
    return word, 1


def combine(pairs: Iterator[tuple[str, int]], function: Callable[[int, int], int]) -> dict[str, int]:
    """Add up by key with the user's function."""
    combined: dict[str, int] = {}
    for key, value in pairs:
        try:
            combined[key] = function(combined[key], value)
        except KeyError:
            combined[key] = value
    return combined


def map_task(
    path: Path, start: int, stop: int, reducers: int, output: str, function: Callable[[int, int], int]
) -> list[int]:
    """Count a range into a file of one section per reducer; return where the sections begin, and the end."""
    words = chain.from_iterable(map(str.split, lines(path, start, stop)))
    combined = combine(map(pair, words), function)
    buckets: list[Pairs] = [[] for _ in range(reducers)]
    for item in combined.items():
        buckets[hash(item[0]) % reducers].append(item)
    offsets = [0]
    with open(output + ".unfinished", "wb") as file:
        for bucket in buckets:
            records = iter(bucket)
            while batch := list(islice(records, BATCH)):
                data = pickle.dumps(batch, 5)
                file.write(b"%8d%8x" % (len(data), zlib.crc32(data)) + data)
            offsets.append(file.tell())
    os.rename(output + ".unfinished", output)
    return offsets


def section(output: str, start: int, stop: int) -> Iterator[tuple[str, int]]:
    """Yield the pairs of one section of a map task's file."""
    with open(output, "rb") as file:
        file.seek(start)
        while start < stop:
            length, checksum = int(file.read(8)), int(file.read(8), 16)
            data = file.read(length)
            if zlib.crc32(data) != checksum:
                raise OSError(f"{output} is damaged")
            yield from pickle.loads(data)
            start += 16 + length


def reduce_task(sections: list[tuple[str, int, int]], function: Callable[[int, int], int]) -> Pairs:
    """Combine a reducer's sections and return the most frequent words."""
    combined = combine(chain.from_iterable(section(*place) for place in sections), function)
    return heapq.nlargest(BEST, combined.items(), key=itemgetter(1))


def same_dataflow(pool: HandPool, path: Path, maps: int, reducers: int) -> Pairs:
    """Count as the engine does."""
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:
        outputs = [f"{folder}/{index}" for index in range(maps)]
        calls = [(*split, reducers, output, add) for split, output in zip(splits(path, maps), outputs, strict=True)]
        offsets = pool.map(map_task, calls)
        tasks = [
            ([(output, at[reducer], at[reducer + 1]) for output, at in zip(outputs, offsets, strict=True)], add)
            for reducer in range(reducers)
        ]
        best = chain.from_iterable(pool.map(reduce_task, tasks))
        return heapq.nlargest(BEST, best, key=itemgetter(1))


def count_range(path: Path, start: int, stop: int) -> Counter[str]:
    """Count a range at C speed."""
    return Counter(chain.from_iterable(map(str.split, blocks(path, start, stop))))


def tuned(pool: HandPool, path: Path) -> Pairs:
    """Count as fast as bare Python can with these processes."""
    total: Counter[str] = Counter()
    for counted in pool.map(count_range, splits(path, len(pool.processes))):
        total.update(counted)
    return total.most_common(BEST)
