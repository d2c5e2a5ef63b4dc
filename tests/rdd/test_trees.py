"""Merging in levels gives what merging at once gives."""

from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize, range_rdd
from tests.contexts import run_inline
from tests.rdd.conftest import Engine, on_serial


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 30), st.integers(1, 4))
def test_trees_give_what_reduce_and_aggregate_give(records: list[int], parts: int, depth: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, records, parts)
        zero: list[int] = []
        words = await rdd.tree_aggregate(zero, lambda found, n: [*found, n], lambda a, b: a + b, depth)
        return await rdd.tree_reduce(add, depth), await rdd.tree_reduce(max, depth), sorted(words)

    assert on_serial(job) == (sum(records), max(records), sorted(records))


def test_trees_run_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 100, num_slices=20)
        return await numbers.tree_reduce(add), await numbers.tree_aggregate(0, add, add, 3)

    assert engine(job) == (4950, 4950)


def test_a_deeper_tree_leaves_less_to_the_driver() -> None:
    async def job(sc: SparkContext) -> Any:
        tasks = []

        class Stages:
            def on_event(self, event: Any) -> None:
                if type(event).__name__ == "StageCompleted":
                    tasks.append(event.stage.num_tasks)

        sc.add_listener(Stages())
        found = [await sc.range(64, num_slices=64).tree_reduce(add, depth) for depth in (1, 2, 3)]
        return found, tasks

    found, tasks = run_inline(job)
    assert found == [2016] * 3
    assert tasks == [64, 64, 8, 64, 16, 4]


@pytest.mark.parametrize("depth", [0, -1, 1.5, True])
def test_a_depth_that_cannot_be_is_refused(serial: Engine, depth: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, 4).tree_reduce(add, depth)

    with pytest.raises(ConfigurationError, match="depth = "):
        serial(job)


def test_nothing_cannot_be_reduced_but_aggregated(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        nothing = range_rdd(sc, 0, num_slices=8)
        with pytest.raises(ValueError, match="is empty: tree_reduce needs at least one record"):
            await nothing.tree_reduce(add)
        return await nothing.tree_aggregate(7, add, max)

    assert serial(job) == 7


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers()), max_size=30), st.integers(1, 5))
def test_values_are_merged_by_key_in_the_driver(pairs: list[tuple[int, int]], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, pairs, parts).reduce_by_key_locally(add)

    expected: dict[int, int] = {}
    for key, value in pairs:
        expected[key] = expected.get(key, 0) + value
    assert on_serial(job) == expected
