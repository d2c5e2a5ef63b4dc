"""Reads a web server's log, generated here: status codes, the busiest hour, the slowest pages.

Shows text files, records of a class of one's own, several jobs at the same time, and saving.
`python examples/log_analysis.py [LINES]`.
"""

import asyncio
import random
import re
import sys
import tempfile
from dataclasses import dataclass
from operator import add, itemgetter
from pathlib import Path

from minispark import SparkContext

PAGES = ("/", "/cart", "/help", "/item", "/login", "/search")
LINE = re.compile(r'(?P<host>\S+) \[(?P<hour>\d\d):\d\d\] "GET (?P<page>\S+)" (?P<status>\d+) (?P<ms>\d+)')


@dataclass(frozen=True)
class Request:
    """One line of the log."""

    host: str
    hour: int
    page: str
    status: int
    ms: int


def write_log(path: Path, lines: int) -> None:
    """Write a log; about one line of a thousand is damaged."""
    chance = random.Random(404)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(lines):
            hour = min(23, max(0, round(chance.gauss(14, 4))))
            page = chance.choice(PAGES)
            status = chance.choices((200, 304, 404, 500), (90, 6, 3, 1))[0]
            ms = round(chance.lognormvariate(3 + PAGES.index(page) / 3, 0.5))
            line = (
                f'10.0.0.{chance.randrange(256)} [{hour:02}:{chance.randrange(60):02}] "GET {page}" {status} {ms}\n'
            )
            file.write(line if chance.random() > 0.001 else line[: len(line) // 2] + "\n")


def parse(line: str) -> list[Request]:
    """Return the request of a line; none if it is damaged."""
    match = LINE.fullmatch(line)
    if match is None:
        return []
    return [Request(match["host"], int(match["hour"]), match["page"], int(match["status"]), int(match["ms"]))]


def add_pairs(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Add up sums and counts."""
    return one[0] + other[0], one[1] + other[1]


async def main(lines: int) -> None:
    """Ask four questions at once, and keep the errors."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "access.log")
        write_log(log, lines)
        async with SparkContext("local[*]", app_name="log analysis") as sc:
            requests = sc.text_file(str(log), 4).flat_map(parse)
            total, by_status, by_hour, by_page = await asyncio.gather(
                requests.count(),
                requests.map(lambda request: request.status).count_by_value(),
                requests.map(lambda request: (request.hour, 1)).reduce_by_key(add).max(key=itemgetter(1)),
                requests.map(lambda request: (request.page, (request.ms, 1))).reduce_by_key(add_pairs).collect(),
            )
            errors = requests.filter(lambda request: request.status >= 500)
            await errors.map(str).save_as_text_file(f"{folder}/errors")
            saved = await sc.text_file(f"{folder}/errors").count()

    print(f"{total:,} requests, {lines - total:,} damaged lines")
    print("status    " + ", ".join(f"{status}: {count:,}" for status, count in sorted(by_status.items())))
    print(f"busiest   {by_hour[0]:02}:00, {by_hour[1]:,} requests")
    for page, (ms, count) in sorted(by_page, key=lambda found: -found[1][0] / found[1][1]):
        print(f"{page:<9} {ms / count:6.1f} ms on average")
    print(f"errors    {saved:,} saved")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
