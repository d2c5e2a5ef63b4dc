"""Real processes of a worker: their session, their lifeline, their logs, their end."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from minispark.deploy.process_log import LogRoller, RolledLog
from minispark.deploy.processes import ProcessCommand, SystemLauncher, SystemProcess, kill_session, session_of
from minispark.rpc.world import SystemWorld

pytestmark = pytest.mark.cluster


class House:
    """A launcher, and what it starts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = SystemWorld()
        self.roller = LogRoller(self.world)
        self.launcher = SystemLauncher(self.world, self.roller)

    def start(self, *argv: str, lifeline: bytes | None = None) -> SystemProcess:
        logs = RolledLog(self.folder / "stdout"), RolledLog(self.folder / "stderr")
        return self.launcher.launch(ProcessCommand(argv, {"PATH": os.environ["PATH"]}, self.folder, logs, lifeline))

    def shell(self, script: str) -> SystemProcess:
        return self.start("/bin/sh", "-c", script)

    async def printed(self, count: int = 1) -> list[str]:
        """Wait until a process has printed that many lines."""
        while len(lines := (self.folder / "stdout").read_text().splitlines()) < count:
            await self.world.sleep(0.01)
        return lines


def with_house(folder: Path, scenario: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await scenario(House(folder))

    asyncio.run(run())


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def test_what_a_process_prints_is_in_its_logs_when_it_has_ended(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        process = house.shell("pwd; echo oops >&2; exit 3")
        assert list(house.roller.logs) == list(process.logs)
        assert await process.ended() == 3
        assert (tmp_path / "stdout").read_text() == f"{tmp_path}\n"
        assert (tmp_path / "stderr").read_text() == "oops\n"
        assert not house.roller.logs

    with_house(tmp_path, scenario)


def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(FileNotFoundError):
            house.start("/no/such/program", lifeline=b"line\n")
        assert len(os.listdir("/proc/self/fd")) == before

    with_house(tmp_path, scenario)


def test_the_lifeline_brings_a_line_and_ends_with_the_worker(tmp_path: Path) -> None:
    script = """if True:
        import socket, sys
        lifeline = socket.socket(fileno=int(sys.argv[sys.argv.index("--lifeline") + 1])).makefile("rb")
        print(lifeline.readline().decode(), end="", flush=True)
        sys.exit(7 if lifeline.read() == b"" else 8)
    """

    async def scenario(house: House) -> None:
        process = house.start(sys.executable, "-c", script, lifeline=b'{"secret": "00"}\n')
        assert await house.printed() == ['{"secret": "00"}']
        assert process.lifeline is not None
        process.lifeline.lifeline.shutdown(socket.SHUT_RDWR)
        assert await process.ended() == 7

    with_house(tmp_path, scenario)


@pytest.mark.parametrize(
    ("script", "is_ready"), [("echo ready >&$2; until [ -e heard ]; do sleep 0.01; done", True), ("exit 0", False)]
)
def test_a_process_is_ready_when_it_says_so_on_its_lifeline(tmp_path: Path, script: str, is_ready: bool) -> None:
    async def scenario(house: House) -> None:
        heard = tmp_path / "heard"
        logs = RolledLog(tmp_path / "stdout"), RolledLog(tmp_path / "stderr")
        argv = ("/bin/bash", "-c", script, "bash")
        command = ProcessCommand(argv, {"PATH": os.environ["PATH"]}, tmp_path, logs, b"line\n")
        process = house.launcher.launch(command, heard.touch)
        assert await process.ended() == 0
        assert heard.exists() is is_ready

    with_house(tmp_path, scenario)


@pytest.mark.parametrize("way", ["end", "kill"])
def test_nothing_of_its_session_is_left_when_a_process_has_ended(tmp_path: Path, way: str) -> None:
    async def scenario(house: House) -> None:
        leader = "sleep 1000 & echo $!; set -m; sleep 1000 & echo $!; " + ("exit 0" if way == "end" else "wait")
        process = house.shell(leader)
        pids = [int(line) for line in await house.printed(2)]
        if way == "kill":
            process.kill()
        assert await process.ended() == (0 if way == "end" else -signal.SIGKILL)
        while any(lives(pid) for pid in pids):
            await house.world.sleep(0.01)
        assert not any(lives(pid) for pid in pids)

    with_house(tmp_path, scenario)


def test_a_process_that_has_ended_gets_no_signals(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        process = house.shell("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
        await house.printed()
        process.terminate()
        assert await process.ended() == 5
        process.terminate()
        process.kill()
        assert (await house.printed(2))[1] == "bye"

    with_house(tmp_path, scenario)


def test_a_process_may_open_many_files_and_dumps_no_core(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        process = house.shell("sleep 1000")
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard or soft == 1 << 16
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE)[0] == 0
        process.kill()
        await process.ended()

    with_house(tmp_path, scenario)


def test_other_sessions_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "12/stat").write_text("12 (a) b) S 1 12 999 0")
    (tmp_path / "self").mkdir()

    kill_session(2**22 + 1, tmp_path)

    assert session_of(tmp_path / "12") == 999
    assert session_of(tmp_path / "self") == 0
