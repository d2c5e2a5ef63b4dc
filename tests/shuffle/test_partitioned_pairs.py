"""Pairs gathered by partition: when they are pickled, and when they go to disk."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark.rdd.partitioner import HashPartitioner
from minispark.shuffle import partitioned_pairs
from minispark.shuffle.pairs import Compression, load_pairs, read_frames
from minispark.shuffle.partitioned_pairs import PartitionedPairs
from tests.shuffle.outputs import session, task_memory


def test_gathered_pairs_are_pickled_when_there_are_enough_of_them() -> None:
    pairs = PartitionedPairs(HashPartitioner(2), Compression(False))

    pairs.add(range(63), range(63))
    assert (pairs.records, pairs.gathered) == (0, 63)
    pairs.add([1], [1])

    assert (pairs.records, pairs.gathered) == (64, 0)
    assert pairs.limit > 1000


def test_of_large_values_only_a_few_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_pairs, "FLUSH_BYTES", 100_000)
    pairs = PartitionedPairs(HashPartitioner(2), Compression(False))
    held = []

    def records() -> Iterator[tuple[int, bytes]]:
        for number in range(500):
            held.append(number - pairs.records)
            yield number, number.to_bytes(10_000)

    pairs.add_records(records())

    assert max(held[:100]) == 63
    assert max(held[100:]) < 12


def test_of_small_pairs_as_many_are_gathered_as_the_share_has_room_for_as_objects(tmp_path: Path) -> None:
    pairs = PartitionedPairs(
        HashPartitioner(2), Compression(False), memory=task_memory(session(tmp_path), share_bytes=512 * 1000)
    )

    pairs.add(range(64), range(64))

    assert pairs.limit == 1000


def test_pickled_pairs_go_to_disk_when_the_share_is_full_and_come_back_in_their_order(tmp_path: Path) -> None:
    compression = Compression(False)
    memory = task_memory(session(tmp_path), share_bytes=100_000)
    spilling = PartitionedPairs(HashPartitioner(3), compression, memory=memory)
    holding = PartitionedPairs(HashPartitioner(3), compression)

    for pairs in (spilling, holding):
        pairs.add_records((number, str(number)) for number in range(50_000))
        pairs.flush()

    assert spilling.segments
    assert memory.metrics.spilled_bytes > 100_000 > spilling.held_bytes
    for partition in range(3):
        assert read_all(spilling, partition) == read_all(holding, partition)
        assert not spilling.chunks[partition]


def read_all(pairs: PartitionedPairs, partition: int) -> list[tuple[int, str]]:
    data = b"".join(pairs.take(partition))
    batches = map(load_pairs, read_frames(io.BytesIO(data), len(data)))
    return [pair for batch in batches for pair in zip(*batch, strict=True)]
