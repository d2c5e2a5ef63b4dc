"""minispark.cli.daemon: what signals, systemd and the daemon's own end make of it; real processes, real signals."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

PROGRAM = """
import asyncio, sys
from minispark.cli.daemon import Ended, run_daemon
from minispark.cli.exits import Exit
from minispark.errors import RpcError

class Scripted:
    title = "a daemon for a test"
    def __init__(self, world):
        self.end = asyncio.get_running_loop().create_future()
        if "ends" in sys.argv: self.end.set_result(Ended(Exit.NO_MASTER, "nobody is there"))
    async def ended(self): return await self.end
    async def stop(self):
        print("stopping", flush=True)
        if "hangs" in sys.argv: await asyncio.Event().wait()
    def decommission(self): self.end.set_result(Ended(Exit.DONE, "all is finished"))

async def start(world):
    if "refuses" in sys.argv: raise RpcError("the port is in use")
    return Scripted(world)

run_daemon("scripted", start, verbose="verbose" in sys.argv)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Return a function that starts a scripted daemon; what it started is gone afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(
        *arguments: str, preexec_fn: Callable[[], object] | None = None, **environment: str
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def has_started(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "a daemon for a test" in line
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(start: Start, number: signal.Signals) -> None:
    process = start()
    has_started(process)

    process.send_signal(number)

    assert process.communicate(timeout=30)[0] == "stopping\n"
    assert process.returncode == 0


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    process = start("hangs")
    has_started(process)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == -signal.SIGTERM


def test_a_failing_power_supply_lets_it_finish_what_runs(start: Start) -> None:
    process = start()
    has_started(process)

    process.send_signal(signal.SIGPWR)

    assert "all is finished" in process.communicate(timeout=30)[1]
    assert process.returncode == 0


def test_its_own_end_has_a_reason_and_a_code(start: Start) -> None:
    written, log = start("ends").communicate(timeout=30)

    assert "ERROR nobody is there" in log
    assert written == "stopping\n"


def test_a_start_that_fails_is_one_line(start: Start) -> None:
    process = start("refuses")

    assert process.communicate(timeout=30) == ("", "minispark scripted: the port is in use\n")
    assert process.returncode == 3


def test_systemd_is_told_and_its_watchdog_fed(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(30)
        process = start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="20000")
        heard = [line.recv(100) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        while b"STOPPING=1" not in heard:
            heard.append(line.recv(100))

    assert heard[:4] == [b"READY=1\nSTATUS=a daemon for a test", *[b"WATCHDOG=1"] * 3]


def test_it_may_open_as_many_files_as_the_system_lets_it_and_leaves_no_dump_with_its_secret(start: Start) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, most)))

    has_started(process)

    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] == min(most, 1 << 16)
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE)[0] == 0


def test_the_log_has_time_and_level(start: Start) -> None:
    process = start()

    date, time, level, _ = has_started(process).split(maxsplit=3)

    assert (len(date), len(time), level) == (10, 12, "INFO")
