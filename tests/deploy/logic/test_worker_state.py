"""The decisions of WorkerSuite: what runs, what is remembered, what is to be cleaned up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.deploy.logic.worker_state import Refusal, WorkerState
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import DriverStateChanged, ExecutorStateChanged, LaunchExecutor
from minispark.messages.deploy_values import (
    ApplicationDescription,
    DriverDescription,
    DriverState,
    ExecutorRecord,
    ExecutorState,
)
from minispark.rpc.logic.address import RpcAddress

APP, OTHER = ApplicationId("app-1"), ApplicationId("app-2")
DESCRIPTION = ApplicationDescription("test", "app-0", "me", RpcAddress("driver", 1), 0, 0, 1 << 20, -1, {})
PROGRAM = DriverDescription(("-c", ""), 1, 1 << 20, False, {})


def launch(number: int, app_id: ApplicationId = APP) -> LaunchExecutor:
    return LaunchExecutor(1, "url", app_id, number, DESCRIPTION, 2, 1 << 20)


def exited(number: int, app_id: ApplicationId = APP) -> ExecutorStateChanged:
    return ExecutorStateChanged(app_id, number, ExecutorState.EXITED, "exit code 0", 0)


@pytest.fixture
def state() -> WorkerState:
    return WorkerState(retained_executors=30, retained_drivers=30)


def test_an_executor_is_listed_from_its_launch_to_its_end(state: WorkerState) -> None:
    assert state.launch_executor(launch(1)) is None
    assert list(state.executors.values()) == [ExecutorRecord(APP, 1, 2, 1 << 20, ExecutorState.LAUNCHING)]
    assert not state.executor_changed(ExecutorStateChanged(APP, 1, ExecutorState.RUNNING))
    assert state.executors[APP, 1].state is ExecutorState.RUNNING
    assert state.executor_changed(exited(1))
    assert state.is_idle
    assert state.ended_executors[APP, 1].exit_code == 0
    assert not state.executor_changed(exited(1))
    state.check()


def test_what_runs_already_is_not_started_again(state: WorkerState) -> None:
    state.launch_executor(launch(1))
    state.launch_driver(DriverId("driver-1"), PROGRAM)

    assert state.launch_executor(launch(1)) is Refusal.RUNS_ALREADY
    assert state.launch_driver(DriverId("driver-1"), PROGRAM) is Refusal.RUNS_ALREADY


def test_a_worker_that_goes_away_starts_nothing(state: WorkerState) -> None:
    state.decommissioned = True

    assert state.launch_executor(launch(1)) is Refusal.DECOMMISSIONED
    assert state.launch_driver(DriverId("driver-1"), PROGRAM) is Refusal.DECOMMISSIONED
    assert state.is_idle


@pytest.mark.scenario("WRK-001")
@pytest.mark.parametrize(("count", "remembered"), [(5, 5), (30, 30), (31, 28), (50, 29)])
def test_the_oldest_ended_executors_are_forgotten(state: WorkerState, count: int, remembered: int) -> None:
    for number in range(count):
        state.launch_executor(launch(number))
        state.executor_changed(exited(number))
        state.check()

    assert [number for _, number in state.ended_executors] == list(range(count - remembered, count))


@pytest.mark.scenario("WRK-001")
@pytest.mark.parametrize(("retained", "count", "remembered"), [(30, 5, 5), (30, 50, 29), (5, 6, 5), (0, 3, 0)])
def test_the_oldest_ended_drivers_are_forgotten(retained: int, count: int, remembered: int) -> None:
    state = WorkerState(retained_executors=30, retained_drivers=retained)
    for number in range(count):
        state.launch_driver(DriverId(f"driver-{number}"), PROGRAM)
        state.driver_changed(DriverStateChanged(DriverId(f"driver-{number}"), DriverState.FINISHED))
        state.check()

    assert list(state.ended_drivers) == [f"driver-{number}" for number in range(count - remembered, count)]
    assert not state.drivers


def test_an_application_is_cleaned_up_once_when_it_has_ended_and_nothing_of_it_runs(state: WorkerState) -> None:
    for number in (1, 2):
        state.launch_executor(launch(number))
    state.launch_executor(launch(1, OTHER))
    state.executor_changed(exited(1))
    state.application_finished(APP)
    assert state.take_cleanable() == []
    state.executor_changed(exited(2))
    assert state.running_names() == {APP, OTHER}
    assert state.take_cleanable() == [APP]
    assert state.take_cleanable() == []
    assert state.running_names() == {OTHER}
    state.check()


def test_the_end_of_an_application_that_was_never_here_means_nothing(state: WorkerState) -> None:
    state.application_finished(APP)

    assert state.take_cleanable() == []
    state.check()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["launch", "run", "end", "finish", "clean"]),
            st.sampled_from([APP, OTHER]),
            st.integers(0, 3),
        ),
        max_size=40,
    )
)
@settings(max_examples=60)
def test_whatever_happens_each_application_is_cleaned_up_once_after_its_last_executor(
    steps: list[tuple[str, ApplicationId, int]],
) -> None:
    state = WorkerState(retained_executors=3, retained_drivers=3)
    finished: set[ApplicationId] = set()
    for step, app_id, number in steps:
        if step == "launch" and app_id not in finished:
            state.launch_executor(launch(number, app_id))
        elif step == "run":
            state.executor_changed(ExecutorStateChanged(app_id, number, ExecutorState.RUNNING))
        elif step == "end":
            state.executor_changed(exited(number, app_id))
        elif step == "finish" and app_id in state.applications:
            state.application_finished(app_id)
            finished.add(app_id)
        elif step == "clean":
            cleaned = state.take_cleanable()
            assert all(not state.executors_of(each) and each in finished for each in cleaned)
            finished.difference_update(cleaned)
        state.check()
    for app_id, number in list(state.executors):
        state.executor_changed(exited(number, app_id))
    assert set(state.take_cleanable()) == finished
    assert state.is_idle
