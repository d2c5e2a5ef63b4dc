"""Accumulators in jobs: exact in actions whatever is retried, merged before listeners hear, harmless if they fail."""

import asyncio
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ContextError, PicklingError
from minispark.executor.current_task import current_task_context
from minispark.messages.listener import ListenerEvent, TaskEnd
from minispark.rdd.accumulators import Accumulator
from minispark.rdd.broadcast import Broadcast
from tests.contexts import run_inline


class Unmergeable:
    """Adds, but cannot be merged."""

    def zero(self, initial: int) -> int:
        return 0

    def add(self, value: int, term: Any) -> int:
        return value + int(term)

    def merge(self, value: int, other: int) -> int:
        raise RuntimeError("no")


class Watcher:
    """Notes what an accumulator's value was whenever a task ended."""

    def __init__(self, watched: Accumulator[int]) -> None:
        self.watched = watched
        self.seen: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, TaskEnd):
            self.seen.append(self.watched.value)


def fail_first() -> None:
    """Fail the first attempt of each task."""
    context = current_task_context()
    assert context is not None
    if context.attempt_number == 0:
        raise ValueError("the first attempt fails")


def test_what_an_action_adds_counts_once_although_every_task_is_retried() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        records, attempts = sc.accumulator(0), sc.accumulator(0, count_failed_values=True)

        def count(number: int) -> None:
            records.add(1)
            attempts.add(1)
            if number % 10 == 9:
                fail_first()

        await sc.parallelize(range(40), 4).foreach(count)
        return records.value, attempts.value

    assert run_inline(scenario, task_maxFailures=2) == (40, 80)


def test_a_transformation_counts_each_time_it_is_computed() -> None:
    async def scenario(sc: SparkContext) -> int:
        seen = sc.accumulator(0)

        def look(number: int) -> int:
            nonlocal seen
            seen += 1
            return number

        rdd = sc.parallelize(range(10), 2).map(look)
        await rdd.count()
        await rdd.map(lambda number: (number % 2, number)).reduce_by_key(max).collect()
        return seen.value

    assert run_inline(scenario) == 20


@pytest.mark.scenario("DAG-025")
def test_one_that_cannot_be_merged_harms_neither_jobs_nor_other_accumulators(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int, int]:
        bad, good = sc.accumulator(0, Unmergeable(), name="bad"), sc.accumulator(0)

        def add(number: int) -> None:
            bad.add(1)
            good.add(number)

        await sc.parallelize(range(5), 5).foreach(add)
        return bad.value, good.value, await sc.parallelize(range(10), 2).count()

    assert run_inline(scenario) == (0, 10, 10)
    assert caplog.text.count("'bad'> misses what a task added") == 1


@pytest.mark.scenario("DAG-025")
def test_adding_what_cannot_be_added_fails_the_job_with_the_users_error_alone() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        total = sc.accumulator(0)
        with pytest.raises(TypeError, match="unsupported operand"):
            await sc.parallelize(range(4), 2).foreach(lambda number: total.add("one"))
        return total.value, await sc.parallelize(range(10), 2).count()

    assert run_inline(scenario) == (0, 10)


@pytest.mark.scenario("DAG-028")
def test_a_listener_that_hears_of_a_task_finds_what_it_added_in_the_value() -> None:
    async def scenario(sc: SparkContext) -> list[int]:
        total = sc.accumulator(0)
        watcher = Watcher(total)
        sc.add_listener(watcher)
        await sc.parallelize([1, 10, 100], 3).foreach(total.add)
        await sc.world.sleep(1)
        return watcher.seen

    seen = run_inline(scenario, "local[1]")

    assert seen[-1] == 111
    assert all(value >= least for value, least in zip(seen, (1, 11, 111), strict=True))


def test_an_attempt_that_fails_counts_only_where_that_was_asked_for() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        plain, every = sc.accumulator(0), sc.accumulator(0, count_failed_values=True)

        def add(number: int) -> None:
            plain.add(1)
            every.add(1)
            raise ValueError(number)

        with pytest.raises(ValueError, match="0"):
            await sc.parallelize([0], 1).foreach(add)
        return plain.value, every.value

    assert run_inline(scenario) == (0, 1)


def test_a_task_cannot_read_a_value() -> None:
    async def scenario(sc: SparkContext) -> None:
        total = sc.accumulator(0)
        await sc.parallelize([1], 1).map(lambda number: total.value).collect()

    with pytest.raises(ContextError, match="cannot be read in a task"):
        run_inline(scenario)


@pytest.mark.cluster
def test_in_runner_processes_the_values_are_exact_whatever_is_retried() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, list[int]]:
        total, tens = sc.accumulator(0, name="total"), sc.accumulator([0])

        def add(number: int) -> None:
            total.add(number)
            if number % 10 == 0:
                tens.add(number)
            if number == 99:
                fail_first()

        await sc.parallelize(range(100), 4).foreach(add)
        return total.value, sorted(tens.value)

    async def run() -> tuple[int, list[int]]:
        async with SparkContext("local[2,2]") as sc:
            return await scenario(sc)

    assert asyncio.run(run()) == (4950, [0, *range(0, 100, 10)])


def test_a_task_cannot_use_what_belongs_to_a_context_that_was_stopped() -> None:
    async def make(sc: SparkContext) -> tuple[Accumulator[int], Broadcast[int]]:
        return sc.accumulator(0), sc.broadcast(1)

    accumulator, broadcast = run_inline(make)

    async def use(sc: SparkContext) -> None:
        with pytest.raises(PicklingError, match="a SparkContext that was stopped, and would miss what tasks add"):
            await sc.range(2).map(accumulator.add).collect()
        with pytest.raises(PicklingError, match="a SparkContext that was stopped: broadcast the value again"):
            await sc.range(2).map(lambda number: number + broadcast.value).collect()

    run_inline(use)
    assert (accumulator.value, broadcast.value) == (0, 1)
