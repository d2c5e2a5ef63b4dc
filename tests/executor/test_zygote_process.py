"""Tests of a zygote's process: how it starts and how it is ended before anybody talks to it."""

import errno
import os
import subprocess
import sys
from typing import Any

import pytest

from minispark.errors import MiniSparkError
from minispark.executor.zygote_process import ZygoteProcess, working_directory
from minispark.rpc.world import ChildProcess, SystemWorld


@pytest.mark.cluster
def test_a_zygote_that_nobody_talked_to_can_be_ended_without_a_trace() -> None:
    before = len(os.listdir("/proc/self/fd"))

    zygote = ZygoteProcess.spawn(SystemWorld())
    zygote.abandon()

    assert zygote.child.poll() == -9
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.cluster
def test_a_zygote_whose_control_socket_ends_before_it_was_told_anything_ends_by_itself() -> None:
    zygote = ZygoteProcess.spawn(SystemWorld())

    zygote.control.close()

    assert zygote.child.wait() is not None
    zygote.close_pidfd()


@pytest.mark.parametrize(("executable", "complaint"), [("", "minispark.executor.pool=thread"), ("/none", "/none")])
def test_an_interpreter_that_cannot_be_started_is_an_error(
    monkeypatch: pytest.MonkeyPatch, executable: str, complaint: str
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", executable)

    with pytest.raises(MiniSparkError, match=complaint):
        ZygoteProcess.spawn(SystemWorld())

    assert len(os.listdir("/proc/self/fd")) == before


class Starter(SystemWorld):
    """Remembers what it started."""

    started: subprocess.Popen[bytes]

    def spawn_process(self, *args: Any, **options: Any) -> ChildProcess:
        child = super().spawn_process(*args, **options)
        assert isinstance(child, subprocess.Popen)
        self.started = child
        return child


@pytest.mark.cluster
def test_a_zygote_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    before, world = len(os.listdir("/proc/self/fd")), Starter()
    monkeypatch.setattr(os, "pidfd_open", refuse)

    with pytest.raises(MiniSparkError, match="too many open files"):
        ZygoteProcess.spawn(world)

    assert world.started.returncode == -9
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_that_is_far_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/x" * 100_000])

    with pytest.raises(MiniSparkError, match=r"sys\.path takes 2\d\d\d\d\d bytes"):
        ZygoteProcess.spawn(SystemWorld())


def test_a_removed_working_directory_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def removed() -> str:
        raise FileNotFoundError

    assert working_directory() == os.getcwd()
    monkeypatch.setattr(os, "getcwd", removed)
    assert working_directory() == "/"
