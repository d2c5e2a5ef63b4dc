"""One executor process: what is started, and what is said of it."""

import json
import sys
from pathlib import Path

import pytest

from minispark.messages.deploy import ExecutorStateChanged, KillExecutor
from minispark.messages.deploy_values import ExecutorState
from minispark.rpc.logic.secrets import application_secret
from tests.deploy.masters import SECRET
from tests.deploy.worker_harness import APP, GIB, House, launch, with_worker


def states(house: House) -> list[ExecutorState]:
    return [each.state for each in house.leader.of(ExecutorStateChanged)]


def test_an_executor_is_started_as_its_command_line_says(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(7, COLOUR="red"))
        command = house.launcher.last.command
        assert command.argv == (
            sys.executable, "-P", "-m", "minispark.executor", "--driver", "driver-host:4040", "--executor-id", "7",
            "--host", "127.0.0.1", "--cores", "2", "--memory", str(GIB), "--app-id", APP,
            "--directory", str(tmp_path / "app-1/7"),
        )  # fmt: skip
        assert command.directory == tmp_path / "app-1/7"
        assert [log.path.name for log in command.logs] == ["stdout", "stderr"]
        assert command.environment["COLOUR"] == "red"
        assert command.environment["HOME"] == "/home/me"
        assert "MINISPARK_SECRET" not in command.environment

    with_worker(scenario, tmp_path, environment={"HOME": "/home/me", "MINISPARK_SECRET": "secret"})


def test_the_applications_secret_goes_over_the_lifeline_and_is_never_shown(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        command = house.launcher.last.command
        assert command.lifeline is not None
        assert command.lifeline.endswith(b"\n")
        secret = application_secret(SECRET, "app-0123456789abcdef").hex()
        assert json.loads(command.lifeline) == {
            "secret": secret, "realm": "app-0123456789abcdef", "service": "", "settings": {},
        }  # fmt: skip
        assert secret not in repr(command)

    with_worker(scenario, tmp_path)


@pytest.mark.parametrize(
    ("killed", "code", "state", "text"),
    [
        (False, 0, ExecutorState.EXITED, "exit code 0"),
        (False, -11, ExecutorState.EXITED, "killed by SIGSEGV"),
        (True, -15, ExecutorState.KILLED, "killed by SIGTERM"),
    ],
)
def test_its_end_is_told_with_the_reason(
    tmp_path: Path, killed: bool, code: int, state: ExecutorState, text: str
) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        if killed:
            await house.say(KillExecutor(1, "url", APP, 1), KillExecutor(1, "url", APP, 1))
        house.launcher.last.exit(code)
        await house.pass_time(0.0)
        assert states(house) == [ExecutorState.RUNNING, state]
        assert house.leader.of(ExecutorStateChanged)[-1] == ExecutorStateChanged(APP, 1, state, text, code)

    with_worker(scenario, tmp_path)


def test_one_that_does_not_end_when_it_is_told_to_is_said_to_be_killed_by_its_worker(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launcher.stubborn = True
        await house.say(launch())
        await house.say(KillExecutor(1, "url", APP, 1))
        await house.pass_time(11.0)
        report = house.leader.of(ExecutorStateChanged)[-1]
        assert (report.state, report.text) == (
            ExecutorState.KILLED,
            "killed by SIGKILL (by its worker, 10 s after SIGTERM)",
        )

    with_worker(scenario, tmp_path)


def test_one_that_is_never_ready_is_never_said_to_run_and_its_last_words_are_told(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launcher.hopeless = True
        await house.say(launch())
        lines = [f"line {number}" for number in range(20)]
        (tmp_path / "app-1/1/stderr").write_text("\n".join(lines))
        house.launcher.last.exit(1)
        await house.pass_time(0.0)
        assert states(house) == [ExecutorState.EXITED]
        text = house.leader.of(ExecutorStateChanged)[-1].text
        assert text.splitlines() == ["exit code 1", *lines[-12:]]

    with_worker(scenario, tmp_path)


def test_one_that_cannot_be_started_has_failed_with_the_reason(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launcher.error = FileNotFoundError(2, "No such file or directory", "/opt/python")
        await house.say(launch())
        (report,) = house.leader.of(ExecutorStateChanged)
        assert report.state is ExecutorState.FAILED
        assert "cannot be started" in report.text
        assert "/opt/python" in report.text
        assert house.worker.tenants.state.is_idle

    with_worker(scenario, tmp_path)


def test_one_that_is_killed_before_it_starts_never_does(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.worker.obey(launch())
        house.worker.obey(KillExecutor(1, "url", APP, 1))
        await house.pass_time(0.0)
        assert house.launcher.started == []
        assert states(house) == [ExecutorState.KILLED]

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-002", "non-shuffle files removed after executor exit (option)")
@pytest.mark.parametrize(("option", "left"), [("true", ["shuffle"]), ("false", ["blocks", "shuffle"])])
def test_files_of_an_executor_that_has_ended_are_removed_but_map_outputs(
    tmp_path: Path, option: str, left: list[str]
) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        for name in ("blocks", "shuffle"):
            (tmp_path / "app-1/1/minispark-1-a" / name).mkdir(parents=True)
        house.launcher.last.exit(0)
        await house.pass_time(0.0)
        assert sorted(path.name for path in (tmp_path / "app-1/1/minispark-1-a").iterdir()) == left

    with_worker(
        scenario, tmp_path, shuffle_service_enabled=True, shuffle_service_port=0,
        storage_cleanupFilesAfterExecutorExit=option,
    )  # fmt: skip
