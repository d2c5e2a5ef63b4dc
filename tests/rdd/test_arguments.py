"""Wrong arguments are refused at once, everywhere in the same words."""

import functools
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from minispark.errors import ConfigurationError, ContextError
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual
from tests.rdd.conftest import Engine


async def later(*arguments: Any) -> bool:
    return False


async def several(*arguments: Any) -> AsyncIterator[int]:
    yield 1


class Later:
    async def __call__(self, *arguments: Any) -> bool:
        return False

    async def method(self, *arguments: Any) -> bool:
        return False


ASYNC = {
    "coroutine": later, "generator": several, "object": Later(), "method": Later().method,
    "partial": functools.partial(later, 1), "partial object": functools.partial(Later(), 1),
}  # fmt: skip


@pytest.mark.parametrize("function", ASYNC.values(), ids=ASYNC.keys())
def test_async_functions_are_refused_since_tasks_run_plain_ones(function: Any) -> None:
    with pytest.raises(
        TypeError, match=r"filter needs a plain function, not the async .*: tasks run plain functions"
    ):
        range_rdd(SerialJobRunner(), 3).filter(function)


@pytest.mark.parametrize("function", [len, str, Later, functools.partial(max, 1), lambda n: later(n), "".join])
def test_what_can_be_called_is_taken(function: Any) -> None:
    assert range_rdd(SerialJobRunner(), 3).map(function).name == "map"


LAZY = [
    ("map", 1), ("flat_map", 1), ("filter", 1), ("key_by", 1), ("map_partitions", 1),
    ("map_partitions_with_index", 1),
    ("group_by", 1), ("map_values", 1), ("flat_map_values", 1), ("reduce_by_key", 1), ("sort_by", 1),
    ("combine_by_key", 3), ("fold_by_key", 1), ("aggregate_by_key", 2),
]  # fmt: skip


@pytest.mark.parametrize(("method", "functions"), LAZY)
@pytest.mark.parametrize("wrong", [later, "text"])
def test_every_lazy_method_checks_its_functions(method: str, functions: int, wrong: Any) -> None:
    rdd: Any = parallelize(SerialJobRunner(), [(1, 2)])
    zero = [0] if method in ("fold_by_key", "aggregate_by_key") else []

    with pytest.raises(TypeError, match=f"{method} needs a "):
        getattr(rdd, method)(*zero, *[wrong] * functions)


@pytest.mark.parametrize(
    "action", ["reduce", "fold", "aggregate", "foreach", "foreach_partition", "top", "take_ordered", "max", "min"]
)
@pytest.mark.parametrize("wrong", [later, "text"])
def test_every_action_checks_its_functions_before_it_starts_a_job(action: str, wrong: Any) -> None:
    sc = SerialJobRunner()
    rest: dict[str, list[Any]] = {"fold": [0], "aggregate": [0, max], "top": [1], "take_ordered": [1]}

    with pytest.raises(TypeError, match=f"{action} needs a "):
        run_virtual(getattr(range_rdd(sc, 3), action)(*rest.get(action, []), wrong))

    assert sc.jobs == []


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("reduce_by_key", [max]), ("group_by_key", []), ("fold_by_key", [0, max]), ("group_by", [max]),
        ("aggregate_by_key", [0, max, max]), ("combine_by_key", [str, max, max]), ("partition_by", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrong", [later, 3, None])
def test_every_shuffle_checks_what_places_keys(method: str, first: list[Any], wrong: Any) -> None:
    rdd: Any = parallelize(SerialJobRunner(), [(1, 2)])

    with pytest.raises(TypeError, match="partition_function needs a "):
        getattr(rdd, method)(*first, 2, partition_function=wrong)


@pytest.mark.parametrize("method", ["union", "cogroup", "group_with", "join", "left_outer_join", "__add__"])
@pytest.mark.parametrize("wrong", [None, [(1, 2)], {}])
def test_only_rdds_are_brought_together(method: str, wrong: Any) -> None:
    rdd: Any = parallelize(SerialJobRunner(), [(1, 2)])

    with pytest.raises(TypeError, match="needs another RDD, not "):
        getattr(rdd, method)(wrong)


def test_the_message_about_a_long_list_is_short() -> None:
    rdd: Any = parallelize(SerialJobRunner(), [(1, 2)])

    with pytest.raises(TypeError) as refusal:
        rdd.union(list(range(1000)))

    assert str(refusal.value) == "union needs another RDD, not [0, 1, 2, 3, 4, 5, ...]"


@pytest.mark.parametrize("method", ["union", "cogroup", "group_with", "join", "full_outer_join"])
def test_rdds_of_two_contexts_are_not_brought_together(method: str) -> None:
    mine, others = SerialJobRunner(), SerialJobRunner()
    others.call_site = "other.py:3"  # type: ignore[attr-defined]  # a SparkContext has one

    with pytest.raises(
        ContextError, match=r"needs RDDs of one SparkContext: <RDD .* and <RDD .* made at other.py:3;"
    ):
        getattr(parallelize(mine, [(1, 2)]), method)(parallelize(others, [(1, 2)]))


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_partitions_ahead_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"prefetch_partitions = .*: a whole number of at least 1 is needed"):
        range_rdd(SerialJobRunner(), 3).to_local_iterator(wrong)


@pytest.mark.parametrize("num", [sys.maxsize, sys.maxsize + 1, 10**400])
def test_more_records_than_there_can_be_are_all(serial: Engine, num: int) -> None:
    async def job(sc: Any) -> Any:
        rdd = range_rdd(sc, 5, num_slices=3)
        return await rdd.take(num), await rdd.top(num), await rdd.take_ordered(num)

    assert serial(job) == ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4])
