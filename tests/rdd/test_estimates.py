import asyncio
import math
import time
from random import Random

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.rdd.estimates import Estimate, deviations, estimate_of, mean_estimate, sum_estimate
from minispark.rdd.stat_counter import StatCounter
from tests.contexts import run_inline


@pytest.mark.scenario("DAG-027")
def test_the_count_of_an_empty_rdd_is_known_exactly() -> None:
    async def scenario(sc: SparkContext) -> tuple[Estimate, Estimate]:
        return await sc.empty_rdd().count_approx(1), await sc.parallelize([], 3).count_approx(1)

    assert run_inline(scenario) == (Estimate(0, 0, 0, 1.0, True),) * 2


def test_a_count_that_is_done_in_time_is_exact() -> None:
    async def scenario(sc: SparkContext) -> Estimate:
        return await sc.parallelize(range(100), 4).count_approx(10)

    assert run_inline(scenario) == Estimate(100, 100, 100, 1.0, True)


def test_when_the_time_is_over_what_was_counted_is_told() -> None:
    async def scenario(sc: SparkContext) -> Estimate:
        estimate = await sc.parallelize(range(100), 4).count_approx(0)
        assert await sc.parallelize(range(10), 2).count() == 10
        return estimate

    assert run_inline(scenario) == Estimate(0, 0, math.inf, 0.95, False)


def test_a_part_says_what_the_whole_is_likely_to_be() -> None:
    estimate = estimate_of(1000, 1, 4, 0.95)

    assert estimate.mean == 4000
    assert estimate.low == pytest.approx(4000 - 1.96 * math.sqrt(750) * 4, rel=0.001)
    assert estimate.high == pytest.approx(4000 + 1.96 * math.sqrt(750) * 4, rel=0.001)
    assert not estimate.is_final


def test_what_was_counted_is_never_doubted() -> None:
    estimate = estimate_of(2, 9, 10, 0.999)

    assert estimate.low == 2


@pytest.mark.parametrize(("confidence", "expected"), [(0.6827, 1), (0.9545, 2), (0.9973, 3)])
def test_the_bounds_are_those_of_a_normal_distribution(confidence: float, expected: float) -> None:
    assert deviations(confidence) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("timeout_s", "confidence"), [(-1, 0.9), (1, 0), (1, 1)])
def test_arguments_out_of_range_are_refused(timeout_s: float, confidence: float) -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ConfigurationError):
            await sc.parallelize([1]).count_approx(timeout_s, confidence)

    run_inline(scenario)


@pytest.mark.cluster
def test_partitions_that_take_too_long_are_left_out_and_their_tasks_cancelled() -> None:
    async def scenario(sc: SparkContext) -> Estimate:
        slow = sc.parallelize(range(40), 4).map(lambda number: time.sleep(60) if number == 39 else number)
        assert await sc.parallelize(range(4), 4).count() == 4  # the runners are there before the time begins
        return await slow.count_approx(5)

    async def run() -> Estimate:
        async with SparkContext("local[2]") as sc:
            return await scenario(sc)

    estimate = asyncio.run(run())
    assert estimate.low < 40 <= estimate.high
    assert estimate.mean == 40


def test_sums_and_means_that_are_done_in_time_are_exact() -> None:
    async def scenario(sc: SparkContext) -> tuple[Estimate, Estimate]:
        numbers = sc.parallelize(range(100), 4)
        return await numbers.sum_approx(10), await numbers.mean_approx(10)

    assert run_inline(scenario) == (Estimate(4950, 4950, 4950, 1.0, True), Estimate(49.5, 49.5, 49.5, 1.0, True))


def test_nothing_is_said_of_numbers_that_were_not_seen() -> None:
    async def scenario(sc: SparkContext) -> list[Estimate]:
        numbers = sc.parallelize(range(100), 4)
        return [await numbers.sum_approx(0), await numbers.mean_approx(0), await sc.empty_rdd().mean_approx(1)]

    nothing, unknown, empty = run_inline(scenario)
    assert nothing == Estimate(0, -math.inf, math.inf, 0.95, False)
    assert (unknown.low, unknown.high, unknown.is_final) == (-math.inf, math.inf, False)
    assert math.isnan(unknown.mean)
    assert math.isnan(empty.mean)


@pytest.mark.parametrize("seen", [1, 2, 5])
def test_bounds_hold_about_as_often_as_the_confidence_says(seen: int) -> None:
    rng = Random(7)
    sums = means = 0
    for _ in range(300):
        parts = [[rng.gauss(10, 4) for _ in range(round(rng.gauss(45, 6.7)))] for _ in range(10)]
        stats = StatCounter([number for part in parts[:seen] for number in part])
        numbers = [number for part in parts for number in part]
        total, mean = sum_estimate(stats, seen, 10, 0.9), mean_estimate(stats, seen, 10, 0.9)
        sums += total.low <= sum(numbers) <= total.high
        means += mean.low <= sum(numbers) / len(numbers) <= mean.high
    assert sums >= 240
    assert 240 <= means <= 295


@pytest.mark.parametrize(("count", "expected"), [(4, 3.182), (6, 2.571), (31, 2.042), (1000, 1.960)])
def test_few_numbers_make_wider_bounds(count: int, expected: float) -> None:
    assert deviations(0.95, count) == pytest.approx(expected, rel=0.02)


def sleep_at_the_last(number: int) -> int:
    if number == 39:
        time.sleep(60)
    return 1


@pytest.mark.cluster
def test_sums_and_means_are_told_at_the_deadline_and_their_tasks_cancelled() -> None:
    async def run() -> tuple[Estimate, Estimate, int]:
        async with SparkContext("local[2]") as sc:
            slow = sc.parallelize(range(40), 4).map(sleep_at_the_last)
            assert await sc.parallelize(range(4), 4).count() == 4  # the runners are there before the time begins
            estimates = await asyncio.gather(slow.sum_approx(5), slow.mean_approx(5))
            return (*estimates, await sc.parallelize(range(10), 2).count())

    total, mean, count = asyncio.run(run())
    assert total.low <= 40 <= total.high
    assert (mean.mean, mean.is_final, count) == (1, False, 10)
