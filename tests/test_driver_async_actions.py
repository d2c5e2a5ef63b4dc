"""Actions as coroutines and tasks of asyncio: several at once, awaited with and without deadlines, told of ends."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from minispark.context import SparkContext
from tests.contexts import run_inline


def check_all_there(numbers: Iterator[int]) -> None:
    assert list(numbers)


def check_number(number: int) -> None:
    assert 0 <= number < 100


@pytest.mark.parametrize(
    ("action", "value"),
    [
        pytest.param(lambda rdd: rdd.count(), 100, marks=pytest.mark.scenario("ASY-001", "count")),
        pytest.param(lambda rdd: rdd.collect(), list(range(100)), marks=pytest.mark.scenario("ASY-001", "collect")),
        pytest.param(lambda rdd: rdd.foreach(check_number), None, marks=pytest.mark.scenario("ASY-001", "foreach")),
        pytest.param(
            lambda rdd: rdd.foreach_partition(check_all_there),
            None,
            marks=pytest.mark.scenario("ASY-001", "foreachPartition"),
        ),
    ],
)
def test_actions_run_side_by_side_on_one_loop(action: Callable[[Any], Awaitable[Any]], value: object) -> None:
    async def scenario(sc: SparkContext) -> list[Any]:
        rdd = sc.parallelize(range(100), 5)
        return list(await asyncio.gather(action(rdd), action(rdd), action(rdd.map(lambda number: number))))

    assert run_inline(scenario) == [value] * 3


@pytest.mark.scenario("HIS-007", "FutureAction")
@pytest.mark.scenario("ASY-001", "take (many cases)")
@pytest.mark.parametrize("num", [0, 1, 7, 30, 99, 100, 500])
def test_takes_of_any_size_run_side_by_side(num: int) -> None:
    async def scenario(sc: SparkContext) -> list[list[int]]:
        rdd = sc.parallelize(range(100), 5)
        return list(await asyncio.gather(rdd.take(num), rdd.map(lambda number: number).take(num)))

    assert run_inline(scenario) == [list(range(100))[:num]] * 2


def refuse(number: int) -> None:
    raise ValueError("no")


@pytest.mark.scenario("HIS-007", "FutureAction")
@pytest.mark.scenario("ASY-002", "success/failure callbacks")
def test_callbacks_of_a_spawned_action_are_told_of_success_and_failure() -> None:
    async def scenario(sc: SparkContext) -> list[object]:
        told: list[object] = []
        rdd = sc.parallelize(range(10), 2)
        good = asyncio.ensure_future(rdd.count())
        bad = asyncio.ensure_future(rdd.foreach(refuse))
        good.add_done_callback(lambda task: told.append(task.result()))
        bad.add_done_callback(lambda task: told.append(str(task.exception())))
        await asyncio.wait([good, bad])
        await asyncio.sleep(0)
        return sorted(told, key=str)

    assert run_inline(scenario) == [10, "no"]


@pytest.mark.scenario("ASY-002", "result with infinite, finite, expired wait")
def test_a_result_can_be_awaited_for_ever_for_a_while_or_not_long_enough() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        rdd = sc.parallelize(range(10), 2)
        async with asyncio.timeout(60):
            in_time = await rdd.count()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await rdd.count()
        return await rdd.count(), in_time

    assert run_inline(scenario) == (10, 10)


@pytest.mark.scenario("ASY-002", "callbacks consume no waiting thread")
def test_a_hundred_actions_that_wait_take_no_thread() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        before = threading.active_count()
        jobs = [asyncio.ensure_future(sc.parallelize([n], 1).count()) for n in range(100)]
        await asyncio.sleep(0)
        waiting = sum(not job.done() for job in jobs)
        assert sum(await asyncio.gather(*jobs)) == 100
        return waiting, threading.active_count() - before

    assert run_inline(scenario) == (100, 0)
