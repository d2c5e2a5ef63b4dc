import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import MiniSparkError
from minispark.storage.broadcast_file import (
    GAP_BYTES,
    checksums_of,
    map_file,
    piece_count,
    piece_range,
    place_all,
    places_in,
    write_file,
)


def test_what_was_written_is_found_in_the_mapping(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    parts = [b"pickle", b"", b"x" * 5000, b"y"]

    size = write_file(path, parts[0], parts[1:])

    content = memoryview(map_file(path))
    assert len(content) == size
    assert [bytes(content[place]) for place in places_in(content)] == parts


@given(st.lists(st.integers(0, 500), min_size=1, max_size=6))
def test_all_parts_begin_at_multiples_with_room_before_and_after(sizes: list[int]) -> None:
    starts, end = place_all(sizes)

    assert all(start % GAP_BYTES == 0 for start in starts)
    ends = [0, *(start + size for start, size in zip(starts, sizes, strict=True))]
    assert all(start - before >= GAP_BYTES for start, before in zip(starts, ends[:-1], strict=True))
    assert end - ends[-1] == GAP_BYTES


@pytest.mark.scenario("BRD-002")
@pytest.mark.parametrize("size", [1, 99, 100, 101, 1000])
def test_the_pieces_of_a_file_make_the_file_again(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(number % 251 for number in range(size)))
    content, joined = path.read_bytes(), bytearray(size)

    for index in reversed(range(piece_count(size, 100))):
        offset, length = piece_range(index, size, 100)
        joined[offset : offset + length] = content[offset : offset + length]

    assert bytes(joined) == content
    sums = [zlib.adler32(content[start : start + 100]).to_bytes(4, "big") for start in range(0, size, 100)]
    assert checksums_of(str(path), 100) == b"".join(sums)


@pytest.mark.parametrize("content", [b"", b"short", b"msbcast1" + bytes(16), b"x" * 200])
def test_what_is_no_broadcast_is_refused(content: bytes) -> None:
    with pytest.raises(MiniSparkError, match="are not the file of a broadcast"):
        places_in(content)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(str(path), b"pickle", [b"x" * 100])

    with pytest.raises(MiniSparkError, match="are not the file of a broadcast"):
        places_in(path.read_bytes()[:-1])


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MiniSparkError, match=r"a broadcast of .* bytes cannot be written to .*missing/file"):
        write_file(str(tmp_path / "missing" / "file"), b"x")


def test_no_room_is_an_error_that_names_the_setting_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minispark.storage.broadcast_file.os.pwrite", full)
    with pytest.raises(MiniSparkError, match=r"No space left on device; set minispark\.local\.dir"):
        write_file(str(tmp_path / "file"), b"x")

    assert list(tmp_path.iterdir()) == []
