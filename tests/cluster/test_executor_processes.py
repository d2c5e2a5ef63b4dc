"""Executor processes as workers start them: what they register, what they run, and how each of them ends."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from minispark.conf import SparkConf
from minispark.executor.heartbeater import MAX_FAILURES
from minispark.messages.cluster import (
    DecommissionExecutor,
    ExecutorDecommission,
    ExecutorDecommissioning,
    ExecutorExited,
    ExecutorStopped,
    KillTask,
    LaunchedExecutor,
    RegisterExecutor,
    RemoveExecutor,
    RetrieveApplicationConf,
    StatusUpdate,
    StopExecutor,
)
from minispark.messages.exit_codes import ExecutorExit
from minispark.messages.heartbeat import Heartbeat
from minispark.messages.task import DirectResult, RunnerLost, Success, TaskKilled
from minispark.rdd import closures
from minispark.rdd.ports import TaskContext
from minispark.rpc.world import SystemWorld
from minispark.shuffle.service import start_shuffle_service
from tests.executor.attempts import binary, task
from tests.executor.process_house import EXECUTOR, REALM, SECRET, DriverSide, in_cluster

pytestmark = pytest.mark.cluster


def say_where(context: TaskContext, records: Iterator[Any]) -> Any:
    import importlib.util
    import sys

    print("printed by a task")  # noqa: T201 — what user code does
    found = importlib.util.find_spec("of_the_program")
    return os.getcwd(), sys.path, os.environ.get("COLOUR"), found and found.origin


def wait(context: TaskContext, records: Iterator[Any]) -> None:
    signal.pause()


def crash(context: TaskContext, records: Iterator[Any]) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


OF_ANOTHER_PYTHON = """
import sys
from minispark.executor.__main__ import main
from minispark.rpc import network
from minispark.rpc.logic.handshake import Identity

honest = network.identity

def identity(name):
    true = honest(name)
    return Identity(true.minispark, "3.99", true.hash_info, true.codecs, true.name)

network.identity = identity
sys.exit(main())
"""
TLS = Path(__file__).resolve().parents[1] / "rpc" / "tls"
WHERE, WAIT, CRASH = binary(say_where), binary(wait), binary(crash)


def value_of(outcome: object) -> Any:
    assert isinstance(outcome, Success)
    assert isinstance(outcome.result, DirectResult)
    return closures.loads(outcome.result.batches[0])


def test_an_executor_registers_where_it_listens_and_keeps_its_blocks_and_then_takes_tasks(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        await driver.ready()
        registered = await driver.registration()

        assert [type(message) for message in driver.heard] == [
            RetrieveApplicationConf, RegisterExecutor, LaunchedExecutor,
        ]  # fmt: skip
        assert (registered.executor_id, registered.host, registered.cores) == (EXECUTOR, "127.0.0.1", 2)
        assert registered.executor.address is not None
        assert registered.location.port == registered.executor.address.port
        assert Path(registered.location.directory, "token").exists()
        driver.launch(task(1), task(2), task(3))
        assert all([isinstance(await driver.outcome(number), Success) for number in (1, 2, 3)])

    in_cluster(tmp_path, test, WHERE)


def test_tasks_are_where_the_driver_is_and_see_the_variables_of_their_executor(tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "of_the_program.py").touch()

    async def test(driver: DriverSide) -> None:
        driver.application = type(driver.application)(
            driver.application.app_id,
            {},
            ("", "/nowhere/on/this/host", "/usr/lib/python3.0"),
            str(tmp_path / "driver"),
        )
        executor = driver.start(COLOUR="blue")
        await driver.until(lambda: driver.of(LaunchedExecutor))
        driver.launch(task(1))
        directory, path, colour, found = value_of(await driver.outcome(1))

        assert (directory, path[0], colour) == (str(tmp_path / "driver"), str(tmp_path / "driver"), "blue")
        assert found == str(tmp_path / "driver" / "of_the_program.py")
        assert not {"/nowhere/on/this/host", "/usr/lib/python3.0"}.intersection(path)
        assert "printed by a task\n" in executor.log

    in_cluster(tmp_path, test, WHERE)


def test_a_crash_costs_its_attempt_and_a_kill_ends_one(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        await driver.ready()
        driver.launch(task(1))
        assert isinstance(await driver.outcome(1), RunnerLost)
        assert driver.executors[0].process.poll() is None

    in_cluster(tmp_path, test, CRASH)


@pytest.mark.scenario("CGB-007")
def test_a_kill_ends_an_attempt_whether_it_was_launched_or_not(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        await driver.ready()
        assert driver.executor is not None
        await driver.running(1)
        for number in (1, 2):
            driver.executor.send(KillTask(task(number).task_id, EXECUTOR, True, "changed my mind"))
        driver.launch(task(2))

        for number in (1, 2):
            outcome = await driver.outcome(number)
            assert isinstance(outcome, TaskKilled)
            assert outcome.reason == "changed my mind"
        assert not [update for update in driver.of(StatusUpdate) if update.task_id == 2 and update.outcome is None]

    in_cluster(tmp_path, test, WAIT)


@pytest.mark.parametrize("how", ["worker", "driver", "stop", "sigterm", "sigkill"])
@pytest.mark.scenario("WRK-004")
def test_an_executor_that_ends_leaves_no_process_and_no_file(tmp_path: Path, how: str) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        await driver.running(1)
        processes = [psutil.Process(executor.process.pid), *await executor.descendants()]
        assert len(processes) == 4
        expected = await ends(driver, how)

        assert await executor.exit_code() == expected
        await driver.nothing_is_left(processes)

    in_cluster(tmp_path, test, WAIT)


async def ends(driver: DriverSide, how: str) -> int:
    """Have the executor end; return the exit code that it should have."""
    executor = driver.executors[0]
    match how:
        case "worker":
            executor.lifeline.close()
            return ExecutorExit.FAILED
        case "driver":
            await driver.env.close()
            return ExecutorExit.FAILED
        case "stop":
            assert driver.executor is not None
            assert isinstance(await driver.executor.ask(StopExecutor()), ExecutorStopped)
            return ExecutorExit.DONE
        case "sigterm":
            executor.process.terminate()
            return ExecutorExit.TERMINATED
        case _:
            executor.process.kill()
            return -signal.SIGKILL


def test_an_executor_that_ends_tells_the_driver_why(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        executor.process.terminate()

        assert await executor.exit_code() == ExecutorExit.TERMINATED
        assert await driver.removals() == [
            RemoveExecutor(EXECUTOR, ExecutorExited(143, caused_by_app=False, text="SIGTERM"))
        ]

    in_cluster(tmp_path, test, WHERE)


def test_an_executor_whose_registration_is_refused_says_why_and_ends(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        driver.refusal = "this host is excluded"
        executor = driver.start()

        assert await executor.exit_code() == ExecutorExit.FAILED
        assert "this host is excluded" in executor.log
        await driver.nothing_is_left([])

    in_cluster(tmp_path, test, WHERE)


def test_an_executor_without_a_place_for_its_files_ends_with_a_code_of_its_own(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = driver.start(directory=tmp_path / "missing")

        assert await executor.exit_code() == ExecutorExit.NO_DIRECTORY
        assert "cannot create a session directory" in executor.log

    in_cluster(tmp_path, test, WHERE)


def test_an_executor_that_knows_another_secret_or_finds_no_driver_cannot_start(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        stranger, lost = driver.start(secret=bytes(32)), driver.start(port=1)

        assert await stranger.exit_code() == await lost.exit_code() == ExecutorExit.FAILED
        assert "secret" in stranger.log
        assert "cannot connect to minispark://127.0.0.1:1" in lost.log
        assert not driver.heard

    in_cluster(tmp_path, test, WHERE)


@pytest.mark.scenario("CGB-008")
def test_an_executor_that_cannot_make_its_runners_ends_with_one_clear_line(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = driver.start()

        assert await executor.exit_code() == ExecutorExit.FAILED
        (line,) = [line for line in executor.log.splitlines() if "ERROR" in line]
        assert "no_such_module cannot be imported" in line
        assert not driver.of(LaunchedExecutor)

    in_cluster(tmp_path, test, WHERE, executor_preload="no_such_module")


def test_a_driver_that_forgot_its_executor_and_refuses_it_is_left(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        driver.refusal = "executor 0 was given up"
        driver.forgets = True

        assert await executor.exit_code() == ExecutorExit.REREGISTRATION
        assert "executor 0 was given up" in executor.log

    in_cluster(tmp_path, test, WHERE, executor_heartbeatInterval="50ms")


def test_a_driver_that_takes_its_executor_back_gives_it_tasks_again(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        await driver.ready()
        driver.forgets = True
        await driver.until(lambda: len(driver.of(LaunchedExecutor)) >= 2)
        driver.forgets = False
        driver.launch(task(1))

        assert isinstance(await driver.outcome(1), Success)
        assert [each.executor_id for each in driver.of(RegisterExecutor)][:2] == [EXECUTOR, EXECUTOR]

    in_cluster(tmp_path, test, WHERE, executor_heartbeatInterval="50ms")


def test_an_executor_whose_heartbeats_fail_for_long_ends_with_a_code_of_its_own(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        driver.hears_heartbeats = False

        assert await executor.exit_code() == ExecutorExit.HEARTBEATS
        assert len(driver.of(Heartbeat)) >= MAX_FAILURES

    in_cluster(tmp_path, test, WHERE, executor_heartbeatInterval="10ms")


def test_an_executor_speaks_tls_where_its_worker_does(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes((TLS / "key.pem").read_bytes())
    certificate = str(TLS / "certificate.pem")
    tls = {
        "minispark.ssl.certificateFile": certificate,
        "minispark.ssl.keyFile": str(key),
        "minispark.ssl.authorityFile": certificate,
    }

    async def test(driver: DriverSide) -> None:
        await driver.ready()
        driver.launch(task(1))
        assert isinstance(await driver.outcome(1), Success)

    in_cluster(tmp_path, test, WHERE, tls=tls)


def test_an_executor_of_another_python_is_refused_and_both_sides_name_both_versions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "of_another_python.py").write_text(OF_ANOTHER_PYTHON)

    async def test(driver: DriverSide) -> None:
        executor = driver.start(command=("-P", str(tmp_path / "of_another_python.py")))

        assert await executor.exit_code() == ExecutorExit.FAILED
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        for log in (executor.log, caplog.text):
            assert "3.99" in log
            assert here in log

    in_cluster(tmp_path, test, WHERE)


def test_an_executor_that_is_told_to_go_finishes_what_runs_and_ends_in_order(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        assert driver.executor is not None
        await driver.running(1)
        driver.executor.send(DecommissionExecutor("the host goes"))
        driver.executor.send(KillTask(task(1).task_id, EXECUTOR, True, "enough"))

        assert await executor.exit_code() == ExecutorExit.DONE
        assert isinstance(await driver.outcome(1), TaskKilled)
        assert await driver.removals() == [RemoveExecutor(EXECUTOR, ExecutorDecommission("the host goes"))]

    in_cluster(tmp_path, test, WAIT)


def test_an_executor_that_gets_the_signal_of_a_power_failure_tells_the_driver_and_goes(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        executor = await driver.ready()
        executor.process.send_signal(signal.SIGPWR)

        assert await executor.exit_code() == ExecutorExit.DONE
        assert driver.of(ExecutorDecommissioning) == [ExecutorDecommissioning(EXECUTOR, "SIGPWR")]
        assert await driver.removals() == [RemoveExecutor(EXECUTOR, ExecutorDecommission("SIGPWR"))]

    in_cluster(tmp_path, test, WHERE, decommission_enabled=True)


def test_map_outputs_stay_for_the_hosts_shuffle_service(tmp_path: Path) -> None:
    async def test(driver: DriverSide) -> None:
        conf = SparkConf({"minispark.shuffle.service.port": 0}, environment={})
        service = await start_shuffle_service(
            SystemWorld(), conf, "127.0.0.1", tmp_path / "work", lambda realm: SECRET
        )
        service.add_application(driver.application.app_id, REALM, SECRET, tmp_path)
        executor = driver.start(service=service.address.host_port)
        await driver.until(lambda: driver.of(LaunchedExecutor))
        directory = Path((await driver.registration()).location.directory)
        processes = await executor.descendants()
        executor.process.kill()
        await executor.exit_code()

        await driver.are_gone(processes)
        assert sorted(path.name for path in directory.iterdir() if path.is_dir()) == ["shuffle"]
        assert (directory / "token").is_file()
        await service.close()

    in_cluster(tmp_path, test, WHERE, shuffle_service_enabled=True)
