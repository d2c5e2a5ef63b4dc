"""Tests of the parts of a zygote at work; the whole is tested with real runners in `tests/cluster`."""

import os
import random
import sys
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError
from minispark.executor.nursery import explain, open_fds, own_children, preload, remove, reseed


def test_modules_are_preloaded_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "quiet_preload.py").write_text("loaded = True")
    monkeypatch.syspath_prepend(str(tmp_path))

    preload(("quiet_preload",))

    assert sys.modules.pop("quiet_preload").loaded


def test_a_module_that_starts_a_thread_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minispark.executor.nursery.thread_count", iter([1, 2]).__next__)

    with pytest.raises(ConfigurationError, match=r"executor\.preload: importing json starts a thread"):
        preload(("json",))


def test_only_a_session_directory_is_removed(tmp_path: Path) -> None:
    session, other = tmp_path / "session", tmp_path / "other"
    for directory in (session, other):
        directory.mkdir()
    (session / "lock").touch()

    for name in (str(session), str(other), ""):
        remove(name, ())

    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.scenario("HIS-005", "DiskBlockManager")
def test_what_a_shuffle_service_serves_stays_in_a_session_directory(tmp_path: Path) -> None:
    for name in ("shuffle", "blocks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in ("lock", "token"):
        (tmp_path / name).touch()

    remove(str(tmp_path), ("shuffle",))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "shuffle", "token"]
    assert (tmp_path / "shuffle" / "file").exists()


@pytest.mark.scenario("ESS-001", "25888 disk-persisted RDD blocks served")
def test_of_a_folder_stay_the_files_that_begin_like_what_is_served(tmp_path: Path) -> None:
    for name in ("shuffle", "blocks", "runners"):
        (tmp_path / name).mkdir()
        for file in ("rdd_1_0.5", "broadcast_3"):
            (tmp_path / name / file).touch()
    (tmp_path / "lock").touch()

    remove(str(tmp_path), ("shuffle", "blocks/rdd_"))

    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == ["blocks/rdd_1_0.5", "lock", "shuffle/broadcast_3", "shuffle/rdd_1_0.5"]


def test_descriptors_that_are_open_are_listed() -> None:
    read, write = os.pipe()
    assert {read, write} < open_fds()

    os.close(read)
    os.close(write)
    assert not {read, write} & open_fds()


def test_a_reseeded_process_draws_other_numbers() -> None:
    state = random.getstate()
    reseed()

    assert random.getstate() != state


@pytest.mark.cluster
def test_children_are_known_by_their_ids() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})

    assert pid in own_children()

    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert pid not in own_children()


def test_settings_explain_themselves() -> None:
    assert explain(ConfigurationError("this is wrong")) == "this is wrong"
    assert explain(OSError("disk")) == "OSError: disk"
