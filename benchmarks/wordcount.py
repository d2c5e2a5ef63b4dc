"""How fast a shuffle of real size is: words of at least 100 MB of text, counted by key, the 20 most frequent.

Processes are started before and stay; the files are in the page cache for both.
"""

import asyncio
import time
from operator import add, itemgetter
from pathlib import Path

from benchmarks.byhand import HandPool
from benchmarks.hand_wordcount import BEST, Pairs, pair, same_dataflow, tuned
from benchmarks.harness import Result, compare
from benchmarks.text import zipf_text
from minispark import SparkContext

__all__ = ["count_words", "run"]

SIZE = 100 << 20
QUICK_SIZE = 1 << 20
MAPS = 8
REDUCERS = 8


async def count_words(sc: SparkContext, path: Path) -> Pairs:
    """Count as a user writes it."""
    words = sc.text_file(str(path), MAPS).flat_map(str.split)
    best: Pairs = await words.map(pair).reduce_by_key(add, REDUCERS).top(BEST, key=itemgetter(1))
    return best


async def measure(pool: HandPool, path: Path, size_mb: float, quick: bool) -> Result:
    """Compare in one context and with one pool."""
    found: dict[str, Pairs] = {}

    async with SparkContext("local[2]", app_name="benchmark-wordcount") as sc:

        async def ours() -> float:
            start = time.perf_counter()
            found["ours"] = await count_words(sc, path)
            return time.perf_counter() - start

        async def by_hand() -> float:
            start = time.perf_counter()
            found["by_hand"] = same_dataflow(pool, path, MAPS, REDUCERS)
            return time.perf_counter() - start

        async def by_counter() -> float:
            start = time.perf_counter()
            found["tuned"] = tuned(pool, path)
            return time.perf_counter() - start

        details = {"size_mb": size_mb, "maps": MAPS, "reducers": REDUCERS}
        result = await compare(
            "wordcount", "s", "lower", ours=ours, by_hand=by_hand, tuned=by_counter, quick=quick, details=details
        )
    if not counts(found["ours"]) == counts(found["by_hand"]) == counts(found["tuned"]):
        raise AssertionError(f"the counts differ: {found}")
    return result


def counts(pairs: Pairs) -> list[int]:
    """Return the counts alone: words of equal count may come in any order."""
    return [count for _, count in pairs]


def run(quick: bool = False) -> Result:
    """Measure."""
    path = zipf_text(QUICK_SIZE if quick else SIZE)
    with HandPool(2) as pool:
        return asyncio.run(measure(pool, path, path.stat().st_size / 1e6, quick))
