"""What the scheduler is told of an RDD, and what is learnt before."""

import operator
from typing import Any

from minispark.ids import BinaryId
from minispark.messages.task import Lineage, NarrowDependency, ShuffleDependencyInfo
from minispark.rdd.lineage import describe
from minispark.rdd.ports import JobRunner
from minispark.rdd.rdd import RDD
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
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
