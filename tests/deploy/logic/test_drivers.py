"""Drivers: submitted, killed, ended, launched again if they are supervised."""

import re

import pytest

from minispark.ids import DriverId, WorkerId
from minispark.messages.deploy import KillDriver, LaunchDriver, WorkerLatestState
from minispark.messages.deploy_clients import DriverSummary, RequestDriverStatus, RequestKillDriver
from minispark.messages.deploy_values import Acknowledged, DriverState
from tests.deploy.logic.cluster_harness import ClusterHarness, describe_driver


def status(master: ClusterHarness, driver_id: DriverId) -> DriverSummary:
    answer = master.answer(RequestDriverStatus(driver_id))
    assert isinstance(answer, DriverSummary)
    return answer


def kill(master: ClusterHarness, driver_id: DriverId) -> bool:
    answer = master.answer(RequestKillDriver(driver_id))
    assert isinstance(answer, Acknowledged)
    return answer.done


def test_a_driver_waits_for_a_worker_and_runs() -> None:
    master = ClusterHarness()
    driver_id = master.driver(describe_driver(cores=2))
    assert re.fullmatch(r"driver-\d{14}-0000", driver_id)
    assert status(master, driver_id).state is DriverState.SUBMITTED

    master.worker("w1")

    assert status(master, driver_id).state is DriverState.RUNNING
    assert status(master, driver_id).worker_host == "w1"
    assert master.ref("w1").of(LaunchDriver)[0].driver_id == driver_id


@pytest.mark.parametrize("state", [DriverState.FINISHED, DriverState.FAILED, DriverState.KILLED, DriverState.ERROR])
def test_its_end_is_remembered_and_its_record_is_not(state: DriverState) -> None:
    master = ClusterHarness()
    master.worker("w1")
    driver_id = master.driver()

    master.driver_is(driver_id, state, "why")

    summary = status(master, driver_id)
    assert (summary.state, summary.text, summary.worker_host) == (state, "why", "w1")
    assert list(master.records()) == ["worker_w1"]


def test_news_that_it_runs_and_news_of_a_stranger_change_nothing() -> None:
    master = ClusterHarness()
    master.worker("w1")
    driver_id = master.driver()

    master.driver_is(driver_id, DriverState.RUNNING)
    master.driver_is(DriverId("driver-9"), DriverState.FINISHED)

    assert status(master, driver_id).state is DriverState.RUNNING
    assert status(master, DriverId("driver-9")).driver_id == ""


def test_one_that_waits_is_killed_at_once_and_one_that_runs_through_its_worker() -> None:
    master = ClusterHarness()
    waiting = master.driver(describe_driver(cores=9))
    worker = master.worker("w1")
    running = master.driver()

    assert kill(master, waiting)
    assert kill(master, running)
    assert not kill(master, DriverId("driver-9"))

    assert status(master, waiting).state is DriverState.KILLED
    assert status(master, running).state is DriverState.RUNNING
    assert worker.of(KillDriver) == [KillDriver(1, running)]


def test_one_whose_worker_is_gone_ends_in_error_unless_it_is_supervised() -> None:
    master = ClusterHarness()
    master.worker("w1")
    driver_id = master.driver()

    master.disconnect("w1")

    assert status(master, driver_id).state is DriverState.ERROR
    assert not master.cluster.drivers


@pytest.mark.scenario("MST-005")
def test_a_supervised_driver_that_is_launched_again_is_the_only_one() -> None:
    """Given a worker that is cut off, and still runs the first driver when it comes back."""
    master = ClusterHarness()
    worker = master.worker("w1")
    first = master.driver(describe_driver(supervise=True))
    master.disconnect("w1")
    (second,) = master.cluster.drivers
    master.worker("w2")
    assert master.drivers_at("w2") == [1]

    master.worker("w1")
    master.tell(WorkerLatestState(WorkerId("w1"), (), (first,)))
    master.driver_is(first, DriverState.KILLED)

    assert first != second
    assert worker.of(KillDriver) == [KillDriver(1, first)]
    assert list(master.cluster.drivers) == [second]
    assert status(master, first).state is DriverState.RELAUNCHING
    assert status(master, second).state is DriverState.RUNNING
    assert [key for key in master.records() if key.startswith("driver_")] == [f"driver_{second}"]


def test_ended_drivers_are_forgotten_some_day() -> None:
    master = ClusterHarness(retained_drivers=10)
    ids = [master.driver() for _ in range(12)]
    for driver_id in ids:
        kill(master, driver_id)

    assert [driver.driver_id for driver in master.cluster.completed_drivers] == ids[2:]
