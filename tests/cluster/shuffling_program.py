"""A program for a cluster: jobs of two shuffles each; it prints what happens and the answers.

The tests of faults run it in a process of its own and import `plain`, which computes the same without a cluster.
Its argument is the JSON of `Order`. It prints a line `event NAME …` for each event, and `answer JSON` for each job.
"""

import asyncio
import json
import logging
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from minispark import SparkConf, SparkContext
from minispark.messages.listener import ExecutorLeft, ListenerEvent

MAPS, REDUCERS, KEYS, GROUPS = 8, 6, 17, 5
TASKS = MAPS + REDUCERS + GROUPS
"""Tasks of a job, if nothing is lost."""
RECORDS = 160


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        master: the URL.
        settings: of the application.
        seed: of the records.
        jobs: how many, one after another.
        padding: bytes that each record carries through the first shuffle.
        on_demand: whether each job waits for a line on standard input; the end of the input is that of the program.
    """

    master: str
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    jobs: int = 3
    padding: int = 100
    on_demand: bool = False

    def text(self) -> str:
        return json.dumps(asdict(self))


def numbers_of(seed: int, job: int) -> list[int]:
    return [random.Random(f"{seed} {job}").randrange(10_000) + n for n in range(RECORDS)]


def plain(seed: int, jobs: int) -> list[list[Any]]:
    """Return the answers, computed without a cluster."""
    answers = []
    for job in range(jobs):
        totals: defaultdict[int, int] = defaultdict(int)
        for number in numbers_of(seed, job):
            totals[number % KEYS] += number
        groups = defaultdict(list)
        for key, total in sorted(totals.items()):
            groups[total % GROUPS].append([key, total])
        answers.append(sorted([group, members] for group, members in groups.items()))
    return answers


def slowly(records: Iterator[Any]) -> Iterator[Any]:
    """Take a while, so that faults meet a task that runs."""
    signal.sigtimedwait([], 0.02)
    return records


def padded(number: int, padding: int) -> tuple[int, tuple[int, bytes]]:
    return number % KEYS, (number, random.Random(number).randbytes(padding))


def total(values: Iterable[tuple[int, bytes]]) -> int:
    """Add the numbers up; every byte must have arrived as it was."""
    values = list(values)
    assert all(random.Random(number).randbytes(len(padding)) == padding for number, padding in values)
    return sum(number for number, _ in values)


async def run_job(sc: SparkContext, numbers: list[int], padding: int) -> list[Any]:
    records = sc.parallelize(numbers, MAPS).map_partitions(slowly).map(lambda number: padded(number, padding))
    totals = records.group_by_key(REDUCERS).map_values(total).map_partitions(slowly)
    groups = totals.map(lambda pair: (pair[1] % GROUPS, pair)).group_by_key(GROUPS).map_partitions(slowly)
    return sorted(await groups.map_values(sorted).collect())


def say(*words: str) -> None:
    """Tell the test."""
    print(*words, flush=True)  # noqa: T201  # what a program is for


class Tells:
    """Prints what happens."""

    def on_event(self, event: ListenerEvent) -> None:
        reason = event.reason if isinstance(event, ExecutorLeft) else ""
        say("event", type(event).__name__, *reason.split())


async def main(order: Order) -> None:
    async with SparkContext(order.master, conf=SparkConf(order.settings)) as sc:
        sc.add_listener(Tells())
        for job in range(order.jobs):
            if order.on_demand and not await asyncio.to_thread(sys.stdin.readline):
                break
            answer = await run_job(sc, numbers_of(order.seed, job), order.padding)
            say("answer", json.dumps(answer))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(main(Order(**json.loads(sys.argv[1]))))
