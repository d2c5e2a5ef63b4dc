"""Reading an RDD record by record: in order, a few partitions ahead, and no further."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import empty, parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual, settle
from tests.rdd.conftest import Engine


class SlowRunner(SerialJobRunner):
    """Runs a job when it is told to. Attributes: started, cancelled: the partitions of jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.may_end = asyncio.Event()

    async def run_job(
        self,
        rdd: Any,
        function: Callable[..., Any],
        partitions: Sequence[int] | None = None,
        allow_local: bool = False,
    ) -> list[Any]:
        assert partitions is not None
        self.started += partitions
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += partitions
            raise
        return await super().run_job(rdd, function, partitions)


def test_records_come_in_the_order_of_partitions(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 5000, num_slices=7).map(str)
        shuffled = parallelize(sc, [(n % 3, n) for n in range(6)], 2).group_by_key(2).map_values(sorted)
        return [n async for n in numbers.to_local_iterator()], sorted(
            [g async for g in shuffled.to_local_iterator(1)]
        )

    assert engine(job) == (list(map(str, range(5000))), [(0, [0, 3]), (1, [1, 4]), (2, [2, 5])])


def test_an_rdd_without_records_yields_nothing(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        nothing: list[int] = []
        streams = empty(sc).to_local_iterator(), parallelize(sc, nothing, 3).to_local_iterator()
        return [[record async for record in stream] for stream in streams]

    assert engine(job) == [[], []]


def test_as_many_partitions_as_asked_run_ahead_of_the_reader() -> None:
    async def main() -> Any:
        sc = SlowRunner()
        sc.may_end.set()
        async with aclosing(range_rdd(sc, 40, num_slices=20).to_local_iterator(3)) as records:
            first = await anext(records)
            ahead_of_0 = len(sc.started)
            await anext(records)
            await anext(records)
            await settle()
        return first, ahead_of_0, len(sc.started)

    assert run_virtual(main()) == (0, 4, 5)


def test_a_full_buffer_lets_no_further_partition_start() -> None:
    async def main() -> int:
        sc = SlowRunner()
        sc.conf.set("minispark.localIterator.bufferSize", "1k")
        sc.may_end.set()
        async with aclosing(range_rdd(sc, 5000, num_slices=5).to_local_iterator(2)) as records:
            for _ in range(1001):
                await anext(records)
                await settle()
            return len(sc.started)

    assert run_virtual(main()) == 3  # the two ahead that started before anything was held, and the one read


def test_closing_the_iterator_cancels_what_runs_ahead() -> None:
    async def main() -> Any:
        sc = SlowRunner()
        records = range_rdd(sc, 10, num_slices=10).to_local_iterator(3)
        reader = asyncio.ensure_future(anext(records))
        await settle()
        reader.cancel()
        await settle()
        await records.aclose()
        return sc.started, sc.cancelled

    assert run_virtual(main()) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_a_failure_surfaces_when_the_reader_comes_to_it(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        quotients = parallelize(sc, [1, 2, 0, 4], 4).map(lambda n: 4 / n).to_local_iterator()
        first, second = await anext(quotients), await anext(quotients)
        with pytest.raises(ZeroDivisionError):
            await anext(quotients)
        return [first, second]

    assert engine(job) == [4.0, 2.0]


def test_at_least_one_partition_runs_ahead(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        await anext(range_rdd(sc, 3).to_local_iterator(0))

    with pytest.raises(ConfigurationError, match="prefetch_partitions = 0: a whole number of at least 1 is needed"):
        serial(job)
