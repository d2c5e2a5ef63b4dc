"""Whole partitions: several RDDs' taken together by a function, and some of one RDD's left out."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.messages.scheduler import unpack_integers
from minispark.rdd.lineage import describe
from minispark.rdd.node import locations_of
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, on_serial


def no_records(*sides: Iterator[Any]) -> Any:
    return 5


def sizes(*sides: Iterator[Any]) -> list[int]:
    return [len(list(side)) for side in sides]


@pytest.mark.scenario("HIS-007", "ZippedPartitions")
def test_a_function_gets_the_partitions_of_equal_number_whatever_their_lengths(engine: Engine) -> None:
    async def job(sc: JobRunner) -> list[int]:
        numbers, texts = parallelize(sc, [1, 2, 3, 4], 2), parallelize(sc, "123456", 2)
        return await numbers.zip_partitions(sizes, texts, parallelize(sc, [1.0, 2.0], 2)).collect()

    assert engine(job) == [2, 3, 1, 2, 3, 1]


@pytest.mark.scenario("HIS-007", "ZippedPartitions")
@given(st.lists(st.integers()), st.lists(st.integers()), st.integers(1, 5))
def test_a_function_sees_the_records_of_each_side_in_their_order(
    left: list[int], right: list[int], parts: int
) -> None:
    async def job(sc: JobRunner) -> Any:
        one, other = parallelize(sc, left, parts), parallelize(sc, right, parts)
        both = one.zip_partitions(lambda *sides: [tuple(map(tuple, sides))], other)
        return await both.collect(), await one.glom().collect(), await other.glom().collect()

    both, lefts, rights = on_serial(job)
    assert both == list(zip(map(tuple, lefts), map(tuple, rights), strict=True))


@pytest.mark.scenario("HIS-007", "ZippedPartitions")
def test_numbers_of_partitions_must_be_equal_to_take_them_together(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        uneven = range_rdd(sc, 4, num_slices=2).zip_partitions(sizes, range_rdd(sc, 4, num_slices=3))
        return await uneven.collect()

    with pytest.raises(
        ConfigurationError, match=r"zip_partitions needs RDDs with as many partitions: .* has 2, .* 3"
    ):
        serial(job)


def test_what_a_function_of_several_partitions_returns_must_be_iterable(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = range_rdd(sc, 4, num_slices=2)
        return await rdd.zip_partitions(no_records, rdd).collect()

    with pytest.raises(TypeError, match=r"zip_partitions .* must return an iterable of records, and returned int"):
        serial(job)


def test_keys_stay_where_they_are_if_the_function_is_said_to_leave_them(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        pairs = parallelize(sc, [(1, "a"), (2, "b")], 1).partition_by(2)
        loose = pairs.zip_partitions(sizes, pairs)
        return pairs.zip_partitions(sizes, pairs, preserves_partitioning=True).partitioner, loose.partitioner

    kept, lost = serial(job)
    assert kept is not None
    assert lost is None


def test_partitions_that_are_taken_together_are_where_most_of_them_are() -> None:
    sc = SerialJobRunner()
    rdds = [range_rdd(sc, 4, num_slices=2) for _ in range(3)]
    for rdd, hosts in zip(rdds, (["a"], ["b", "c"], ["c"]), strict=True):
        rdd.node.preferred_locations = lambda partition, hosts=hosts: hosts  # type: ignore[method-assign,misc]
    together = rdds[0].zip_partitions(sizes, *rdds[1:]).node
    assert locations_of(together, together.partitions()[1]) == ["c", "a", "b"]


@pytest.mark.scenario("HIS-007", "PartitionPruning")
def test_only_the_partitions_that_are_kept_are_computed(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rest = range_rdd(sc, 1, 11, num_slices=10).map(lambda n: 10 // (n - 1) + n).prune_partitions(lambda i: i > 8)
        return rest.get_num_partitions(), await rest.collect()

    assert engine(job) == (1, [11])


@pytest.mark.scenario("HIS-007", "PartitionPruning")
def test_partitions_that_are_kept_have_new_numbers_and_know_their_parents() -> None:
    sc = SerialJobRunner()
    pruned = range_rdd(sc, 3, num_slices=3)
    pruned.node.preferred_locations = lambda partition: [f"host-{partition.index}"]  # type: ignore[method-assign]
    node = pruned.prune_partitions(lambda index: index == 2).node
    (partition,) = node.partitions()
    assert partition.index == 0
    assert node.member(partition) == (pruned.node, pruned.node.partitions()[2])
    assert locations_of(node, partition) == ["host-2"]


@pytest.mark.scenario("HIS-007", "PartitionPruning")
def test_pruned_rdds_can_be_brought_together_and_shuffled(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, [4, 5, 6], 3)
        merged = rdd.prune_partitions(lambda index: index == 0) + rdd.prune_partitions(lambda index: index == 2)
        return await merged.count(), await merged.take(2), await merged.map(lambda n: (n, n)).group_by_key(2).count()

    assert engine(job) == (2, [4, 6], 2)


def test_the_scheduler_is_told_which_partitions_were_kept() -> None:
    sc = SerialJobRunner()
    pruned = range_rdd(sc, 6, num_slices=6).prune_partitions(lambda index: index % 3 == 1)
    nothing = pruned.prune_partitions(lambda index: False)
    lineage = describe(nothing.node, lambda dependency: 0)  # type: ignore[arg-type,return-value]  # no shuffle here
    needed = [
        (list(unpack_integers(dependency.starts)), list(unpack_integers(dependency.parents)))
        for node in lineage.nodes[1:]
        for dependency in node.dependencies
        if not hasattr(dependency, "shuffle_id")
    ]
    assert needed == [([0, 1, 2], [1, 4]), ([], [])]


def test_a_function_that_chooses_partitions_stays_in_the_driver(engine: Engine) -> None:
    async def job(sc: JobRunner) -> list[int]:
        return await range_rdd(sc, 4, num_slices=4).prune_partitions(lambda index: index and sc is not None).collect()

    assert engine(job) == [1, 2, 3]


def test_what_is_no_function_or_rdd_is_refused_at_once(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        rdd: Any = range_rdd(sc, 4, num_slices=4)
        for method in (rdd.zip_partitions, rdd.prune_partitions):
            with pytest.raises(TypeError, match=rf"{method.__name__} needs a function, not 5"):
                method(5)
        with pytest.raises(TypeError, match="zip_partitions needs another RDD"):
            rdd.zip_partitions(sizes, [1])

    serial(job)
