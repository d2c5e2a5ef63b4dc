"""What `rdd.barrier()` gives; the waiting itself is tested in tests/executor and tests/cluster."""

from collections.abc import Iterator
from typing import Any

import pytest

from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine


def test_the_function_is_called_once_per_partition(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        numbers = parallelize(sc, [1, 2, 3, 4], 2)
        sums = await numbers.barrier().map_partitions(lambda records: [sum(records)]).collect()
        return sums, await numbers.barrier().map_partitions_with_index(lambda i, r: [(i, *r)]).collect()

    assert serial(job) == ([3, 7], [(0, 1, 2), (1, 3, 4)])


def test_its_node_is_a_barrier_and_named_by_its_operation() -> None:
    def same(records: Iterator[int]) -> Iterator[int]:
        return records

    rdd = parallelize(SerialJobRunner(), [1, 2], 2).barrier().map_partitions(same)

    assert rdd.node.is_barrier
    assert rdd.name == "barrier().map_partitions"
    assert not rdd.map(str).node.is_barrier


def test_a_partitioner_is_kept_on_request(serial: Engine) -> None:
    pairs = parallelize(SerialJobRunner(), [("a", 1)], 2).group_by_key(2).barrier()

    assert pairs.map_partitions(list, preserves_partitioning=True).partitioner == pairs.rdd.partitioner
    assert pairs.map_partitions(list).partitioner is None


def test_what_is_no_function_is_refused_at_once() -> None:
    barrier = parallelize(SerialJobRunner(), [1], 1).barrier()

    with pytest.raises(TypeError, match="map_partitions"):
        barrier.map_partitions(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="map_partitions_with_index"):
        barrier.map_partitions_with_index(1)  # type: ignore[arg-type]
