"""How long 20 passes of map and sum over 2 million integers take that are kept in memory, on two cores.

By hand: two processes, each with its half in a list, and one round of both for each pass. The first pass, which makes
the lists, is measured apart, in the details.
"""

import asyncio
import time
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.harness import Result, compare
from minispark import SparkContext

__all__ = ["run"]

SIZE = 2_000_000
QUICK_SIZE = 100_000
PASSES = 20

kept: dict[tuple[int, int], list[int]] = {}


def twice(number: int) -> int:
    """Be the function that each pass maps."""
    return 2 * number + 1


def scan(start: int, end: int) -> int:
    """Go once over a half, by hand; it is made at the first time."""
    if (start, end) not in kept:
        kept[start, end] = [number + 1 for number in range(start, end)]
    return sum(map(twice, kept[start, end]))


def expect(total: int, size: int) -> None:
    """Check a pass.

    Raises:
        AssertionError: its sum is wrong.
    """
    if total != size * (size + 2):
        raise AssertionError(f"{total} instead of {size * (size + 2)}")


async def measure(quick: bool) -> Result:
    """Compare."""
    size = QUICK_SIZE if quick else SIZE
    halves = [(0, size // 2), (size // 2, size)]
    details: dict[str, Any] = {}
    with HandPool(2) as pool:
        async with SparkContext("local[2]") as sc:
            numbers = sc.range(size, num_slices=2).map(lambda number: number + 1).cache()
            start = time.perf_counter()
            expect(await numbers.map(twice).sum(), size)
            details["first_pass_s"] = time.perf_counter() - start
            start = time.perf_counter()
            expect(sum(pool.map(scan, halves)), size)
            details["first_pass_by_hand_s"] = time.perf_counter() - start

            async def ours() -> float:
                start = time.perf_counter()
                for _ in range(PASSES):
                    expect(await numbers.map(twice).sum(), size)
                return time.perf_counter() - start

            async def by_hand() -> float:
                start = time.perf_counter()
                for _ in range(PASSES):
                    expect(sum(pool.map(scan, halves)), size)
                return time.perf_counter() - start

            return await compare(
                "cached_scan", "s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details
            )


def run(quick: bool) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
