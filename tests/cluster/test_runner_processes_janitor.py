"""What is left behind by runner processes: nothing, however their executor ends; and no descriptor while it lives."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from minispark.executor.session import SessionDirectory
from tests.cluster.daemons import expect_soon, lives
from tests.executor.pool_harness import Recorder, running_pool

pytestmark = pytest.mark.cluster

DRIVER = """
import asyncio, os, sys
from pathlib import Path
from minispark.executor.session import SessionDirectory
from tests.cluster.daemons import expect_soon, lives
from tests.executor.pool_harness import running_pool

async def main():
    session = SessionDirectory.create(Path(sys.argv[1]), os.urandom)
    async with running_pool(2, directory=str(session.path)) as recorder:
        pids = [await recorder.do("grandchild"), await recorder.do("grandchild", b"own session")]
        await recorder.begin_long("spin")
        facts = await recorder.do("facts")
        print(facts["pid"], facts["ppid"], *pids, flush=True)
        await recorder.begin_long("swallow")
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(processes: list[psutil.Process], directory: Path, seconds: float) -> None:
    """Wait for the ends of processes, and for the directory to be empty."""

    def are_gone() -> bool:
        return not any(map(lives, processes)) and not list(directory.iterdir())

    expect_soon(are_gone, "they are gone with their files", seconds)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGSEGV])
def test_nothing_outlives_its_driver_by_more_than_two_seconds(number: int, tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert driver.stdout is not None
    pids = [int(word) for word in driver.stdout.readline().split()]
    assert driver.stdout.readline() == "ready\n"
    assert all(map(alive, pids))
    processes = [psutil.Process(pid) for pid in pids]

    driver.send_signal(number)

    driver.wait()
    driver.stdout.close()
    wait_until_gone(processes, tmp_path, 2.0 if number != signal.SIGINT else 8.0)


def test_ctrl_c_reaches_no_runner_and_prints_nothing_of_theirs(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER.replace('"swallow"', '"spin"'), str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    assert driver.stdout is not None
    driver.stdout.readline()
    driver.stdout.readline()

    os.killpg(driver.pid, signal.SIGINT)

    _, complaints = driver.communicate()
    assert "runner_main" not in complaints
    assert "zygote" not in complaints


def test_a_stop_removes_the_session_directory_and_what_tasks_started(tmp_path: Path) -> None:
    pids: list[int] = []

    async def run() -> None:
        session = SessionDirectory.create(tmp_path, os.urandom)
        async with running_pool(1, directory=str(session.path)) as recorder:
            pids.append(await recorder.do("grandchild"))
            pids.append(await recorder.do("grandchild", b"own session"))
        session.release()

    asyncio.run(run())

    assert not any(map(alive, pids))
    assert not list(tmp_path.iterdir())


def test_a_crash_takes_what_its_runner_had_started_along() -> None:
    async def run() -> None:
        async with running_pool(1) as recorder:
            pid = await recorder.do("grandchild")
            await recorder.end_of(await recorder.begin("leave", b"1"))
            await recorder.do("echo")
            assert not alive(pid)

    asyncio.run(run())


def count_fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_thousand_tasks_and_a_hundred_replacements_leak_no_descriptor() -> None:
    async def settle(recorder: Recorder) -> tuple[int, int, int]:
        facts = await recorder.do("facts")
        await recorder.until(lambda: len(recorder.idle) == 2)
        return count_fds(os.getpid()), count_fds(facts["ppid"]), facts["fds"]

    async def run() -> None:
        async with running_pool(2, {"executor_killGrace": 0}) as recorder:
            before = await settle(recorder)
            for number in range(50):
                await recorder.end_of(await recorder.begin("leave", b"1"))
                killed = await recorder.begin_long("swallow") if not number % 10 else await recorder.begin("sleep")
                recorder.kill(killed)
                await recorder.end_of(killed)
                for _ in range(20):
                    await recorder.do("echo", b"x" * 10)
            counts = await settle(recorder)
            for _ in range(1000):  # no event: the zygote closes what it gave to the latest runner a moment later
                if counts == before:
                    break
                counts = await settle(recorder)
            assert counts == before

    asyncio.run(run())
