"""Joins give what nested loops over two lists give."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.dependency import Narrow
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, on_serial

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("xyz")), max_size=12)
LEFT = [(1, "a"), (2, "b"), (2, "c")]
RIGHT = [(2, "X"), (3, "Y"), (2, "Z")]


def nested_loops(left: list[Any], right: list[Any], kind: str) -> Counter[Any]:
    rows = [(key, (value, other)) for key, value in left for match, other in right if key == match]
    if kind in ("left", "full"):
        rows += [(key, (value, None)) for key, value in left if key not in dict(right)]
    if kind in ("right", "full"):
        rows += [(key, (None, other)) for key, other in right if key not in dict(left)]
    return Counter(rows)


@given(PAIRS, PAIRS, st.integers(1, 4), st.booleans(), st.booleans())
def test_joins_are_nested_loops_however_the_sides_are_placed(
    left: list[Any], right: list[Any], parts: int, left_placed: bool, right_placed: bool
) -> None:
    async def job(sc: JobRunner) -> Any:
        one, other = parallelize(sc, left, 2), parallelize(sc, right, 3)
        one = one.partition_by(parts) if left_placed else one
        other = other.partition_by(parts) if right_placed else other
        joined = {
            "inner": one.join(other, parts),
            "left": one.left_outer_join(other, parts),
            "right": one.right_outer_join(other, parts),
            "full": one.full_outer_join(other),
        }
        return {kind: await rdd.collect() for kind, rdd in joined.items()}

    for kind, rows in on_serial(job).items():
        assert Counter(rows) == nested_loops(left, right, kind)


@pytest.mark.parametrize("kind", ["join", "left_outer_join", "right_outer_join", "full_outer_join"])
def test_joins_on_every_engine(engine: Engine, kind: str) -> None:
    async def job(sc: JobRunner) -> Any:
        left, right = parallelize(sc, LEFT, 2), parallelize(sc, RIGHT, 3)
        return await getattr(left, kind)(right).collect()

    assert Counter(engine(job)) == nested_loops(LEFT, RIGHT, kind.partition("_")[0])


def test_cogroup_lists_the_values_of_each_side(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        left, right = parallelize(sc, LEFT, 2), parallelize(sc, RIGHT, 3)
        three = await left.group_with(right, parallelize(sc, [(9, 0)], 1)).collect_as_map()
        return await left.cogroup(right).collect_as_map(), three

    two, three = engine(job)

    assert two == {1: (["a"], []), 2: (["b", "c"], ["X", "Z"]), 3: ([], ["Y"])}
    assert three == {key: (*lists, []) for key, lists in two.items()} | {9: ([], [], [0])}


def test_sides_that_are_placed_alike_are_joined_without_a_shuffle() -> None:
    async def job(sc: SerialJobRunner) -> Any:
        left, right = parallelize(sc, LEFT, 2).partition_by(2), parallelize(sc, RIGHT, 3).partition_by(2)
        joined = left.join(right)
        groups = joined.node.dependencies[0].node
        assert all(isinstance(dependency, Narrow) for dependency in groups.dependencies)
        assert joined.partitioner == left.partitioner
        return Counter(await joined.collect()), next(sc.shuffle_ids)

    assert on_serial(job) == (nested_loops(LEFT, RIGHT, "inner"), 2)  # type: ignore[arg-type]  # the serial one


def test_a_wide_side_is_not_squeezed_into_the_other_sides_few_partitions(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        wide = parallelize(sc, LEFT, 40)
        few, several = parallelize(sc, RIGHT, 2).partition_by(2), parallelize(sc, RIGHT, 2).partition_by(8)
        return wide.join(few).get_num_partitions(), wide.join(several).get_num_partitions()

    assert serial(job) == (40, 8)


def test_joining_with_something_else_is_refused(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd: Any = parallelize(sc, LEFT)
        return rdd.join(RIGHT)

    with pytest.raises(TypeError, match="join needs another RDD, not"):
        serial(job)
