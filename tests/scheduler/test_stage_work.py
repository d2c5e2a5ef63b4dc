import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from minispark.errors import PicklingError
from minispark.rdd import closures
from minispark.rdd.checkpoints import cut
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.ports import TaskContext
from minispark.rdd.shuffled import shuffle_of
from minispark.rdd.sources import parallelize, range_rdd
from minispark.rdd.tasks import ResultTask, ShuffleMapTask
from minispark.scheduler.stage_work import StageWork
from minispark.storage.broadcast import BinaryTable
from minispark.testing.serial import SerialJobRunner


def first(context: TaskContext, records: Iterator[Any]) -> Any:
    return next(records)


def make() -> tuple[StageWork, list[int]]:
    forgotten: list[int] = []
    return StageWork(BinaryTable(), forgotten.append), forgotten


def test_a_jobs_binary_holds_its_function_and_goes_with_the_job() -> None:
    work, _ = make()
    node = range_rdd(SerialJobRunner(), 0, 4, 1, 2).node
    binary_id = work.add_job(node, first)
    data = work.binaries.get(binary_id)
    assert data is not None
    assert isinstance(closures.loads(data.data), ResultTask)
    work.remove(binary_id)
    assert work.binaries.get(binary_id) is None
    assert work.partition_data(binary_id, 0) == b""


def test_a_shuffles_binary_is_made_once_and_forgotten_with_its_dependency() -> None:
    work, forgotten = make()
    rdd = parallelize(SerialJobRunner(), [("a", 1)], 1).group_by_key(2)
    (dependency,) = rdd.node.dependencies
    assert isinstance(dependency, ShuffleDependency)
    binary_id = work.of_dependency(dependency)
    assert work.of_dependency(dependency) == binary_id
    data = work.binaries.get(binary_id)
    assert data is not None
    assert isinstance(closures.loads(data.data), ShuffleMapTask)
    shuffle_id = dependency.shuffle_id
    del dependency, rdd
    gc.collect()
    assert forgotten == [shuffle_id]
    assert len(work.binaries) == 0


def test_a_partition_that_is_only_a_number_needs_no_bytes() -> None:
    work, _ = make()
    node = parallelize(SerialJobRunner(), [1, 2, 3], 1).map(str).node
    binary_id = work.add_job(node, first)
    partition = pickle.loads(work.partition_data(binary_id, 0))
    assert partition.index == 0


def test_what_cannot_be_pickled_is_named_when_the_job_is_made() -> None:
    work, _ = make()
    handle = iter([1]).__next__  # something that lives in this process
    generator = (n for n in [1])
    node = parallelize(SerialJobRunner(), [1], 1).map(lambda n: (handle, generator)).node
    with pytest.raises(PicklingError, match="generator"):
        work.add_job(node, first)
    assert len(work.binaries) == 0


@pytest.mark.parametrize("is_indeterminate", [True, False])
def test_map_sides_that_compute_a_node_are_pickled_anew_before_it_is_cut(is_indeterminate: bool) -> None:
    work, forgotten = make()
    sc = SerialJobRunner()
    base = range_rdd(sc, 4, num_slices=2).map(abs)
    below, beside = base.key_by(str).group_by_key(2), range_rdd(sc, 4).key_by(str).group_by_key(2)
    first_ids = [work.of_dependency(shuffle_of(rdd.node)) for rdd in (below, beside)]
    work.renew(base.node, is_indeterminate)
    cut(base.node, "/ck", "determinate")
    second_ids = [work.of_dependency(shuffle_of(rdd.node)) for rdd in (below, beside)]
    assert (first_ids[0] != second_ids[0], first_ids[1] == second_ids[1]) == (True, True)
    assert work.binaries.get(first_ids[0]) is not None  # jobs that run now use it
    assert shuffle_of(below.node).node.is_indeterminate == is_indeterminate
    shuffle_id = shuffle_of(below.node).shuffle_id
    del below
    gc.collect()
    assert forgotten == [shuffle_id]
    assert [work.binaries.get(each) is None for each in (first_ids[0], second_ids[0])] == [True, True]


def test_partitions_that_are_nested_too_deeply_say_what_helps() -> None:
    work, _ = make()
    sc = SerialJobRunner()
    rdd = range_rdd(sc, 1, num_slices=1)
    for _ in range(3000):
        rdd = rdd.union(range_rdd(sc, 1, num_slices=1)).coalesce(1)
    binary_id = work.add(b"", rdd.node)
    with pytest.raises(PicklingError, match=r"checkpoint\(\)"):
        work.partition_data(binary_id, 0)
