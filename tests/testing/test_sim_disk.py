import errno
import os
from pathlib import Path

import pytest

from minispark.testing.sim_disk import full_disk, same_but_guarded


def test_on_a_full_disk_nothing_can_be_written_but_all_can_be_read(tmp_path: Path) -> None:
    full, other = tmp_path / "full", tmp_path / "other"
    for folder in (full, other):
        folder.mkdir()
        (folder / "old").write_text("here")
    with full_disk(f"{full}/"):
        for attempt in (lambda: (full / "new").open("xb"), lambda: os.open(full / "new", os.O_CREAT | os.O_RDWR)):
            with pytest.raises(OSError, match="No space left") as caught:
                attempt()
            assert caught.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="No space left"):
            (full / "new").write_text("more")
        (other / "new").write_text("room")
        assert (full / "old").read_text() == "here"
    (full / "new").write_text("room again")
    assert sorted(path.name for path in full.iterdir()) == ["new", "old"]


def test_whoever_took_hold_of_open_before_is_guarded_too(tmp_path: Path) -> None:
    before = os.open
    with full_disk(f"{tmp_path}/"), pytest.raises(OSError, match="No space left"):
        same_but_guarded(before)(tmp_path / "new", os.O_CREAT | os.O_WRONLY)
    assert same_but_guarded(before) is os.open is before
    assert same_but_guarded(len) is len
