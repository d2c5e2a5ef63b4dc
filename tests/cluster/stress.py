"""What the stress tests run: random jobs whose answers are known, and a ledger of what a process holds."""

import asyncio
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from minispark.context import SparkContext
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.rdd import RDD
from tests.contexts import session_directory

__all__ = ["Boom", "Ledger", "Stress", "factor"]

SOAK = os.environ.get("MINISPARK_SOAK") == "1"
DEFAULT_EXECUTOR_THREADS = 8  # the loop's own, which come and stay


class Boom(Exception):
    """What tasks raise now and then."""


def factor(short: int, soak: int) -> int:
    """Return how much of something a run does."""
    return soak if SOAK else short


def now_and_then(rate: float, seed: int) -> Callable[[int, Iterator[int]], Iterator[int]]:
    """Return a function for partitions that fails some attempts; each attempt has chance of its own."""

    def function(partition: int, records: Iterator[int]) -> Iterator[int]:
        if random.random() < rate:
            raise Boom(f"partition {partition} of {seed}")
        return records

    return function


class Stress:
    """Random jobs of one context, checked against plain Python.

    Args:
        sc: the context.
        seed: of all that is drawn.
        failure_rate: of the attempts of some jobs.
        cancel_rate: of awaits that are cancelled within a few milliseconds.
        at_once: jobs under way at once.
    """

    def __init__(
        self, sc: SparkContext, seed: int, *, failure_rate: float = 0.1, cancel_rate: float = 0.2, at_once: int = 16
    ) -> None:
        self.sc = sc
        self.rng = random.Random(seed)
        self.failure_rate = failure_rate
        self.cancel_rate = cancel_rate
        self.limit = asyncio.Semaphore(at_once)
        self.outcomes: Counter[str] = Counter()
        words = [self.rng.randrange(30) for _ in range(300)]
        self.shared = self.counts_of(words, 4)
        self.shared_answer = Counter(words)
        self.kinds: list[Callable[[list[int], int], Coroutine[Any, Any, None]]] = [
            self.mapped, self.counted, self.shuffled, self.over_a_shared_shuffle, self.taken, self.failing,
        ]  # fmt: skip

    def counts_of(self, words: list[int], slices: int) -> RDD[tuple[int, int]]:
        """Return the RDD of how often each word occurs."""
        return self.sc.parallelize(words, slices).map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b, 3)

    async def mapped(self, data: list[int], slices: int) -> None:
        """Compare a map."""
        assert await self.sc.parallelize(data, slices).map(lambda n: 2 * n).collect() == [2 * n for n in data]

    async def counted(self, data: list[int], slices: int) -> None:
        """Compare a count."""
        assert await self.sc.parallelize(data, slices).count() == len(data)

    async def shuffled(self, data: list[int], slices: int) -> None:
        """Compare counts by key, over a shuffle of their own."""
        assert dict(await self.counts_of(data, slices).collect()) == Counter(data)

    async def over_a_shared_shuffle(self, data: list[int], slices: int) -> None:
        """Compare a job over the shuffle that other jobs use at the same time."""
        assert await self.shared.map_values(lambda n: n + 1).collect_as_map() == {
            word: count + 1 for word, count in self.shared_answer.items()
        }

    async def taken(self, data: list[int], slices: int) -> None:
        """Compare the first few, which are several jobs."""
        assert await self.sc.parallelize(data, slices).take(3) == data[:3]

    async def failing(self, data: list[int], slices: int) -> None:
        """Compare a job whose attempts fail now and then."""
        function = now_and_then(self.failure_rate, self.rng.randrange(1 << 30))
        assert await self.sc.parallelize(data, slices).map_partitions_with_index(function).collect() == data

    async def one(self) -> None:
        """Run a job: it gives the right answer, fails as its code does, or is cancelled half-way."""
        rng = self.rng
        async with self.limit:
            data = [rng.randrange(50) for _ in range(rng.randrange(150))]
            job = asyncio.ensure_future(rng.choice(self.kinds)(data, rng.randrange(1, 6)))
            if rng.random() < self.cancel_rate:
                await asyncio.sleep(rng.random() * 0.03)  # a random moment of the job is what is tested
                job.cancel()
            (outcome,) = await asyncio.gather(job, return_exceptions=True)
        if isinstance(outcome, BaseException) and not isinstance(outcome, Boom | asyncio.CancelledError):
            raise outcome
        self.outcomes[type(outcome).__name__] += 1

    async def expect_no_files_but_the_shared(self) -> None:
        """Wait until nothing is left of the jobs but the shuffle that is still referred to; assert that it comes."""
        (shared,) = (
            dependency.shuffle_id
            for dependency in self.shared.node.dependencies
            if isinstance(dependency, ShuffleDependency)
        )
        session = session_directory(self.sc)
        gc.collect()
        for _ in range(3000):  # files go in a thread, without an event: look again, for a minute at most
            names = [path.name for path in session.glob("*/*")]
            if all(name.startswith(f"shuffle_{shared}_") for name in names):
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(f"left over beside shuffle {shared}: {names}")
        assert len(names) <= 8, names  # data and index of four maps

    async def run(self, jobs: int) -> None:
        """Run many jobs."""
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(self.one())


class Ledger(NamedTuple):
    """What this process holds."""

    fds: int
    threads: int
    children: int

    @classmethod
    def now(cls) -> "Ledger":
        """Count."""
        gc.collect()
        children = len(psutil.Process().children(recursive=True))
        return cls(len(os.listdir("/proc/self/fd")), threading.active_count(), children)

    def expect_unchanged(self, folder: Path) -> None:
        """Assert that nothing was left behind: in this process, of it, or in the folder of session directories."""
        now = Ledger.now()
        assert (now.fds, now.children) == (self.fds, self.children)
        assert now.threads <= self.threads + DEFAULT_EXECUTOR_THREADS
        assert list(folder.iterdir()) == []
        assert asyncio.all_tasks() == {asyncio.current_task()}
