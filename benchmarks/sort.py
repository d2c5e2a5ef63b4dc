"""How fast a global sort is: two million records of 100 bytes, saved to files in order."""

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.data import lines_sum, sort_records
from benchmarks.hand_data import sort_by_hand
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run", "save_sorted"]

COUNT = 2_000_000
QUICK_COUNT = 20_000
MAPS = 8
REDUCERS = 8


def records_of(count: int, maps: int, part: int, records: Any) -> Any:
    """Make a part's records."""
    return sort_records(part, maps, count)


def itself(record: str) -> str:
    """Sort by the whole record."""
    return record


async def save_sorted(sc: SparkContext, count: int, maps: int, reducers: int, target: Path) -> None:
    """Sort as a user writes it."""
    records = sc.parallelize(range(maps), maps).map_partitions_with_index(partial(records_of, count, maps))
    await records.sort_by(itself, num_partitions=reducers).save_as_text_file(str(target))


async def measure(pool: HandPool, count: int, quick: bool, folder: Path) -> Result:
    """Compare in one context and with one pool."""
    runs = iter(range(100))
    found: dict[str, Path] = {}

    async with SparkContext("local[2]", app_name="benchmark-sort") as sc:

        async def ours() -> float:
            target = found["ours"] = folder / f"ours-{next(runs)}"
            start = time.perf_counter()
            await save_sorted(sc, count, MAPS, REDUCERS, target)
            return time.perf_counter() - start

        async def by_hand() -> float:
            target = found["by_hand"] = folder / f"by-hand-{next(runs)}"
            target.mkdir()
            start = time.perf_counter()
            sort_by_hand(pool, count, MAPS, REDUCERS, str(target))
            return time.perf_counter() - start

        details = {"records": count, "maps": MAPS, "reducers": REDUCERS}
        result = await compare("sort", "s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)
    sums = {name: lines_sum(target) for name, target in found.items()}
    if sums["ours"] != sums["by_hand"] or not sums["ours"][2]:
        raise AssertionError(f"the sorted files differ: {sums}")
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    with HandPool(2) as pool, tempfile.TemporaryDirectory(prefix="benchmark-sort-") as folder:
        return asyncio.run(measure(pool, QUICK_COUNT if quick else COUNT, quick, Path(folder)))
