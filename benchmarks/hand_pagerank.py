"""Page rank by hand, in two processes: links are kept in lists, shares go through files as in `hand_data`.

A round is one call of each process. For each of its partitions it reads what pages received, makes ranks of that,
joins them with the links, and writes the shares, added up by page. There are two forms of how shares are made:
`same_dataflow` calls the functions that ours calls, and `tuned` is one loop without pairs and calls.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from benchmarks.byhand import HandPool
from benchmarks.data import damped, links_of, shares
from benchmarks.hand_data import Section, read_sections, shuffle, write_sections

__all__ = ["Checksum", "Send", "checksum", "rank_by_hand", "same_dataflow", "tuned"]

Checksum = tuple[int, float, float]
Links = list[tuple[int, list[int]]]
Send = Callable[[Links, dict[int, float]], dict[int, float]]

kept: dict[int, Links] = {}


def links_map(part: int, parts: int, pages: int, count: int, output: str) -> list[int]:
    """Place a part's links by their page."""
    buckets: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
    for link in links_of(part, parts, pages, count):
        buckets[hash(link[0]) % parts].append(link)
    return write_sections(output, buckets)


def keep_links(part: int, sections: Sequence[Section]) -> dict[int, float]:
    """Keep a partition's links, grouped by page; return the first ranks."""
    links = defaultdict(list)
    for batch in read_sections(sections):
        for page, target in batch:
            links[page].append(target)
    kept[part] = list(links.items())
    return dict.fromkeys(links, 1.0)


def ranks_of(sections: Sequence[Section]) -> dict[int, float]:
    """Return the ranks of a partition's pages by what they received."""
    received: dict[int, float] = {}
    for batch in read_sections(sections):
        for page, share in batch:
            received[page] = received[page] + share if page in received else share
    return {page: damped(share) for page, share in received.items()}


def same_dataflow(links: Links, ranks: dict[int, float]) -> dict[int, float]:
    """Send shares as pairs that a function makes; return them added up by page."""
    sums: dict[int, float] = {}
    for page, targets in links:
        if page in ranks:
            for target, share in shares((page, (targets, ranks[page]))):
                sums[target] = sums[target] + share if target in sums else share
    return sums


def tuned(links: Links, ranks: dict[int, float]) -> dict[int, float]:
    """Add the shares up where they are."""
    sums: defaultdict[int, float] = defaultdict(float)
    for page, targets in links:
        if page in ranks:
            share = ranks[page] / len(targets)
            for target in targets:
                sums[target] += share
    return sums


def one_round(calls: Sequence[tuple[int, list[Section], str]], send: Send, is_first: bool, parts: int) -> list[Any]:
    """Run a round for some partitions (number, what was sent to it, file to write); return where sections begin."""
    offsets = []
    for part, sections, output in calls:
        ranks = keep_links(part, sections) if is_first else ranks_of(sections)
        buckets: list[list[tuple[int, float]]] = [[] for _ in range(parts)]
        for pair in send(kept[part], ranks).items():
            buckets[hash(pair[0]) % parts].append(pair)
        offsets.append(write_sections(output, buckets))
    return offsets


def last_round(sections: Sequence[Section]) -> Checksum:
    """Return the checksum of a partition's ranks."""
    return checksum(iter(ranks_of(sections).items()))


def checksum(ranks: Iterator[tuple[int, float]]) -> Checksum:
    """Return how many pages have ranks, the sum of the ranks, and that of their products with the pages."""
    count, total, weighted = 0, 0.0, 0.0
    for page, rank in ranks:
        count += 1
        total += rank
        weighted += page * rank
    return count, total, weighted


def rank_by_hand(pool: HandPool, pages: int, count: int, parts: int, rounds: int, send: Send) -> list[Checksum]:
    """Rank; of two calls the first always goes to the first process, so each finds what it keeps."""
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:
        sections = shuffle(pool, folder, "links", links_map, [(part, parts, pages, count) for part in range(parts)])
        for number in range(rounds):
            outputs = [f"{folder}/shares-{number}-{part}" for part in range(parts)]
            calls = list(zip(range(parts), sections, outputs, strict=True))
            halves = [calls[: parts // 2], calls[parts // 2 :]]
            offsets = list(
                chain.from_iterable(pool.map(one_round, [(half, send, not number, parts) for half in halves]))
            )
            sections = [
                [(output, at[part], at[part + 1]) for output, at in zip(outputs, offsets, strict=True)]
                for part in range(parts)
            ]
        return pool.map(last_round, [(one,) for one in sections])
