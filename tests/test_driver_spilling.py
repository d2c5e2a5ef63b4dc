"""Every operator that spills, in a whole context, at bounds so small that it does: the answers of plain Python."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from operator import add, itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.context import SparkContext
from minispark.messages.listener import ListenerEvent, StageCompleted
from minispark.messages.task import TaskMetrics
from minispark.rdd.rdd import RDD
from tests.contexts import run_inline, session_directory

Pairs = list[tuple[Any, Any]]
pairs = st.lists(st.tuples(st.one_of(st.integers(0, 9), st.text(max_size=1), st.none()), st.integers()), max_size=80)
numbers = st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=80)
slowly = settings(max_examples=8)


def spilling(scenario: Callable[[SparkContext], Awaitable[Any]], force: int) -> Any:
    return run_inline(scenario, shuffle_spill_numElementsForceSpillThreshold=force)


def grouped(records: Pairs) -> dict[Any, list[Any]]:
    groups = defaultdict(list)
    for key, value in records:
        groups[key].append(value)
    return dict(groups)


OPERATORS: dict[str, tuple[Callable[[RDD[Any]], RDD[Any]], Callable[[list[Any]], Any]]] = {
    "reduce_by_key": (lambda rdd: rdd.reduce_by_key(add, 3), sum),
    "fold_by_key": (lambda rdd: rdd.fold_by_key(0, add, 3), sum),
    "aggregate_by_key": (lambda rdd: rdd.aggregate_by_key(0, lambda n, _: n + 1, add, 3), len),
    "combine_by_key": (lambda rdd: rdd.combine_by_key(str, lambda n, _: n, max, 3), lambda values: None),
    "group_by_key": (lambda rdd: rdd.group_by_key(3).map_values(list), list),
    "in_place": (lambda rdd: rdd.partition_by(3).group_by_key(3).map_values(list), list),
    "twice": (lambda rdd: rdd.group_by_key(3).map_values(len).reduce_by_key(add, 2), len),
}


@pytest.mark.parametrize("name", OPERATORS)
@given(records=pairs, force=st.integers(1, 12))
@slowly
def test_values_are_combined_exactly(name: str, records: Pairs, force: int) -> None:
    operator, expected = OPERATORS[name]

    async def scenario(sc: SparkContext) -> Pairs:
        return await operator(sc.parallelize(records, 3)).collect()

    found = spilling(scenario, force)

    groups = grouped(records)
    assert sorted(map(repr, (key for key, _ in found))) == sorted(map(repr, groups))
    if name != "combine_by_key":
        assert dict(found) == {key: expected(values) for key, values in groups.items()}


@given(left=pairs, right=pairs, force=st.integers(1, 12))
@slowly
def test_joins_find_all_pairs_of_values(left: Pairs, right: Pairs, force: int) -> None:
    async def scenario(sc: SparkContext) -> tuple[Any, ...]:
        one, two = sc.parallelize(left, 2), sc.parallelize(right, 3)
        groups = one.cogroup(two).map_values(lambda group: tuple(map(list, group)))
        return await one.join(two).collect(), await one.full_outer_join(two).collect(), await groups.collect()

    joined, outer, groups = spilling(scenario, force)

    lefts, rights = grouped(left), grouped(right)
    inner = [(key, (x, y)) for key in lefts.keys() & rights.keys() for x in lefts[key] for y in rights[key]]
    lonely = [(key, (x, None)) for key in lefts.keys() - rights.keys() for x in lefts[key]]
    lonely += [(key, (None, y)) for key in rights.keys() - lefts.keys() for y in rights[key]]
    assert sorted(joined, key=repr) == sorted(inner, key=repr)
    assert sorted(outer, key=repr) == sorted(inner + lonely, key=repr)
    assert dict(groups) == {key: (lefts.get(key, []), rights.get(key, [])) for key in lefts.keys() | rights.keys()}


@given(records=numbers, force=st.integers(1, 12), ascending=st.booleans())
@slowly
def test_sorted_records_come_in_order_and_equal_ones_as_they_were(
    records: list[tuple[int, int]], force: int, ascending: bool
) -> None:
    async def scenario(sc: SparkContext) -> tuple[Pairs, Pairs, list[Any]]:
        rdd = sc.parallelize(records, 3)
        by_key = await rdd.sort_by_key(ascending, 3).collect()
        return by_key, await rdd.sort_by_key(ascending, 1).collect(), await rdd.sort_by(itemgetter(1)).collect()

    by_key, in_one, by_value = spilling(scenario, force)

    assert by_key == in_one == sorted(records, key=itemgetter(0), reverse=not ascending)
    assert by_value == sorted(records, key=itemgetter(1))


@pytest.mark.scenario("EXT-004", "8 combinations of {aggregation, ordering} × spill")
@pytest.mark.parametrize("force", [3, 1 << 40])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("combined", [False, True])
def test_with_and_without_combining_order_and_spilling(combined: bool, ordered: bool, force: int) -> None:
    records = [(number % 20, number) for number in range(200)]

    async def scenario(sc: SparkContext) -> Pairs:
        rdd: RDD[Any] = sc.parallelize(records, 4)
        placed = rdd.reduce_by_key(add, 3) if combined else rdd.partition_by(3)
        return await (placed.sort_by_key() if ordered else placed).collect()

    found = spilling(scenario, force)

    expected = [(key, sum(range(key, 200, 20))) for key in range(20)] if combined else sorted(records)
    assert sorted(found) == expected
    if ordered:
        assert [key for key, _ in found] == [key for key, _ in expected]


@pytest.mark.scenario("EXT-004", "few elements per partition")
@pytest.mark.scenario("EXT-004", "empty partitions with spill")
def test_partitions_with_few_records_or_none_spill_as_well() -> None:
    async def scenario(sc: SparkContext) -> Any:
        few = sc.parallelize([(number % 2 * 50, number) for number in range(40)], 2)
        sums = few.reduce_by_key(add, 100).glom()
        return await sums.collect(), await sc.parallelize([1, 2], 5).sort_by(lambda n: -n, num_partitions=4).collect()

    parts, ordered = spilling(scenario, 1)

    assert [part for part in parts if part] == [[(0, 380)], [(50, 400)]]
    assert len(parts) == 100
    assert ordered == [2, 1]


@pytest.mark.scenario("EXT-004", "cleanup of temp files with and without failures, also in shuffle")
@pytest.mark.parametrize("fails", [False, True])
def test_spilling_leaves_no_file_but_the_map_outputs(fails: bool) -> None:
    def look(key: int) -> int:
        if fails and key == 99:
            raise ZeroDivisionError
        return key

    async def scenario(sc: SparkContext) -> list[str]:
        rdd = sc.parallelize([(number, number) for number in range(100)], 2).reduce_by_key(add, 2)
        ordered = rdd.map(lambda pair: (look(pair[0]), 1)).sort_by(itemgetter(0), num_partitions=1)
        if fails:
            with pytest.raises(ZeroDivisionError):
                await ordered.count()
        else:
            assert await ordered.count() == 100
        return sorted(path.name.rpartition("_")[0] for path in (session_directory(sc) / "shuffle").iterdir())

    assert set(spilling(scenario, 7)) == {"shuffle_0"}


class Stages:
    """Keeps the metrics of stages."""

    def __init__(self) -> None:
        self.seen: list[TaskMetrics] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageCompleted):
            self.seen.append(event.stage.metrics)


def test_tasks_tell_how_many_bytes_they_spilled() -> None:
    stages = Stages()

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(stages)
        rdd = sc.parallelize([(number % 50, number) for number in range(500)], 1)
        await rdd.group_by_key(1).count()

    spilling(scenario, 10)

    # Map outputs are emptied into the output; readers spill.
    assert [one.spilled_bytes > 0 for one in stages.seen] == [False, True]
