"""Joins give what nested loops over two lists give."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.dependency import Narrow
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize, text_file
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


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
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


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
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


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
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


@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
@given(st.lists(PAIRS, min_size=1, max_size=4), st.integers(1, 3))
def test_groups_of_several_rdds_list_the_values_of_each(sides: list[list[Any]], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        first, *others = [parallelize(sc, [(9, "w")], 1), *(parallelize(sc, side, parts) for side in sides)]
        return await first.group_with(*others).collect()

    found = on_serial(job)
    everything = [[(9, "w")], *sides]
    expected = {
        key: tuple([value for other, value in side if other == key] for side in everything)
        for key in {key for side in everything for key, _ in side}
    }
    assert len(found) == len(expected)
    assert {key: tuple(map(sorted, lists)) for key, lists in found} == {
        key: tuple(map(sorted, lists)) for key, lists in expected.items()
    }


@pytest.mark.scenario("HIS-007", "RDDSuite")
@pytest.mark.scenario("HIS-007", "PairRDDFunctions")
def test_an_rdd_without_partitions_takes_part_in_every_shuffle(engine: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> Any:
        nothing: Any = text_file(sc, tmp_path, None).map(lambda line: (line, 1))
        pairs: Any = parallelize(sc, [(n, n) for n in range(2)], 2)
        counts = [await nothing.reduce_by_key(max).count(), await pairs.subtract_by_key(nothing).count()]
        for name in ("join", "right_outer_join", "left_outer_join", "full_outer_join", "cogroup", "union"):
            counts.append(await getattr(pairs, name)(nothing).count())
        return counts, await nothing.cartesian(pairs).count(), await pairs.cartesian(nothing).count()

    assert engine(job) == ([0, 2, 0, 0, 2, 2, 2, 2], 0, 0)
