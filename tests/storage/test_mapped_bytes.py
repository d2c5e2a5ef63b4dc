import gc
import sys
from pathlib import Path

from minispark.storage import mapped_bytes
from minispark.storage.broadcast_file import map_file, places_in, write_file
from minispark.storage.mapped_bytes import MAPPED_FROM_BYTES, bytes_in, live, release_unused

CONTENT = bytes(range(256)) * (MAPPED_FROM_BYTES // 256)


def read(folder: Path, content: bytes) -> bytes:
    path = str(folder / "file")
    write_file(path, b"", [content])
    view = memoryview(map_file(path))
    return bytes_in(path, view, places_in(view)[1])


def test_mapped_bytes_are_bytes_in_every_way(tmp_path: Path) -> None:
    value = read(tmp_path, CONTENT)

    assert type(value) is bytes
    assert value == CONTENT
    assert hash(value) == hash(CONTENT)
    assert value[5:9] + b"!" == b"\x05\x06\x07\x08!"
    assert {value: 1}[CONTENT] == 1
    assert value.decode("latin-1").encode("latin-1") == CONTENT
    assert sys.getsizeof(value) == sys.getsizeof(CONTENT)


def test_mapped_bytes_stay_while_somebody_uses_them_and_go_afterwards(tmp_path: Path) -> None:
    value = read(tmp_path, CONTENT)
    (tmp_path / "file").unlink()
    others = [value, {"again": value}]
    count = len(live)

    release_unused()
    assert len(live) == count
    assert others[0] == CONTENT

    del value, others
    gc.collect()
    release_unused()
    assert len(live) == count - 1


def test_the_file_is_not_changed(tmp_path: Path) -> None:
    value = read(tmp_path, CONTENT)
    before = (tmp_path / "file").read_bytes()

    assert hash(value) == hash(CONTENT)
    assert (tmp_path / "file").read_bytes() == before
    assert CONTENT in before


def test_few_bytes_are_copied(tmp_path: Path) -> None:
    release_unused()
    before = len(live)

    assert read(tmp_path, b"few") == b"few"
    assert len(live) == before


def test_where_objects_look_different_the_content_is_copied(tmp_path: Path) -> None:
    release_unused()
    before = len(live)
    expected, mapped_bytes.IS_AS_EXPECTED = mapped_bytes.IS_AS_EXPECTED, False  # type: ignore[misc]
    try:
        assert read(tmp_path, CONTENT) == CONTENT
    finally:
        mapped_bytes.IS_AS_EXPECTED = expected  # type: ignore[misc]
    assert len(live) == before
