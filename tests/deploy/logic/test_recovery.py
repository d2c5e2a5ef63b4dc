"""Recovery: a new leader finds out who is still there before it starts anything."""

import pytest

from minispark.deploy.logic.effects import CompleteLater
from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy import (
    ExecutorStateChanged,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    MasterChangeAcknowledged,
    MasterChanged,
    MasterInStandby,
    RegisteredWorker,
    WorkerLatestState,
    WorkerRemoved,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_clients import RequestSubmitDriver, SubmitDriverResponse
from minispark.messages.deploy_records import CompleteRecovery, ElectedLeader
from minispark.messages.deploy_values import (
    ApplicationState,
    DriverState,
    ExecutorRecord,
    ExecutorState,
    MasterState,
    WorkerState,
)
from tests.deploy.logic.cluster_harness import ClusterHarness, describe_app, describe_driver

W1 = WorkerId("w1")


def predecessor() -> ClusterHarness:
    """Return a master with two workers, an application with two executors, and three drivers, one of which waits."""
    master = ClusterHarness()
    for name in ("w1", "w2"):
        master.worker(name)
    master.driver(describe_driver(cores=2))
    master.driver(describe_driver(cores=2, supervise=True))
    master.app("a1", describe_app(per_executor=2, memory_mib=1024))
    master.driver(describe_driver(cores=4))
    master.run_all()
    return master


def successor(before: ClusterHarness) -> ClusterHarness:
    """Return a master that was elected after one that ended; the others live and have the same addresses."""
    after = ClusterHarness(lead=False)
    after.refs = before.refs
    for ref in before.refs.values():
        ref.take()
    after.tell(after_election(before))
    return after


def after_election(before: ClusterHarness) -> ElectedLeader:
    return ElectedLeader(2, tuple(entry for _, entry in sorted(before.records().items())))


def answer_of(before: ClusterHarness, name: str) -> WorkerSchedulerStateResponse:
    """Return what a worker says of itself."""
    worker = before.cluster.workers[WorkerId(name)]
    executors = tuple(
        ExecutorRecord(each.app.app_id, each.number, each.cores, each.memory_bytes, each.state)
        for each in worker.executors.values()
    )
    return WorkerSchedulerStateResponse(WorkerId(name), executors, tuple(worker.drivers))


def phase(master: ClusterHarness) -> MasterState:
    return master.cluster.phase


def app_of(before: ClusterHarness) -> ApplicationId:
    return next(iter(before.cluster.apps))


@pytest.mark.scenario("MST-007", "recovery: app, worker, driver restored")
def test_all_that_answer_are_restored() -> None:
    before = predecessor()
    after = successor(before)
    assert phase(after) is MasterState.RECOVERING
    assert [len(ref.of(MasterChanged)) for ref in after.refs.values()] == [1, 1, 1]
    assert {worker.state for worker in after.cluster.workers.values()} == {WorkerState.UNKNOWN}

    for name in ("w1", "w2"):
        after.tell(answer_of(before, name))
    after.tell(MasterChangeAcknowledged(app_of(before)))

    app = after.cluster.apps[app_of(before)]
    assert phase(after) is MasterState.ALIVE
    assert app.state is ApplicationState.RUNNING
    assert app.cores_granted == before.cluster.apps[app.app_id].cores_granted == 4
    assert [driver.state for driver in after.cluster.drivers.values()] == [
        DriverState.RUNNING, DriverState.RUNNING, DriverState.SUBMITTED,
    ]  # fmt: skip
    told = {type(message) for ref in after.refs.values() for message in ref.sent}
    assert told == {MasterChanged}


@pytest.mark.scenario("MST-007", "apps/workers that do not answer removed")
def test_those_that_do_not_answer_in_time_are_removed_and_supervised_drivers_run_elsewhere() -> None:
    before = predecessor()
    first, supervised, waiting = before.cluster.drivers
    after = successor(before)
    assert [later.delay_s for later in after.of(CompleteLater)] == [60.0]
    after.tell(WorkerSchedulerStateResponse(W1, (), ()))
    after.tell(CompleteRecovery(1))
    assert phase(after) is MasterState.RECOVERING

    after.tell(CompleteRecovery(2))

    assert (list(after.cluster.workers), list(after.cluster.apps)) == (["w1"], [])
    assert [driver.driver_id for driver in after.cluster.completed_drivers] == [first, supervised]
    assert [driver.state for driver in after.cluster.completed_drivers] == [
        DriverState.ERROR, DriverState.RELAUNCHING,
    ]  # fmt: skip
    assert waiting in after.cluster.drivers
    assert after.ref("w1").of(LaunchDriver)


@pytest.mark.scenario("MST-007", "quick exit with zero workers/apps (46664)")
def test_nobody_to_wait_for_is_not_waited_for() -> None:
    alone = ClusterHarness()
    with_driver = ClusterHarness()
    with_driver.driver()
    after = successor(with_driver)

    assert phase(alone) is MasterState.ALIVE
    assert phase(after) is MasterState.ALIVE
    assert not after.of(CompleteLater)
    assert len(after.cluster.waiting_drivers) == 1


@pytest.mark.scenario("MST-007", "worker registration in STANDBY / RECOVERING, known or unknown worker (46353)")
def test_a_worker_registers_with_a_standby_and_with_a_master_that_recovers() -> None:
    standby = ClusterHarness(lead=False)
    assert standby.worker("w1").of(MasterInStandby) == [MasterInStandby()]
    assert not standby.cluster.workers

    after = successor(predecessor())
    known, unknown = after.worker("w1"), after.worker("w9")

    assert [answer.duplicate for answer in known.of(RegisteredWorker)] == [True]
    assert [answer.duplicate for answer in unknown.of(RegisteredWorker)] == [False]
    assert phase(after) is MasterState.RECOVERING
    states = {name: worker.state for name, worker in after.cluster.workers.items()}
    assert states == {"w1": WorkerState.UNKNOWN, "w2": WorkerState.UNKNOWN, "w9": WorkerState.ALIVE}
    after.tell(WorkerLatestState(W1, (), ()))  # what a worker answers to that
    assert after.cluster.workers[W1].state is WorkerState.ALIVE


def test_a_registration_is_no_report_of_what_runs_there() -> None:
    before = predecessor()
    after = successor(before)
    after.tell(MasterChangeAcknowledged(app_of(before)))
    after.tell(answer_of(before, "w2"))

    after.worker("w1")  # the last that is waited for; its report is on its way

    assert phase(after) is MasterState.RECOVERING
    after.tell(answer_of(before, "w1"))
    assert phase(after) is MasterState.ALIVE
    assert not after.ref("w1").of(KillExecutor)


def test_a_worker_that_registers_by_itself_keeps_what_it_runs() -> None:
    before = predecessor()
    after = successor(before)
    after.worker("w1")
    report = answer_of(before, "w1")

    after.tell(WorkerLatestState(W1, report.executors, report.driver_ids))

    assert not after.ref("w1").of(KillExecutor)
    assert report.executors or report.driver_ids
    assert list(after.cluster.workers[W1].executors) == list(before.cluster.workers[W1].executors)


def test_what_cannot_be_taken_over_is_ended() -> None:
    before = predecessor()
    after = successor(before)
    app_id, running = app_of(before), ExecutorState.RUNNING
    records = (
        ExecutorRecord(ApplicationId("app-9"), 0, 1, 1, running),
        ExecutorRecord(app_id, 3, 5, 1, running),  # more than the worker has
        ExecutorRecord(app_id, 4, 1, 1, ExecutorState.EXITED),
        ExecutorRecord(app_id, 5, 1, 1, running),
        ExecutorRecord(app_id, 5, 1, 1, running),
    )

    after.tell(WorkerSchedulerStateResponse(W1, records, ()))

    assert [(each.app_id, each.number) for each in after.ref("w1").of(KillExecutor)] == [
        ("app-9", 0), (app_id, 3), (app_id, 4),
    ]  # fmt: skip
    assert list(after.cluster.apps[app_id].executors) == [5]


def test_an_executor_that_was_being_ended_to_make_room_for_a_driver_does_not_take_its_place_again() -> None:
    before = predecessor()
    after = successor(before)
    worker = next(each for each in before.cluster.workers.values() if each.drivers)
    dying = ExecutorRecord(app_of(before), 9, worker.entry.cores, 1, ExecutorState.RUNNING)

    after.tell(WorkerSchedulerStateResponse(worker.worker_id, (dying,), tuple(worker.drivers)))

    assert after.cluster.workers[worker.worker_id].drivers.keys() == worker.drivers.keys()
    assert [each.number for each in after.ref(worker.worker_id).of(KillExecutor)] == [9]


def test_no_executor_has_a_number_that_one_had_before() -> None:
    before = predecessor()
    after = successor(before)
    for name in ("w1", "w2"):
        after.tell(answer_of(before, name))
    after.tell(MasterChangeAcknowledged(app_of(before)))

    after.worker("w3")

    after.worker("w4")  # one of them gets the driver that waits
    orders = [*after.ref("w3").of(LaunchExecutor), *after.ref("w4").of(LaunchExecutor)]
    assert [order.number for order in orders] == [100, 101]


def test_connections_that_end_are_answers_too() -> None:
    before = predecessor()
    after = successor(before)
    for name in ("w1", "w2", "a1"):
        assert phase(after) is MasterState.RECOVERING
        after.disconnect(name)

    assert phase(after) is MasterState.ALIVE
    assert (after.cluster.workers, after.cluster.apps) == ({}, {})
    assert after.ref("a1").of(WorkerRemoved)


def test_drivers_are_not_taken_while_it_recovers() -> None:
    after = successor(predecessor())

    reply = after.answer(RequestSubmitDriver(describe_driver()))

    assert isinstance(reply, SubmitDriverResponse)
    assert reply.driver_id == ""
    assert "RECOVERING" in reply.text


def test_answers_of_strangers_change_nothing() -> None:
    after = successor(predecessor())

    after.tell(MasterChangeAcknowledged(ApplicationId("app-9")))
    after.tell(WorkerSchedulerStateResponse(WorkerId("w9"), (), (DriverId("d9"),)))
    after.tell(ExecutorStateChanged(ApplicationId("app-9"), 0, ExecutorState.EXITED, "", 0))

    assert phase(after) is MasterState.RECOVERING
