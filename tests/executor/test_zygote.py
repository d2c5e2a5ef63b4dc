"""Tests of a zygote's beginning, as a process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark.executor.interpreter import child_environment, interpreter_command
from minispark.executor.zygote import CONTROL_PACKET_SIZE
from minispark.ids import ExecutorId
from minispark.messages.runner import StartZygote, ZygoteFailed, ZygoteReady
from minispark.messages.task import BlockManagerId
from minispark.rpc.logic.codec import decode, encode
from tests.executor.stand_in import FACTORY

pytestmark = pytest.mark.cluster


class Zygote:
    """A zygote and the executor's end of its control socket."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [*interpreter_command("minispark.executor.zygote"), str(theirs.fileno())],
                env=child_environment(os.environ), pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip

    def place(self, directory: Path) -> None:
        """Say the first thing: where it is and where modules are."""
        self.control.send(b"\0".join(map(os.fsencode, [str(directory), *sys.path])))

    def start(self, factory: str = FACTORY, directory: str = "", **environment: str) -> object:
        """Say the second thing; return the answer."""
        location = BlockManagerId(ExecutorId("driver"), "localhost", 0, "")
        self.control.send(encode(StartZygote(environment, (), (), factory, {}, location, directory))[0])
        return decode(self.control.recv(CONTROL_PACKET_SIZE))

    def end(self) -> int:
        self.control.close()
        return self.process.wait(60)


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.end()


def test_a_zygote_is_where_it_is_told_to_be_and_ends_with_its_executor(zygote: Zygote, tmp_path: Path) -> None:
    zygote.place(tmp_path)

    assert zygote.start() == ZygoteReady(zygote.process.pid)
    assert Path(f"/proc/{zygote.process.pid}/cwd").readlink() == tmp_path
    assert len(os.listdir(f"/proc/{zygote.process.pid}/task")) == 1
    assert zygote.end() == 0


def test_a_zygote_that_was_told_nothing_ends_quietly(zygote: Zygote, capfd: pytest.CaptureFixture[str]) -> None:
    assert zygote.end() == 0
    assert capfd.readouterr() == ("", "")


def test_a_zygote_ignores_what_ends_the_rest_of_the_tree(zygote: Zygote, tmp_path: Path) -> None:
    zygote.place(tmp_path)
    zygote.start()

    ignored = int(
        next(
            line.split()[1]
            for line in Path(f"/proc/{zygote.process.pid}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        ),
        16,
    )

    assert all(ignored >> number - 1 & 1 for number in (1, 2, 3, 15))


def test_a_zygote_says_why_it_cannot_start(zygote: Zygote, tmp_path: Path) -> None:
    zygote.place(tmp_path)

    answer = zygote.start("no.such.module:function")

    assert isinstance(answer, ZygoteFailed)
    assert answer.error == "ModuleNotFoundError: No module named 'no'"


@pytest.mark.parametrize(("factory", "left"), [(FACTORY, []), ("no.such.module:function", ["lock"])])
def test_the_session_directory_is_removed_by_a_zygote_that_was_at_work_alone(
    zygote: Zygote, tmp_path: Path, factory: str, left: list[str]
) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "lock").touch()
    zygote.place(tmp_path)

    zygote.start(factory, str(session))
    zygote.end()

    assert [path.name for path in session.glob("*")] == left


@pytest.mark.parametrize("factory", [FACTORY, "no.such.module:function", ""])
def test_nothing_is_left_unclosed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], factory: str
) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    zygote = Zygote()
    if factory:
        zygote.place(tmp_path)
        zygote.start(factory)

    zygote.end()

    assert capfd.readouterr().err == ""
