"""Estimates π by throwing darts at a square: tasks that only compute. `python examples/pi.py [DARTS]`."""

import asyncio
import random
import sys

from minispark import SparkContext

PARTITIONS = 8


def hits(seed: int, darts: int) -> int:
    """Throw darts at the unit square; return how many landed within the quarter circle."""
    chance = random.Random(seed)
    return sum(chance.random() ** 2 + chance.random() ** 2 <= 1 for _ in range(darts))


async def main(darts: int) -> None:
    """Throw from all partitions at once."""
    share = darts // PARTITIONS
    async with SparkContext("local[*]", app_name="pi") as sc:
        inside = await sc.range(PARTITIONS, num_slices=PARTITIONS).map(lambda seed: hits(seed, share)).sum()
    print(f"π is about {4 * inside / (share * PARTITIONS):.4f}, by {share * PARTITIONS:,} darts")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000))
