import asyncio
import math
import time

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.rdd.estimates import Estimate, deviations, estimate_of
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
        return await slow.count_approx(2)

    async def run() -> Estimate:
        async with SparkContext("local[2]") as sc:
            return await scenario(sc)

    estimate = asyncio.run(run())
    assert estimate.low < 40 <= estimate.high
    assert estimate.mean == 40
