"""Writing one map output: combine if asked, partition, pickle, write. Runs in a runner, inside of a task."""

from collections.abc import Callable, Iterable
from typing import Any

from minispark.rdd.dependency import ShuffleDependency
from minispark.shuffle.external_combine import gather
from minispark.shuffle.files import MapOutputFile
from minispark.shuffle.pairs import Compression
from minispark.shuffle.partitioned_pairs import PartitionedPairs
from minispark.shuffle.task_memory import TaskMemory

__all__ = ["write_map_output"]


def write_map_output(
    dependency: ShuffleDependency[Any, Any, Any],
    records: Iterable[tuple[Any, Any]],
    output: Callable[[], MapOutputFile],
    memory: TaskMemory,
    *,
    compress: bool,
    fallback: Callable[[Any], bytes] | None = None,
) -> tuple[list[int], int]:
    """Write one map output and return the bytes of each partition and the number of pairs written.

    Args:
        dependency: partitioner, aggregator, whether to combine.
        records: (key, value) pairs.
        output: opens the files; called when all records are in.
        memory: the attempt's share.
        compress: whether lz4 is tried.
        fallback: pickles what the C pickler cannot.

    Raises:
        TypeError: a key cannot be hashed, or a record is no pair.
        PicklingError: a key or a value cannot be pickled.
        StorageError: the disk is full.
    """
    pairs = PartitionedPairs(dependency.partitioner, Compression(compress), fallback, memory)
    aggregator = dependency.aggregator
    if dependency.map_side_combine and aggregator is not None:
        gather(memory, aggregator, records, pairs)
    else:
        pairs.add_records(records)
        pairs.flush()
    with output() as file:
        file.append_all(map(pairs.take, range(dependency.partitioner.num_partitions)))
        return file.commit(), pairs.records
