"""The data of group, sort, join and page rank: made in the tasks, the same for ours and by hand; its checksums."""

import random
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "KEYS", "damped", "group_pairs", "join_pairs", "lines_sum", "links_of", "pair_sum", "shares", "sort_records",
    "span",
]  # fmt: skip

KEYS = 100_000
PRIME = 2_654_435_761


def span(part: int, parts: int, count: int) -> range:
    """Return the numbers of a part of `count` numbers."""
    return range(count * part // parts, count * (part + 1) // parts)


def group_pairs(part: int, parts: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield a part's pairs: keys of 100,000 that come in no order."""
    return ((number * PRIME % 4_294_967_291 % KEYS, number) for number in span(part, parts, count))


def join_pairs(side: int, part: int, parts: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield a part's pairs: each key once on each side, in an order of its own."""
    factor = (PRIME, 40_503)[side]
    return ((number * factor % count, number) for number in span(part, parts, count))


def sort_records(part: int, parts: int, count: int) -> Iterator[str]:
    """Yield a part's records: 100 characters, that differ in the first ten."""
    draw = random.Random(part).randrange
    filling = "x" * 90
    return (f"{draw(10_000_000_000):010d}{filling}" for _ in span(part, parts, count))


def links_of(part: int, parts: int, pages: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield a part's links: pairs of a page and the page it links to, more of them to pages of low number."""
    draw = random.Random(part).random
    return ((int(pages * draw()), int(pages * draw() ** 2)) for _ in span(part, parts, count))


def shares(page: tuple[int, tuple[list[int], float]]) -> list[tuple[int, float]]:
    """Split a page's rank among the pages it links to."""
    _, (targets, rank) = page
    share = rank / len(targets)
    return [(target, share) for target in targets]


def damped(received: float) -> float:
    """Turn what a page received into its rank."""
    return 0.15 + 0.85 * received


def pair_sum(left: int, right: int) -> int:
    """Return what a pair adds to a checksum."""
    return (left * 31 + right * 17) % 1_000_003


def lines_sum(folder: Path) -> tuple[int, int, bool]:
    """Return how many lines the files of a folder have, their checksum, and whether they are in order."""
    count = total = 0
    in_order, before = True, ""
    for path in sorted(folder.glob("part-*")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                count += 1
                total += int(line[:10])
                in_order = in_order and before <= line
                before = line
    return count, total, in_order
