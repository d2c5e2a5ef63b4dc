"""What a cluster costs a shuffle of real size: the words of `wordcount`, counted by 2 workers × 1 core on loopback.

The limit is the same program in `local[2]`. Contexts are started, and warm, before the clock runs.
"""

import asyncio
import time
from pathlib import Path

from benchmarks.daemons import Daemons
from benchmarks.hand_wordcount import Pairs
from benchmarks.harness import Result, compare
from benchmarks.text import zipf_text
from benchmarks.wordcount import QUICK_SIZE, SIZE, count_words
from minispark import SparkConf, SparkContext

__all__ = ["run"]


async def timed(conf: SparkConf, path: Path) -> tuple[float, Pairs]:
    """Count in a context of its own; return the seconds of the counting alone, and what came of it."""
    async with SparkContext(conf=conf) as sc:
        await sc.parallelize(range(4), 4).count()
        start = time.perf_counter()
        pairs = await count_words(sc, path)
        return time.perf_counter() - start, pairs


async def measure(daemons: Daemons, path: Path, quick: bool) -> Result:
    """Compare."""
    found: dict[str, Pairs] = {}

    async def ours() -> float:
        took, found["ours"] = await timed(daemons.conf(), path)
        return took

    async def local() -> float:
        took, found["local"] = await timed(SparkConf().set_master("local[2]"), path)
        return took

    result = await compare("cluster_wordcount", "s", "lower", ours=ours, by_hand=local, quick=quick)
    if [count for _, count in found["ours"]] != [count for _, count in found["local"]]:
        raise AssertionError(f"the counts differ: {found}")
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    path = zipf_text(QUICK_SIZE if quick else SIZE)
    with Daemons() as daemons:
        return asyncio.run(measure(daemons, path, quick))
