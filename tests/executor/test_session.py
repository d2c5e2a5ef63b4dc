"""Tests of session directories and their sweep."""

import os
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.session import SessionDirectory, local_directory, remove_leavings, sweep
from minispark.ids import TaskId
from minispark.storage.memory_folder import MemoryFolder


def test_a_session_directory_is_the_users_own(tmp_path: Path) -> None:
    session = SessionDirectory.create(tmp_path, os.urandom)

    assert session.path.name.startswith(f"minispark-{os.getpid()}-")
    assert session.path.stat().st_mode & 0o777 == 0o700
    assert (session.path / "token").stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in session.path.iterdir()) == ["blocks", "lock", "shuffle", "token"]
    session.remove()


def test_what_a_lost_attempt_left_is_removed(tmp_path: Path) -> None:
    session = SessionDirectory.create(tmp_path, os.urandom)
    for name in ("shuffle/shuffle_0_7.data.01.tmp", "shuffle/shuffle_0_8.data", "blocks/taskresult_7"):
        (session.path / name).touch()

    remove_leavings(str(session.path), TaskId(7))

    assert [path.name for path in session.path.glob("*/*")] == ["shuffle_0_8.data"]
    session.remove()
    remove_leavings(str(session.path), TaskId(7))


def test_two_sessions_have_different_tokens(tmp_path: Path) -> None:
    first, second = (SessionDirectory.create(tmp_path, os.urandom) for _ in range(2))

    assert (first.path / "token").read_text() != (second.path / "token").read_text()
    first.remove()
    second.remove()


def test_a_sweep_removes_what_nobody_holds(tmp_path: Path) -> None:
    held, left = (SessionDirectory.create(tmp_path, os.urandom) for _ in range(2))
    (left.path / "blocks" / "big").write_bytes(b"x")
    left.release()

    assert sweep(tmp_path) == [left.path]

    assert held.path.exists()
    assert not left.path.exists()
    held.remove()
    assert not held.path.exists()


def test_a_sweep_leaves_strangers_alone(tmp_path: Path) -> None:
    (tmp_path / "minispark-1-being-made").mkdir()
    (tmp_path / "minispark-file").write_text("")
    (tmp_path / "other").mkdir()
    session = SessionDirectory.create(tmp_path / "other", os.urandom)
    session.release()
    (tmp_path / "minispark-link").symlink_to(session.path)

    assert sweep(tmp_path) == []
    assert session.path.exists()


def test_a_name_that_is_taken_is_not_taken_again(tmp_path: Path) -> None:
    draws = iter([b"same", b"token", b"same", b"else", b"token"])

    first = SessionDirectory.create(tmp_path, lambda count: next(draws))
    second = SessionDirectory.create(tmp_path, lambda count: next(draws))

    assert first.path != second.path
    first.remove()
    second.remove()


def test_a_place_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(MiniSparkError, match=r"missing.*minispark\.local\.dir"):
        SessionDirectory.create(tmp_path / "missing", os.urandom)


def test_the_setting_says_where(tmp_path: Path) -> None:
    assert local_directory(SparkConf({"minispark.local.dir": tmp_path}, environment={})) == tmp_path
    assert local_directory(SparkConf(environment={})).is_dir()


def test_what_a_session_has_on_tmpfs_goes_with_it(tmp_path: Path) -> None:
    session = SessionDirectory.create(tmp_path, os.urandom)
    memory = MemoryFolder(str(session.path))
    assert memory.directory is not None

    session.remove()

    assert not memory.path.exists()
