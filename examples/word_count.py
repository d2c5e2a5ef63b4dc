"""Counts the words of Python's own standard library: real input on every machine. Run by `make demo`.

Shows a shuffle, a sort, the progress line and the table of stages; then counts again in plain Python and compares.
An argument names another folder of Python files.
"""

import asyncio
import re
import sys
import sysconfig
import time
from collections import Counter
from itertools import chain
from operator import add
from pathlib import Path

from minispark import SparkConf, SparkContext
from minispark.ui.stages import StageLog

BEST = 20
WORD = re.compile(r"[A-Za-z_]\w*")

Counts = list[tuple[str, int]]


def library_files(library: Path) -> list[Path]:
    """Return the .py files of the standard library, without packages that were installed beside it."""
    return sorted(
        path
        for path in library.rglob("*.py")
        if not {"site-packages", "dist-packages"}.intersection(path.relative_to(library).parts)
    )


def by_count(counted: tuple[str, int]) -> tuple[int, str]:
    """Order the most frequent words first, equals by the alphabet."""
    word, count = counted
    return -count, word


async def count_words(sc: SparkContext, files: list[Path]) -> Counts:
    """Count with minispark."""
    lines = sc.text_file(files).coalesce(8)
    words = lines.flat_map(WORD.findall)
    counts = words.map(lambda word: (word, 1)).reduce_by_key(add, 4)
    best: Counts = await counts.sort_by(by_count).take(BEST)
    return best


def count_plainly(files: list[Path]) -> Counts:
    """Count with a Counter."""
    counter: Counter[str] = Counter()
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as lines:
            counter.update(chain.from_iterable(map(WORD.findall, lines)))
    return sorted(counter.items(), key=by_count)[:BEST]


async def main(folder: Path) -> int:
    """Count both ways, print, compare."""
    files = library_files(folder)
    size = sum(path.stat().st_size for path in files)
    print(f"Counting the words of {len(files)} files, {size / 1e6:.1f} MB, of Python's standard library …")

    conf = SparkConf().set("minispark.ui.showConsoleProgress", True)
    stages = StageLog()
    start = time.perf_counter()
    async with SparkContext(app_name="word count", conf=conf) as sc:
        sc.add_listener(stages)
        started = time.perf_counter()
        counts = await count_words(sc, files)
        counted = time.perf_counter()

    print()
    for word, count in counts:
        print(f"{count:>9,}  {word}")
    print()
    print(stages.table())
    print()
    print(f"Started in {(started - start) * 1e3:.0f} ms, counted in {counted - started:.2f} s.")

    start = time.perf_counter()
    agree = count_plainly(files) == counts
    took = time.perf_counter() - start
    print(
        f"Counted again in plain Python, in one process, in {took:.2f} s: {'both agree' if agree else 'THEY DIFFER'}."
    )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib")))))
