"""Barrier stages that can never run, through the API."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import JobFailed
from minispark.rdd.rdd import RDD
from tests.contexts import run_inline


def barrier(sc: SparkContext, partitions: int = 2) -> RDD[int]:
    return sc.parallelize(range(4), partitions).barrier().map_partitions(list)


ACTIONS: dict[str, Callable[[SparkContext], Awaitable[Any]]] = {
    "first": lambda sc: barrier(sc).first(),
    "take": lambda sc: barrier(sc).take(1),
    "union": lambda sc: barrier(sc).union(sc.parallelize([9], 1)).collect(),
    "coalesce": lambda sc: barrier(sc).coalesce(1).collect(),
    "a map stage": lambda sc: barrier(sc).coalesce(1).map(lambda number: (number, 1)).group_by_key(2).collect(),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_what_cannot_be_a_barrier_stage_fails_and_names_the_rdd(
    action: Callable[[SparkContext], Awaitable[Any]],
) -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(JobFailed, match=r"in a barrier stage, .* at test_context_barrier\.py:.* partitions"):
            await action(sc)

    run_inline(scenario)


@pytest.mark.scenario("BAR-012", "local and local-cluster, result and map")
@pytest.mark.parametrize("behind_a_shuffle", [False, True])
def test_a_barrier_stage_of_more_tasks_than_cores_fails_after_the_last_look(behind_a_shuffle: bool) -> None:
    async def scenario(sc: SparkContext) -> float:
        rdd: RDD[Any] = barrier(sc, 4)
        if behind_a_shuffle:
            rdd = rdd.map(lambda number: (number, 1)).group_by_key(2)
        start = sc.driver.world.monotonic()
        with pytest.raises(JobFailed, match="needs 4 slots at once, and there are 2"):
            await rdd.collect()
        return sc.driver.world.monotonic() - start

    assert run_inline(scenario) == pytest.approx(40 * 15, abs=1)
