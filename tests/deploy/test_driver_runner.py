"""The cases of DriverRunnerTest, with the worker around the runner."""

import os
import sys
from pathlib import Path

import pytest

from minispark.ids import DriverId
from minispark.messages.deploy import DriverStateChanged, KillDriver, LaunchDriver
from minispark.messages.deploy_values import DriverDescription, DriverState, ShippedFile
from tests.deploy.masters import SECRET
from tests.deploy.worker_harness import DRIVER_ID, GIB, House, launch_driver, with_worker


async def fail(house: House, *codes: int, lasted_s: float = 1.0) -> None:
    """Let the run that is under way, and those after it, end."""
    for code in codes:
        await house.pass_time(lasted_s)
        house.launcher.last.exit(code)
        await house.pass_time(0.0)


def ends(house: House) -> list[DriverStateChanged]:
    return house.leader.of(DriverStateChanged)


@pytest.mark.scenario("WRK-003", "driver runner: success at once")
def test_a_driver_that_succeeds_is_started_once(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch_driver(supervise=True))
        await fail(house, 0)
        await house.pass_time(100.0)
        assert len(house.launcher.started) == 1
        assert ends(house) == [DriverStateChanged(DRIVER_ID, DriverState.FINISHED)]

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-003", "fail then succeed under supervise with back-off")
def test_a_supervised_driver_is_started_again_after_one_two_and_four_seconds(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch_driver(supervise=True))
        for run, wait_s in enumerate((1.0, 2.0, 4.0), 1):
            await fail(house, 1)
            await house.pass_time(wait_s - 0.1)
            assert len(house.launcher.started) == run
            await house.pass_time(0.2)
            assert len(house.launcher.started) == run + 1
        await fail(house, 0)
        assert ends(house) == [DriverStateChanged(DRIVER_ID, DriverState.FINISHED)]

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-003", "reset of back-off after long run")
def test_after_a_run_that_lasted_the_next_one_comes_soon(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch_driver(supervise=True))
        await fail(house, 1)
        await house.pass_time(1.1)
        await fail(house, 1)
        await house.pass_time(2.1)
        await fail(house, 1, lasted_s=6.0)
        await house.pass_time(1.1)
        assert len(house.launcher.started) == 4

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-003", "not supervised → no restart")
@pytest.mark.scenario("WRK-003", "final states KILLED/FINISHED/FAILED")
@pytest.mark.parametrize(
    ("code", "end"),
    [
        (0, DriverStateChanged(DRIVER_ID, DriverState.FINISHED)),
        (1, DriverStateChanged(DRIVER_ID, DriverState.FAILED, "exit code 1")),
        (-11, DriverStateChanged(DRIVER_ID, DriverState.FAILED, "killed by SIGSEGV")),
    ],
)
def test_a_driver_that_is_not_supervised_runs_once(tmp_path: Path, code: int, end: DriverStateChanged) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch_driver())
        await fail(house, code)
        await house.pass_time(100.0)
        assert len(house.launcher.started) == 1
        assert ends(house) == [end]

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-003", "killed → no restart")
@pytest.mark.scenario("WRK-003", "final states KILLED/FINISHED/FAILED")
@pytest.mark.parametrize("while_it_waits", [False, True])
def test_a_killed_driver_is_not_started_again(tmp_path: Path, while_it_waits: bool) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch_driver(supervise=True))
        if while_it_waits:
            await fail(house, 1)
        await house.say(KillDriver(1, DRIVER_ID), KillDriver(1, DRIVER_ID))
        await house.pass_time(100.0)
        assert len(house.launcher.started) == 1
        assert [each.state for each in ends(house)] == [DriverState.KILLED]

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-003", "launch error")
def test_a_driver_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launcher.error = FileNotFoundError(2, "No such file or directory", "python")
        await house.say(launch_driver(supervise=True))
        (end,) = ends(house)
        assert end.state is DriverState.ERROR
        assert "cannot be started: " in end.text
        assert "'python'" in end.text

    with_worker(scenario, tmp_path)


def test_a_driver_with_a_file_that_would_go_elsewhere_is_an_error(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        description = DriverDescription(("app.py",), 1, GIB, True, {}, (ShippedFile("../app.py", b""),))
        await house.say(LaunchDriver(1, DRIVER_ID, description))
        (end,) = ends(house)
        assert end.state is DriverState.ERROR
        assert "'../app.py' is not the name of a file" in end.text
        assert house.launcher.started == []

    with_worker(scenario, tmp_path / "work")


def test_a_driver_finds_its_files_the_masters_and_the_secret(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        files = (ShippedFile("app.py", b"print(1)"),)
        added = {"MINISPARK_DRIVER_HOST": "other", "A": "B"}
        await house.say(
            LaunchDriver(1, DriverId("driver-2"), DriverDescription(("app.py", "1"), 1, GIB, False, added, files))
        )
        command = house.launcher.last.command
        assert command.argv[-3:] == (sys.executable, "app.py", "1")
        assert command.argv[-4] == str(os.getpid())
        assert (command.directory / "app.py").read_bytes() == b"print(1)"
        assert command.environment["MINISPARK_MASTER"] == "minispark://127.0.0.1:7077,127.0.0.1:7078"
        assert command.environment["MINISPARK_SECRET"] == SECRET.decode()
        assert (command.environment["MINISPARK_DRIVER_HOST"], command.environment["A"]) == ("other", "B")
        assert SECRET.decode() not in repr(command)

    with_worker(scenario, tmp_path)
