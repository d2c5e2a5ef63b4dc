import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minispark.errors import PicklingError, StorageError
from minispark.storage.block_files import BlockWriter, copy_file, read_block, record_batches, remove


def written(path: Path, *batches: list[Any]) -> BlockWriter:
    writer = BlockWriter(str(path))
    for batch in batches:
        writer.write(batch)
    writer.close()
    return writer


@pytest.mark.scenario("HIS-005", "DiskStore")
def test_batches_come_back_as_records_in_their_order(tmp_path: Path) -> None:
    writer = written(tmp_path / "block", [1, "two"], [None], [])

    assert list(read_block(str(tmp_path / "block"), writer.size_bytes)) == [1, "two", None]
    assert (tmp_path / "block").stat().st_size == writer.size_bytes


def test_large_buffers_are_views_of_the_file(tmp_path: Path) -> None:
    array = np.arange(5000)
    writer = written(tmp_path / "block", [("first", array)], [("second", array[:5])])

    (_, first), (_, second) = read_block(str(tmp_path / "block"))

    assert (first == array).all()
    assert (second == array[:5]).all()
    assert not first.flags.owndata
    assert first.ctypes.data % 64 == 0
    assert writer.buffer_bytes == array.nbytes


def test_an_array_in_columns_order_and_a_slice_with_steps_come_back_equal(tmp_path: Path) -> None:
    arrays = [np.arange(10_000).reshape(100, 100).T, np.arange(20_000)[::2]]
    written(tmp_path / "block", arrays)

    assert all((a == b).all() for a, b in zip(read_block(str(tmp_path / "block")), arrays, strict=True))


def test_a_removed_file_can_be_read_on(tmp_path: Path) -> None:
    written(tmp_path / "block", [1], [2])
    records = read_block(str(tmp_path / "block"))
    remove(str(tmp_path / "block"))

    assert list(records) == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"x" * 7])
def test_a_file_that_is_none_is_refused(tmp_path: Path, damage: bytes) -> None:
    writer = written(tmp_path / "block", [1])
    (tmp_path / "block").write_bytes(damage)

    with pytest.raises(StorageError, match="block"):
        list(read_block(str(tmp_path / "block"), writer.size_bytes if len(damage) != 64 else None))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        read_block(str(tmp_path / "block"))


def test_a_writer_may_go_on_in_another_file(tmp_path: Path) -> None:
    writer = BlockWriter(str(tmp_path / "a"))
    writer.write(list(range(1000)))
    writer.flush()
    writer.move(str(tmp_path / "b"))
    writer.write([1])
    writer.close()

    assert list(read_block(str(tmp_path / "b"))) == [*range(1000), 1]
    assert not (tmp_path / "a").exists()


def test_what_was_written_can_be_taken_back(tmp_path: Path) -> None:
    writer = BlockWriter(str(tmp_path / "a"))
    writer.write([1, 2])

    assert list(writer.take_back()) == [1, 2]
    assert not (tmp_path / "a").exists()


def test_what_the_pickler_cannot_do_is_left_to_the_fallback(tmp_path: Path) -> None:
    plain = BlockWriter(str(tmp_path / "plain"))
    with pytest.raises(PicklingError, match="record"):
        plain.write([lambda: 0])
    plain.discard()

    able = BlockWriter(str(tmp_path / "able"), lambda batch: pickle.dumps([None] * len(batch)))
    able.write([lambda: 0, lambda: 1])
    assert list(able.take_back()) == [None, None]


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy_file(str(tmp_path / "missing"), str(tmp_path / "copy"))

    assert not (tmp_path / "copy").exists()


def test_batches_of_large_records_are_small() -> None:
    sizes = [0]
    batches = []
    for batch in record_batches(range(1000), lambda: sizes[0]):
        batches.append(len(batch))
        sizes[0] += 100_000 * len(batch)

    assert batches[0] == 64
    assert set(batches[1:]) == {1}


def test_batches_of_small_records_grow_to_a_thousand() -> None:
    assert [len(batch) for batch in record_batches(range(3000), lambda: 0)] == [64, 512, 1000, 1000, 424]


@pytest.mark.scenario("HIS-005", "DiskStore")
def test_a_block_of_more_than_two_gibibytes_is_read(tmp_path: Path) -> None:
    small, large = 1 << 16, (2 << 30) + (1 << 16)
    path = tmp_path / "block"
    writer = BlockWriter(str(path))
    writer.write([pickle.PickleBuffer(bytes(small))])
    writer.close()
    content = bytearray(path.read_bytes())
    at = content.index(small.to_bytes(8, "little"))
    content[at : at + 8] = large.to_bytes(8, "little")
    path.write_bytes(content)
    os.truncate(path, len(content) - small + large)  # the rest is a hole: it takes no disk

    (record,) = read_block(str(path), len(content) - small + large)

    assert memoryview(record).nbytes == large
    assert memoryview(record)[-1] == 0
