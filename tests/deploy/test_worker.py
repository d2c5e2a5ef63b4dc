"""The worker and its masters: who is asked, who is obeyed, what they are told."""

from pathlib import Path

import pytest

from minispark.messages.deploy import (
    ApplicationFinished,
    DecommissionWorker,
    DriverStateChanged,
    ExecutorStateChanged,
    KillDriver,
    KillExecutor,
    MasterChanged,
    MasterInStandby,
    ReconnectWorker,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerDecommissioning,
    WorkerHeartbeat,
    WorkerLatestState,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_values import DriverState, ExecutorRecord, ExecutorState
from tests.deploy.masters import freeze
from tests.deploy.worker_harness import APP, DRIVER_ID, GIB, House, launch, launch_driver, with_worker

RUNNING = ExecutorRecord(APP, 1, 2, GIB, ExecutorState.RUNNING)


def test_a_worker_registers_with_all_masters_until_one_takes_it(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        for master in (house.leader, house.standby):
            (request,) = master.of(RegisterWorker)
            assert (request.host, request.cores, request.memory_bytes) == ("127.0.0.1", 4, 4 * GIB)
            assert request.worker_id == f"worker-20231114221320-127.0.0.1-{house.process.address.port}"
        await house.say(MasterInStandby())
        await house.pass_time(15.0)
        assert len(house.leader.of(RegisterWorker)) == 2
        await house.register()
        await house.pass_time(1000.0)
        assert len(house.leader.of(RegisterWorker)) == 2

    with_worker(scenario, tmp_path, registered=False)


def test_a_worker_that_nobody_takes_ends(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.pass_time(300.0)
        assert not house.process.reason.done()
        await house.pass_time(1000.0)
        assert "no master answers; tried minispark://127.0.0.1:7077" in await house.process.ended()
        assert len(house.leader.of(RegisterWorker)) == 17

    with_worker(scenario, tmp_path, registered=False)


def test_a_refused_worker_ends_unless_another_master_took_it(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.register()
        await house.say(RegisterWorkerFailed("duplicate id"))
        assert not house.process.reason.done()
        await house.say(ReconnectWorker(1, "url"), RegisterWorkerFailed("duplicate id"))
        assert await house.process.ended() == "a master refused the worker: duplicate id"

    with_worker(scenario, tmp_path, registered=False)


def test_a_registered_worker_sends_heartbeats_four_times_a_timeout(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.pass_time(121.0)
        beats = house.leader.of(WorkerHeartbeat)
        assert [beat.worker_id for beat in beats] == [house.worker.offer.worker_id] * 8
        assert house.standby.of(WorkerHeartbeat) == []

    with_worker(scenario, tmp_path)


def test_a_worker_whose_master_answers_nothing_looks_for_another(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        asked = len(house.standby.of(RegisterWorker))
        freeze(house.masters.envs[0])
        await house.pass_time(59.0)
        assert len(house.standby.of(RegisterWorker)) == asked
        await house.pass_time(17.0)
        assert not house.worker.registration.registered
        assert len(house.standby.of(RegisterWorker)) == asked + 1
        assert house.worker.tenants.state.executors_of(APP) == [(APP, 1)]
        house.worker.accept(house.standby_ref, "url")
        await house.pass_time(1000.0)
        assert len(house.standby.of(RegisterWorker)) == asked + 1

    with_worker(scenario, tmp_path)


def test_after_its_registration_a_worker_says_what_runs(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(), launch_driver())
        await house.say(RegisteredWorker(1, house.leader_ref, "url", duplicate=True))
        worker_id = house.worker.offer.worker_id
        assert house.leader.of(WorkerLatestState) == [
            WorkerLatestState(worker_id, (), ()),
            WorkerLatestState(worker_id, (RUNNING,), (DRIVER_ID,)),
        ]

    with_worker(scenario, tmp_path)


def test_a_new_leader_is_told_what_runs_and_followed(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        await house.say(MasterChanged(2, house.standby_ref, "url"))
        (answer,) = house.standby.of(WorkerSchedulerStateResponse)
        assert answer.executors == (RUNNING,)
        house.launcher.last.exit(0)
        await house.pass_time(16.0)
        assert house.standby.of(WorkerHeartbeat)
        assert [each.state for each in house.standby.of(ExecutorStateChanged)] == [ExecutorState.EXITED]

    with_worker(scenario, tmp_path)


def test_commands_of_a_lower_term_are_ignored(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(1, term=2))
        await house.say(launch(2, term=1), KillExecutor(1, "url", APP, 1), launch_driver(term=1))
        await house.say(MasterChanged(1, house.standby_ref, "url"), DecommissionWorker(1))
        assert len(house.launcher.started) == 1
        assert not house.launcher.last.end.done()
        assert house.standby.of(WorkerSchedulerStateResponse) == []
        assert not house.worker.tenants.state.decommissioned

    with_worker(scenario, tmp_path)


def test_a_worker_registers_again_when_told_or_when_its_master_is_gone(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch())
        await house.say(ReconnectWorker(1, "url"))
        assert len(house.leader.of(RegisterWorker)) == 2
        await house.register()
        house.masters.network.cut()
        await house.pass_time(16.0)
        assert len(house.leader.of(RegisterWorker)) >= 3
        assert not house.launcher.last.end.done()

    with_worker(scenario, tmp_path)


def test_states_of_executors_and_drivers_reach_the_master_in_order(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(), launch_driver())
        executor, driver = house.launcher.started
        executor.exit(56)
        driver.exit(0)
        await house.pass_time(0.0)
        running, exited = house.leader.of(ExecutorStateChanged)
        assert (running.state, running.exit_code) == (ExecutorState.RUNNING, None)
        assert (exited.state, exited.exit_code) == (ExecutorState.EXITED, 56)
        assert "heartbeat failure" in exited.text
        assert house.leader.of(DriverStateChanged) == [DriverStateChanged(DRIVER_ID, DriverState.FINISHED)]
        assert house.worker.tenants.state.is_idle

    with_worker(scenario, tmp_path)


def test_killed_executors_and_drivers_are_asked_first_and_forced_then(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.launcher.stubborn = True
        await house.say(launch(), launch_driver())
        await house.say(KillExecutor(1, "url", APP, 1), KillDriver(1, DRIVER_ID))
        await house.pass_time(9.0)
        assert not any(process.end.done() for process in house.launcher.started)
        await house.pass_time(2.0)
        assert house.leader.of(ExecutorStateChanged)[-1].state is ExecutorState.KILLED
        assert house.leader.of(ExecutorStateChanged)[-1].exit_code == -9
        assert [each.state for each in house.leader.of(DriverStateChanged)] == [DriverState.KILLED]

    with_worker(scenario, tmp_path)


def test_the_end_of_an_application_ends_its_executors(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(1), launch(2))
        await house.say(ApplicationFinished(1, APP))
        assert [process.end.done() for process in house.launcher.started] == [True, True]
        assert not house.worker.tenants.state.applications

    with_worker(scenario, tmp_path)


@pytest.mark.parametrize("told", [True, False])
def test_a_decommissioned_worker_starts_nothing_and_ends_when_all_is_done(tmp_path: Path, told: bool) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(1))
        if told:
            await house.say(DecommissionWorker(1))
        else:
            house.process.decommission()
        await house.say(launch(2), launch_driver())
        assert len(house.leader.of(WorkerDecommissioning)) == (0 if told else 1)
        assert [each.state for each in house.leader.of(ExecutorStateChanged) if each.number == 2] == [
            ExecutorState.FAILED
        ]
        assert [each.state for each in house.leader.of(DriverStateChanged)] == [DriverState.ERROR]
        assert not house.process.reason.done()
        house.launcher.last.exit(0)
        assert await house.process.ended() == ""
        assert house.leader.of(ExecutorStateChanged)[-1].state is ExecutorState.EXITED

    with_worker(scenario, tmp_path)


def test_a_master_that_comes_later_hears_that_the_worker_goes_away(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.say(launch(1))
        house.process.decommission()
        await house.say(MasterChanged(2, house.standby_ref, "url"))
        assert len(house.standby.of(WorkerDecommissioning)) == 1

    with_worker(scenario, tmp_path)
