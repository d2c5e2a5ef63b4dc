from pathlib import Path

import pytest

from minispark.ids import BlockId
from minispark.messages.task import DirectResult, IndirectResult
from minispark.storage.block_reader import read_result


def left_result(path: Path, sizes: tuple[int, ...] = (3, 2), size_bytes: int = 5) -> IndirectResult:
    return IndirectResult(BlockId("taskresult_7"), size_bytes, True, str(path), sizes)


def test_batches_are_read_and_the_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "taskresult_7"
    path.write_bytes(b"abcde")

    result = read_result(left_result(path))

    assert isinstance(result, DirectResult)
    assert result.rows
    assert [bytes(batch) for batch in result.batches] == [b"abc", b"de"]
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"abcd", b"abcdef"])
def test_a_file_of_another_length_is_a_lost_result(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "taskresult_7"
    path.write_bytes(content)

    assert read_result(left_result(path)) is None
    assert not path.exists()


def test_a_missing_file_is_a_lost_result(tmp_path: Path) -> None:
    assert read_result(left_result(tmp_path / "gone")) is None


def test_a_result_that_was_dropped_for_its_size_cannot_be_read() -> None:
    assert read_result(IndirectResult(BlockId("taskresult_7"), 1 << 40, True, "", ())) is None
