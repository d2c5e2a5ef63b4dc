"""Workers: registered once, given up when silent, sent away in order."""

import pytest

from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy import (
    DecommissionWorker,
    ExecutorUpdated,
    KillDriver,
    KillExecutor,
    ReconnectWorker,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerDecommissioning,
    WorkerLatestState,
    WorkerRemoved,
)
from minispark.messages.deploy_clients import DecommissionWorkersOnHosts
from minispark.messages.deploy_values import Acknowledged, ExecutorRecord, ExecutorState, WorkerState
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef
from tests.deploy.logic.cluster_harness import MASTER_ADDRESS, ClusterHarness, describe_app


@pytest.mark.scenario("MST-006")
def test_a_worker_is_answered_with_the_address_that_it_used() -> None:
    master, worker = ClusterHarness(), RecordingRef("Worker", RpcAddress("h1", 4000))
    used = RpcAddress("10.0.0.7", 7077)

    master.tell(RegisterWorker(WorkerId("w1"), "h1", worker, 4, 1 << 30, used))

    (answer,) = worker.of(RegisteredWorker)
    assert (answer.master_url, answer.master.address) == ("minispark://10.0.0.7:7077", used)
    assert (answer.term, answer.duplicate) == (1, False)


def test_one_that_registers_twice_is_told_so_and_goes_on() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")
    app_id = master.app("a1")

    master.worker("w1")

    assert [answer.duplicate for answer in worker.of(RegisteredWorker)] == [False, True]
    assert list(master.cluster.apps[app_id].executors) == [0]


def test_another_id_at_the_address_of_a_living_worker_is_refused() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")

    master.tell(RegisterWorker(WorkerId("w2"), "w1", worker, 4, 1 << 30, MASTER_ADDRESS))

    assert "already a worker at minispark://w1" in worker.of(RegisterWorkerFailed)[0].text
    assert list(master.cluster.workers) == ["w1"]


def test_another_id_at_the_address_of_a_dead_worker_takes_its_place() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")
    master.disconnect("w1")

    master.tell(RegisterWorker(WorkerId("w2"), "w1", worker, 4, 1 << 30, MASTER_ADDRESS))

    assert (list(master.cluster.workers), list(master.cluster.dead)) == (["w2"], [])
    assert list(master.records()) == ["worker_w2"]


@pytest.mark.parametrize("name", ["", "../w", "a b", "x" * 201, "ä"])
def test_an_id_that_is_no_name_of_a_file_is_refused(name: str) -> None:
    master, worker = ClusterHarness(), RecordingRef("Worker", RpcAddress("h1", 4000))

    master.tell(RegisterWorker(WorkerId(name), "h1", worker, 4, 1 << 30, MASTER_ADDRESS))

    assert worker.of(RegisterWorkerFailed)
    assert not master.cluster.workers


def test_one_whose_end_nobody_could_see_is_refused() -> None:
    master, worker = ClusterHarness(), RecordingRef("Worker", None)

    master.tell(RegisterWorker(WorkerId("w1"), "h1", worker, 4, 1 << 30, MASTER_ADDRESS))

    assert worker.of(RegisterWorkerFailed)


def test_a_silent_worker_is_given_up_listed_for_a_while_then_forgotten() -> None:
    master = ClusterHarness(worker_timeout_s=60.0, dead_worker_persistence=2)
    for name in ("w1", "w2"):
        master.worker(name)
    master.silence(60, "w2")
    assert list(master.cluster.workers) == ["w1", "w2"]

    master.silence(15, "w2")
    assert (list(master.cluster.workers), list(master.cluster.dead)) == (["w2"], ["w1"])
    assert list(master.records()) == ["worker_w2"]
    master.silence(105, "w2")
    assert list(master.cluster.dead) == ["w1"]
    master.silence(15, "w2")
    assert list(master.cluster.dead) == []


def test_silence_that_is_the_masters_own_is_not_held_against_workers() -> None:
    master = ClusterHarness(worker_timeout_s=60.0)
    master.worker("w1")
    master.silence(30, "w1")

    master.now_s += 500  # the master was stopped
    master.silence(15)
    assert list(master.cluster.workers) == ["w1"]
    master.silence(60)
    assert list(master.cluster.workers) == []


def test_a_heartbeat_has_no_effect_but_that_of_a_stranger_who_shall_register() -> None:
    master = ClusterHarness()
    master.worker("w1")
    before = len(master.effects)

    master.heartbeat("w1")
    master.heartbeat("w2")

    assert len(master.effects) == before + 1
    assert master.ref("w2").of(ReconnectWorker) == [ReconnectWorker(1, "minispark://master:7077")]


def test_the_end_of_a_worker_is_the_end_of_what_it_ran_and_others_take_over() -> None:
    master = ClusterHarness()
    master.worker("w1")
    app_id = master.app("a1", describe_app(max_cores=2))
    master.app("a2", describe_app(realm="a2", limit=0))
    master.run_all()
    master.worker("w2")

    master.disconnect("w1")

    update = master.ref("a1").of(ExecutorUpdated)[-1]
    assert (update.state, update.worker_host, update.worker_lost) == (ExecutorState.LOST, "w1", True)
    assert [len(master.ref(name).of(WorkerRemoved)) for name in ("a1", "a2")] == [1, 1]
    assert master.launched("w2") == [("w2", 2)]
    assert list(master.cluster.apps[app_id].executors) == [1]


def test_a_worker_that_was_cut_off_comes_back_under_its_id() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")
    master.disconnect("w1")
    master.heartbeat("w1")
    assert worker.of(ReconnectWorker)

    master.worker("w1")

    assert [answer.duplicate for answer in worker.of(RegisteredWorker)] == [False, False]
    assert (list(master.cluster.workers), list(master.cluster.dead)) == (["w1"], [])


@pytest.mark.scenario("MST-003")
def test_a_worker_is_asked_to_end_what_the_master_does_not_know() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")
    app_id, driver_id = master.app("a1", describe_app(max_cores=1)), master.driver()
    running = ExecutorState.RUNNING
    executors = (
        ExecutorRecord(app_id, 0, 1, 512 << 20, running),
        ExecutorRecord(app_id, 7, 1, 512 << 20, running),
        ExecutorRecord(ApplicationId("app-9"), 0, 1, 512 << 20, running),
    )

    master.tell(WorkerLatestState(WorkerId("w1"), executors, (driver_id, DriverId("driver-9"))))

    assert [(order.app_id, order.number) for order in worker.of(KillExecutor)] == [(app_id, 7), ("app-9", 0)]
    assert [order.driver_id for order in worker.of(KillDriver)] == ["driver-9"]


def test_what_a_stranger_runs_is_not_the_masters_to_end() -> None:
    master = ClusterHarness()

    master.tell(WorkerLatestState(WorkerId("w9"), (), (DriverId("d"),)))

    assert "w9" in master.warnings[0]


# -- going away in order ---------------------------------------------------------------------------------------------


def test_a_worker_that_goes_gets_nothing_new_and_its_executors_are_replaced_elsewhere() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")
    app_id = master.app("a1", describe_app(max_cores=2))
    master.run_all()
    master.tell(WorkerDecommissioning(WorkerId("w1"), worker))
    master.tell(WorkerDecommissioning(WorkerId("w1"), worker))

    (update,) = [each for each in master.ref("a1").of(ExecutorUpdated) if each.worker_host]
    assert (update.state, update.worker_host) == (ExecutorState.DECOMMISSIONED, "w1")
    assert master.allotted("a1") == [0]
    master.worker("w2")
    assert master.launched("w2") == [("w2", 2)]
    assert list(master.cluster.apps[app_id].leaving) == [0]
    assert list(master.records()) == [f"app_{app_id}", "worker_w2"]


def test_the_end_of_an_executor_that_goes_is_told_and_not_counted_as_a_failure() -> None:
    master = ClusterHarness(max_executor_retries=1)
    worker = master.worker("w1")
    app_id = master.app("a1")
    master.run_all()
    master.tell(WorkerDecommissioning(WorkerId("w1"), worker))

    master.executor_is(app_id, 0, ExecutorState.EXITED, 1)

    assert master.ref("a1").of(ExecutorUpdated)[-1].state is ExecutorState.EXITED
    assert master.cluster.apps[app_id].failures_in_a_row == 0
    assert master.cluster.workers[WorkerId("w1")].cores_used == 0


@pytest.mark.scenario("MST-010", "decommission: all/none/one host")
@pytest.mark.parametrize(("hosts", "gone"), [((), [1, 1, 1]), (("h9",), [0, 0, 0]), (("h1",), [1, 1, 0])])
def test_workers_on_named_hosts_go_all_if_none_is_named(hosts: tuple[str, ...], gone: list[int]) -> None:
    master = ClusterHarness(decommission_enabled=True)
    for name, host in (("w1", "h1"), ("w2", "h1"), ("w3", "h2")):
        master.worker(name, host=host)

    assert master.answer(DecommissionWorkersOnHosts(hosts)) == Acknowledged(count=sum(gone))
    assert [len(master.ref(name).of(DecommissionWorker)) for name in ("w1", "w2", "w3")] == gone
    states = [worker.state is WorkerState.DECOMMISSIONED for worker in master.cluster.workers.values()]
    assert states == [bool(each) for each in gone]


@pytest.mark.scenario("MST-010", "refused when disabled (46888)")
def test_no_worker_goes_where_that_is_not_enabled() -> None:
    master = ClusterHarness()
    worker = master.worker("w1")

    reply = master.answer(DecommissionWorkersOnHosts(()))

    assert isinstance(reply, Acknowledged)
    assert not reply.done
    assert "minispark.decommission.enabled" in reply.text
    assert not worker.of(DecommissionWorker)
