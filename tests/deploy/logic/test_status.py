"""What people are told: who is there, what is used, what is free."""

from minispark.ids import DriverId
from minispark.messages.deploy import UnregisterApplication
from minispark.messages.deploy_clients import DriverSummary, MasterStatus, RequestDriverStatus, RequestMasterStatus
from minispark.messages.deploy_values import ApplicationState, DriverState, MasterState, WorkerState
from tests.deploy.logic.cluster_harness import MIB, URL, ClusterHarness, describe_app


def status(master: ClusterHarness) -> MasterStatus:
    answer = master.answer(RequestMasterStatus())
    assert isinstance(answer, MasterStatus)
    return answer


def test_it_says_what_is_used_and_so_what_is_free() -> None:
    master = ClusterHarness(term=3)
    master.worker("w1", cores=8, memory_mib=4096)
    master.app("a1", describe_app(max_cores=3, memory_mib=1024))
    master.now_s += 7

    told = status(master)

    (worker,), (app,) = told.workers, told.active_apps
    assert (told.url, told.state, told.term) == (URL, MasterState.ALIVE, 3)
    assert (worker.cores, worker.cores_used) == (8, 3)
    assert (worker.memory_bytes, worker.memory_used_bytes) == (4096 * MIB, 1024 * MIB)
    assert worker.heartbeat_age_s == 7
    assert (app.name, app.user, app.state, app.cores, app.executors) == (
        "count words", "ann", ApplicationState.RUNNING, 3, 1,
    )  # fmt: skip
    assert app.duration_s == 7


def test_what_has_ended_is_told_too() -> None:
    master = ClusterHarness()
    master.worker("w1")
    app_id, driver_id = master.app("a1", describe_app(max_cores=1)), master.driver()
    master.now_s += 5
    master.tell(UnregisterApplication(app_id))
    master.driver_is(driver_id, DriverState.FAILED, "exit code 1")
    master.now_s += 5
    master.disconnect("w1")

    told = status(master)

    assert [worker.state for worker in told.workers] == [WorkerState.DEAD]
    assert [(app.app_id, app.state, app.duration_s) for app in told.completed_apps] == [
        (app_id, ApplicationState.FINISHED, 5.0)
    ]
    assert [(driver.driver_id, driver.text) for driver in told.completed_drivers] == [(driver_id, "exit code 1")]
    assert (told.active_apps, told.active_drivers) == ((), ())


def test_a_driver_that_is_not_there_is_told_with_the_reason() -> None:
    leader = ClusterHarness().answer(RequestDriverStatus(DriverId("d")))
    standby = ClusterHarness(lead=False).answer(RequestDriverStatus(DriverId("d")))

    assert leader == DriverSummary(DriverId(""), DriverState.UNKNOWN, text="there is no driver d")
    assert standby == DriverSummary(DriverId(""), DriverState.UNKNOWN, text="this master does not lead")
