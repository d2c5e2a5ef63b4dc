"""The two kinds of work, as a runner does them."""

import operator
from typing import Any

import pytest

from minispark.rdd.actions import list_records
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.node import Partition
from minispark.rdd.ports import MutableTaskMetrics
from minispark.rdd.sources import parallelize, range_rdd
from minispark.rdd.tasks import ResultTask, ShuffleMapTask
from minispark.testing.serial import MemoryShuffles, SerialJobRunner


class Context:
    """What these tasks need of a TaskContext."""

    def __init__(self) -> None:
        self.shuffle = MemoryShuffles()
        self.metrics = MutableTaskMetrics()


def test_a_result_task_applies_its_function_to_one_partition() -> None:
    context: Any = Context()
    task = ResultTask(range_rdd(SerialJobRunner(), 10, num_slices=2).node, list_records)

    assert task.run(Partition(1), context) == [5, 6, 7, 8, 9]
    assert context.metrics.records_read == 5


def test_a_map_task_writes_one_output_for_the_reducers() -> None:
    context: Any = Context()
    counts = parallelize(SerialJobRunner(), [(0, 1), (1, 1), (0, 1)], 1).reduce_by_key(operator.add, 2)
    dependency = counts.node.dependencies[0]
    assert isinstance(dependency, ShuffleDependency)
    task = ShuffleMapTask(dependency.node, dependency)

    status = task.run(dependency.node.partitions()[0], context)

    assert status.map_index == 0
    assert context.metrics.records_read == 3
    assert [list(context.shuffle.read(dependency, index)) for index in range(2)] == [[(0, 2)], [(1, 1)]]


def test_a_task_that_recurses_too_deeply_in_a_long_lineage_says_what_helps() -> None:
    context: Any = Context()
    long, short = (range_rdd(SerialJobRunner(), 1, num_slices=1) for _ in range(2))
    for _ in range(2000):
        # The map between two generators makes one call the other: what a loop reads is no call in Python 3.13.
        long = long.map_partitions(lambda records: (record for record in map(int, records)))

    def endless(number: int) -> int:
        return endless(number + 1)

    for rdd, steps in ((long, "2001 steps"), (short.map(endless), None)):
        with pytest.raises(RecursionError) as caught:
            ResultTask(rdd.node, list_records).run(Partition(0), context)
        notes = getattr(caught.value, "__notes__", [])
        assert bool(notes) == bool(steps)
        assert steps is None or (steps in notes[0] and "checkpoint()" in notes[0])
