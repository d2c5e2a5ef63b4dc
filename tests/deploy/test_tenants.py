"""What runs on a worker, and what is left when it has ended."""

import os
from pathlib import Path

import pytest

from minispark.ids import ApplicationId
from minispark.messages.deploy import (
    ApplicationFinished,
    DriverStateChanged,
    ExecutorStateChanged,
    KillDriver,
    KillExecutor,
)
from minispark.messages.deploy_values import ExecutorState
from minispark.testing.virtual_loop import WALL_START_S
from tests.deploy.worker_harness import APP, DRIVER_ID, House, launch, launch_driver, with_worker


def test_what_runs_already_is_not_started_twice(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(), launch(), launch_driver(), launch_driver())
        assert len(house.launcher.started) == 2
        assert [each.state for each in house.leader.of(ExecutorStateChanged)] == [ExecutorState.RUNNING]

    with_worker(scenario, tmp_path)


def test_what_does_not_run_cannot_be_ended(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(1))
        await house.say(KillExecutor(1, "url", APP, 2), KillDriver(1, DRIVER_ID))
        assert not house.launcher.last.end.done()

    with_worker(scenario, tmp_path)


def test_an_application_that_has_ended_leaves_its_logs(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        (tmp_path / "app-1/1/minispark-1-a/shuffle").mkdir(parents=True)
        (tmp_path / "app-1/1/stdout").write_text("hello")
        house.worker.tenants.executors[APP, 1].clean = lambda: None  # type: ignore[method-assign]
        await house.say(ApplicationFinished(1, APP))
        assert [path.name for path in (tmp_path / "app-1/1").iterdir()] == ["stdout"]

    with_worker(scenario, tmp_path)


def test_so_does_one_whose_executors_a_worker_before_this_one_ran(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        (tmp_path / "app-1/1/minispark-1-a/shuffle").mkdir(parents=True)
        (tmp_path / "app-1/1/stdout").write_text("hello")
        await house.say(ApplicationFinished(1, APP), ApplicationFinished(1, ApplicationId("app-9")))
        assert [path.name for path in (tmp_path / "app-1/1").iterdir()] == ["stdout"]
        assert house.worker.tenants.state.running_names() == set()

    with_worker(scenario, tmp_path)


@pytest.mark.scenario("WRK-002", "work-dir cleanup removes old app dirs (± shuffle service db)")
@pytest.mark.parametrize("service", [False, True])
def test_folders_of_old_applications_are_removed_every_half_hour(tmp_path: Path, service: bool) -> None:
    async def scenario(house: House) -> None:
        tenants = house.worker.tenants
        await house.say(launch(app_id=APP), launch(app_id=ApplicationId("app-2")))
        await house.say(ApplicationFinished(1, APP))
        if tenants.service is not None:
            tenants.service.add_application(APP, "app-0", b"a secret of the application", tmp_path / APP)
        for path in (*tmp_path.rglob("*"), tmp_path):
            os.utime(path, (WALL_START_S - 1e6, WALL_START_S - 1e6))
        await house.pass_time(1801.0)
        assert [path.name for path in tmp_path.glob("app-*")] == ["app-2"]
        if tenants.service is not None:
            assert "app-0" not in tenants.service.env.secrets  # type: ignore[attr-defined]

    with_worker(scenario, tmp_path, shuffle_service_enabled=service, shuffle_service_port=0)


def test_the_shuffle_service_serves_applications_from_their_start_to_their_end(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        service = house.process.service
        assert service is not None
        await house.say(launch())
        command = house.launcher.last.command
        assert command.lifeline is not None
        assert f'"service": "{service.address.host_port}"'.encode() in command.lifeline
        realms = service.env.secrets  # type: ignore[attr-defined]
        assert "app-0123456789abcdef" in realms
        await house.say(ApplicationFinished(1, APP))
        assert "app-0123456789abcdef" not in realms

    with_worker(scenario, tmp_path, shuffle_service_enabled=True, shuffle_service_port=0)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_worker_that_stops_leaves_nothing_running(tmp_path: Path, stubborn: bool) -> None:
    async def scenario(house: House) -> None:
        house.launcher.stubborn = stubborn
        await house.say(launch(1), launch(2), launch_driver(supervise=True))
        began = house.env.world.monotonic()
        await house.process.stop()
        assert all(process.end.done() for process in house.launcher.started)
        assert len(house.launcher.started) == 3
        assert house.env.world.monotonic() - began <= (15.0 if stubborn else 1.0)
        assert house.leader.of(DriverStateChanged) == []
        assert {each.state for each in house.leader.of(ExecutorStateChanged)} == {ExecutorState.RUNNING}

    with_worker(scenario, tmp_path)
