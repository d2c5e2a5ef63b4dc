"""What the scheduler is told of an RDD, and what is learnt before."""

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.ids import BinaryId, ExecutorId
from minispark.messages.scheduler import unpack_integers
from minispark.messages.task import Lineage, NarrowDependency, Preferences, ShuffleDependencyInfo, TaskLocation
from minispark.rdd.face import new_origin
from minispark.rdd.lineage import describe
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import JobRunner
from minispark.rdd.rdd import RDD
from minispark.rdd.sources import empty, parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.contexts import run_inline
from tests.rdd.conftest import on_serial


def described(rdd: RDD[Any]) -> Lineage:
    return describe(rdd.node, lambda dependency: BinaryId(100 + dependency.shuffle_id))


def test_a_lineage_lists_parents_first_with_ids_counts_and_call_sites() -> None:
    sc = SerialJobRunner()
    words = parallelize(sc, ["a", "b"], 3).map(lambda word: (word, 1)).reduce_by_key(operator.add, 2)

    source, pairs, counts = described(words).nodes

    assert (source.name, pairs.name, counts.name) == ("parallelize", "map", "reduce_by_key")
    assert [node.num_partitions for node in (source, pairs, counts)] == [3, 3, 2]
    assert pairs.dependencies == (NarrowDependency(source.rdd_id),)
    assert counts.dependencies == (ShuffleDependencyInfo(pairs.rdd_id, 0, 2, 100),)  # type: ignore[arg-type]  # ids
    assert counts.call_site.startswith("test_lineage.py:")


def test_a_parent_of_two_children_is_listed_once() -> None:
    numbers = range_rdd(SerialJobRunner(), 3)

    names = [node.name for node in described(numbers.map(str).union(numbers.filter(bool))).nodes]

    assert names == ["range", "map", "filter", "union"]


def test_long_lineages_are_described_and_run() -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 4, num_slices=2)
        for _ in range(2000):
            numbers = numbers.map(lambda n: n + 1)
        return len(described(numbers).nodes), await numbers.collect()

    assert on_serial(job) == (2001, [2000, 2001, 2002, 2003])


def test_a_new_name_reaches_the_scheduler() -> None:
    rdd = range_rdd(SerialJobRunner(), 3).map(str)
    described(rdd)

    assert described(rdd.set_name("texts")).nodes[-1].name == "texts"


@pytest.mark.scenario("DAG-080")
def test_a_sample_of_what_comes_in_any_order_is_indeterminate() -> None:
    pairs = parallelize(SerialJobRunner(), [(1, 2)], 2)
    grouped = pairs.group_by_key()

    assert described(grouped).nodes[-1].determinism == "unordered"
    assert described(grouped.sample(True, 0.3, 1000)).nodes[-1].determinism == "indeterminate"
    assert described(pairs.sample(True, 0.3, 1000)).nodes[-1].determinism == "determinate"


def test_an_rdd_that_is_declared_indeterminate_is_so_with_what_follows() -> None:
    pairs = parallelize(SerialJobRunner(), [(1, 2)], 2)
    declared = pairs.declare_indeterminate()

    assert described(declared.group_by_key().map(str)).nodes[-1].determinism == "indeterminate"
    assert described(pairs.map(str)).nodes[-1].determinism == "determinate"


def test_what_depends_on_the_order_of_a_shuffle_is_indeterminate() -> None:
    pairs = parallelize(SerialJobRunner(), [(1, 2)], 2)
    levels: dict[str, list[Any]] = {
        "determinate": [pairs, pairs.repartition(2).node.dependencies[0].node, pairs.zip_with_index()],
        "unordered": [pairs.group_by_key(), pairs.group_by_key().map(str), pairs.repartition(2), pairs.distinct()],
        "indeterminate": [pairs.group_by_key().repartition(2), pairs.distinct().zip_with_index().filter(bool)],
    }

    for level, rdds in levels.items():
        for rdd in rdds:
            if isinstance(rdd, RDD):
                assert described(rdd).nodes[-1].determinism == level, rdd


class Placed(Node[int]):
    """An RDD that a user made: its partitions and where they are come from functions."""

    def __init__(self, context: Any, partitions: Callable[[], int], locations: Callable[[int], Any]) -> None:
        super().__init__(*new_origin(context, "placed"))
        self.count = partitions
        self.locations = locations

    def find_partitions(self) -> Sequence[Partition]:
        return [Partition(index) for index in range(self.count())]

    def preferred_locations(self, partition: Partition) -> Sequence[str]:
        found: Sequence[str] = self.locations(partition.index)
        return found

    def compute(self, partition: Partition, context: Any) -> Iterator[int]:
        return iter([partition.index])


def placed(context: Any, *hosts: Sequence[str]) -> RDD[int]:
    return RDD(context, Placed(context, lambda: len(hosts), lambda index: hosts[index]))


def rows(preferences: Preferences) -> list[list[str]]:
    starts, places = unpack_integers(preferences.starts), unpack_integers(preferences.places)
    names = [place.host + place.executor_id for place in preferences.locations]
    return [[names[k] for k in places[a:b]] for a, b in pairwise(starts)]


def test_a_node_that_has_preferences_tells_them_and_others_cost_nothing() -> None:
    source, up = described(placed(SerialJobRunner(), ["a", "b"], [], ["b", "executor_a_x_1"]).map(str)).nodes

    assert rows(source.preferences) == [["a", "b"], [], ["b", "ax_1"]]
    assert source.preferences.locations[2] == TaskLocation("a", ExecutorId("x_1"))
    assert up.preferences == Preferences()


def test_a_coalesced_rdd_prefers_what_most_of_its_members_prefer() -> None:
    sc = SerialJobRunner()
    with_places = described(placed(sc, ["a"], ["b"], ["b"]).map(str).coalesce(1)).nodes[-1]
    without = described(range_rdd(sc, 3, num_slices=3).coalesce(1)).nodes[-1]

    assert rows(with_places.preferences) == [["b", "a"]]
    assert without.preferences == Preferences()


def test_dependencies_say_which_partitions_of_the_parents_are_needed() -> None:
    sc = SerialJobRunner()
    left, right = range_rdd(sc, 4, num_slices=4), range_rdd(sc, 4, num_slices=2)
    union = described(left.union(right)).nodes[-1]
    (joined,) = described(left.coalesce(3)).nodes[-1].dependencies

    assert [getattr(dependency, "shift", None) for dependency in union.dependencies] == [0, 4]
    assert isinstance(joined, NarrowDependency)
    assert list(unpack_integers(joined.starts)) == [0, 1, 2, 4]
    assert list(unpack_integers(joined.parents)) == [0, 1, 2, 3]


def test_parents_of_a_union_without_partitions_shift_nothing() -> None:
    sc = SerialJobRunner()
    some = range_rdd(sc, 4, num_slices=2)
    none = some.prune_partitions(lambda index: False)
    union = described(none.union(some, none, none.map(str), some.map(str))).nodes[-1]

    assert [getattr(dependency, "shift", None) for dependency in union.dependencies] == [0, 0, 2, 2, 2]


def test_empty_rdds_are_no_parents_of_a_union() -> None:
    sc = SerialJobRunner()
    some = range_rdd(sc, 4, num_slices=2)
    union = described(empty(sc).union(some, empty(sc), some.map(str))).nodes[-1]

    assert [getattr(dependency, "shift", None) for dependency in union.dependencies] == [0, 2]


@pytest.mark.scenario("TSM-017")
def test_a_location_is_a_host_an_executor_or_a_host_that_caches_a_block() -> None:
    (node,) = described(placed(SerialJobRunner(), ["host1", "executor_host1_3", "hdfs_cache_host2"])).nodes

    assert node.preferences.locations == (
        TaskLocation("host1"), TaskLocation("host1", ExecutorId("3")), TaskLocation("host2"),
    )  # fmt: skip


@pytest.mark.parametrize("location", ["", "executor_", "executor_host", "executor__1", "hdfs_cache_", 7])
def test_what_is_no_location_is_refused_with_the_name_of_the_rdd(location: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"placed \[0\] at .* is no location"):
        described(placed(SerialJobRunner(), [location]))


def explode(*args: object) -> Any:
    raise OSError("the name node is down")


@pytest.mark.scenario("DAG-023")
def test_exceptions_of_user_code_that_finds_partitions_or_locations_fail_that_job_only() -> None:
    async def scenario(sc: SparkContext) -> None:
        for node in (Placed(sc, explode, lambda index: ()), Placed(sc, lambda: 2, explode)):
            with pytest.raises(OSError, match="the name node is down"):
                await RDD(sc, node).count()
        assert await placed(sc, ["a"], ["b"]).count() == 2

    run_inline(scenario)


def test_ten_thousand_steps_are_described_pickled_and_computed() -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = range_rdd(sc, 4, num_slices=2)
        for _ in range(10_000):
            numbers = numbers.map(operator.neg)
        return len(described(numbers).nodes), await numbers.collect()

    assert on_serial(job) == (10_001, [0, 1, 2, 3])
