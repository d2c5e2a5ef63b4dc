"""Workers, applications, executors and drivers: what they hold is counted once."""

from minispark.deploy.logic.members import Application, Driver, Executor, Worker
from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_records import ApplicationEntry, DriverEntry, WorkerEntry
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef
from tests.deploy.logic.cluster_harness import MIB, describe_app, describe_driver


def worker() -> Worker:
    return Worker(WorkerEntry(WorkerId("w1"), "w1", RecordingRef("Worker", RpcAddress("w1", 1)), 8, 4096 * MIB), 0.0)


def application() -> Application:
    entry = ApplicationEntry(ApplicationId("app-1"), describe_app(limit=3), RecordingRef(), 0.0, 100)
    return Application(entry, 6)


def test_an_executor_has_its_resources_once_and_gives_them_back_once() -> None:
    here, app = worker(), application()
    executor = Executor(app, here, 4, 3, 512 * MIB)
    here.add_executor(executor)
    app.add_executor(executor)
    assert (here.cores_free, here.memory_free_bytes, app.cores_granted) == (5, 3584 * MIB, 3)

    for _ in range(2):
        here.remove_executor(executor)
        app.remove_executor(executor)

    assert (here.cores_free, here.memory_free_bytes, app.cores_granted) == (8, 4096 * MIB, 0)
    assert (app.next_number, executor.name, app.executor_limit) == (5, "app-1/4", 3)


def test_an_executor_that_will_go_counts_no_more_but_is_remembered() -> None:
    here, app = worker(), application()
    executor = Executor(app, here, 0, 3, 512 * MIB)
    app.add_executor(executor)

    app.let_go(executor)

    assert (app.cores_granted, app.executors, app.leaving) == (0, {}, {0: executor})


def test_a_driver_has_its_resources_once_and_gives_them_back_once() -> None:
    here, driver = worker(), Driver(DriverEntry(DriverId("d1"), describe_driver(cores=2), 0.0))
    here.add_driver(driver)
    assert (driver.worker, here.cores_free) == (here, 6)

    for _ in range(2):
        here.remove_driver(driver)

    assert (here.cores_free, here.memory_free_bytes) == (8, 4096 * MIB)
