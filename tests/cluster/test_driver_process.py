"""A script as a process: what it prints, and that nothing of it stays, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.daemons import expect_soon, lives

pytestmark = pytest.mark.cluster

PROGRAM = """
import asyncio, os, sys, time
from minispark import SparkContext

def wait(n):
    os.write(1, b"running\\n")
    while True:
        time.sleep(0.01)

async def main():
    async with SparkContext("local[2]") as sc:
        if sys.argv[1] == "wait":
            await sc.parallelize([1, 2], 2).map(wait).collect()
        else:
            print(await sc.parallelize(range(10), 2).map(lambda n: n * n).sum())

asyncio.run(main())
"""


class Script:
    """A driver in a process of its own, with its own folder for session directories."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.sessions = folder / "sessions"
        self.sessions.mkdir()
        program = folder / "app.py"
        program.write_text(PROGRAM, encoding="utf-8")
        environment = os.environ | {"MINISPARK_LOCAL_DIR": str(self.sessions), "PYTHONPATH": os.getcwd()}
        self.process = subprocess.Popen(
            [sys.executable, str(program), mode],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def wait_until_running(self) -> list[psutil.Process]:
        """Wait for the lines of both tasks; return the driver's children."""
        assert self.process.stdout is not None
        assert [self.process.stdout.readline() for _ in range(2)] == ["running\n"] * 2
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> tuple[str, str]:
        assert self.process.stdout is not None
        return ("", "") if self.process.stdout.closed else self.process.communicate(timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Script]]:
    """Start scripts that do not outlive the test, whatever it finds."""
    scripts = []

    def start_script(mode: str) -> Script:
        scripts.append(Script(tmp_path, mode))
        return scripts[-1]

    yield start_script
    for script in scripts:
        script.process.kill()
        script.end()


def assert_gone(children: list[psutil.Process], sessions: Path, within_s: float) -> None:
    """Assert that processes end and session directories vanish in time."""
    expect_soon(lambda: not any(map(lives, children)), "they end", within_s)
    expect_soon(lambda: not list(sessions.iterdir()), "the session directory goes", within_s)


def test_a_script_that_succeeds_prints_its_own_output_only_and_leaves_nothing(start: Callable[[str], Script]) -> None:
    script = start("sum")
    output, errors = script.end()
    assert (script.process.returncode, output, errors) == (0, "285\n", "")
    assert list(script.sessions.iterdir()) == []


def test_ctrl_c_cancels_the_job_and_prints_nothing_but_pythons_own_interrupt(start: Callable[[str], Script]) -> None:
    script = start("wait")
    children = script.wait_until_running()
    assert len(children) == 3  # the zygote and two runners
    # As the terminal does it: to the whole foreground process group.
    os.killpg(script.process.pid, signal.SIGINT)
    _, errors = script.end()
    assert script.process.returncode == -signal.SIGINT
    assert errors.endswith("KeyboardInterrupt\n")
    assert errors.count("Traceback") <= 2  # the interrupt, and the CancelledError that asyncio made of it
    assert "minispark" not in errors.split("Traceback")[0]
    assert_gone(children, script.sessions, 2)


def test_after_a_sigkill_of_the_driver_everything_is_gone_within_two_seconds(start: Callable[[str], Script]) -> None:
    script = start("wait")
    children = script.wait_until_running()
    script.process.kill()
    script.end()
    assert_gone(children, script.sessions, 2)


def test_a_sigterm_ends_the_driver_as_any_program_and_nothing_stays(start: Callable[[str], Script]) -> None:
    script = start("wait")
    children = script.wait_until_running()
    script.process.terminate()
    script.end()
    assert script.process.returncode == -signal.SIGTERM
    assert_gone(children, script.sessions, 2)
