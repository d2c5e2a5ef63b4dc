"""Spill files: nameless, and gone with whoever wrote them."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from minispark.errors import StorageError
from minispark.ids import TaskId
from minispark.shuffle.spill_file import SegmentReader, SpillFile
from tests.shuffle.outputs import session


def test_segments_are_read_back_in_any_order(tmp_path: Path) -> None:
    file = SpillFile(session(tmp_path).directory, TaskId(1))
    first, second = file.append([b"abc", b"de"]), file.append([b"x" * (3 << 20), b"y"])

    assert (first, second) == ((0, 5), (5, (3 << 20) + 1))
    reader = SegmentReader(file, second)
    assert (reader.read(2), reader.read(4 << 20)[-1:], reader.read(1)) == (b"xx", b"y", b"")
    assert SegmentReader(file, first).read(100) == b"abcde"


def test_the_file_has_no_name_and_goes_when_nobody_refers_to_it(tmp_path: Path) -> None:
    location = session(tmp_path)
    file = SpillFile(location.directory, TaskId(1))
    file.append([b"abc"])
    fd = file.fd

    assert list((tmp_path / "shuffle").iterdir()) == []
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"cannot spill to {tmp_path}/gone .*No such file"):
        SpillFile(str(tmp_path / "gone"), TaskId(1))


def test_a_full_disk_is_named_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SpillFile(session(tmp_path).directory, TaskId(1))
    file.append([b"abc"])

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=rf"{tmp_path} \(3 bytes so far\): No space .* minispark.local.dir"):
        file.append([b"d"])


def test_what_is_written_in_part_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SpillFile(session(tmp_path).directory, TaskId(1))
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:2], at))

    segment = file.append([b"abcdefg"])

    assert SegmentReader(file, segment).read(9) == b"abcdefg"
