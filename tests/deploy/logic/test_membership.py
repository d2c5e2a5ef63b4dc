"""Membership: the master's machine under messages in any order; a master on standby commands nobody."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minispark.deploy.logic.effects import Effect, Persist, Reply, Send
from minispark.ids import ApplicationId, DriverId, ExecutorId, WorkerId
from minispark.messages.deploy import (
    DriverStateChanged,
    ExecutorStateChanged,
    KillExecutors,
    LaunchExecutor,
    MasterChangeAcknowledged,
    MasterInStandby,
    RegisterApplication,
    RequestExecutors,
    ToMaster,
    UnregisterApplication,
    WorkerDecommissioning,
    WorkerHeartbeat,
    WorkerLatestState,
    WorkerSchedulerStateResponse,
)
from minispark.messages.deploy_clients import (
    DecommissionWorkersOnHosts,
    RequestDriverStatus,
    RequestKillDriver,
    RequestMasterStatus,
    RequestSubmitDriver,
)
from minispark.messages.deploy_records import CheckForWorkerTimeOut, CompleteRecovery, ElectedLeader
from minispark.messages.deploy_values import DriverState, ExecutorRecord, ExecutorState, MasterState
from tests.deploy.logic.cluster_harness import ClusterHarness, describe_app, describe_driver

WORKERS = st.sampled_from(["w1", "w2", "w3"])
APPS = st.sampled_from(["a1", "a2"])
NUMBERS = st.integers(0, 12)


@pytest.mark.parametrize(
    "request_",
    [
        RequestSubmitDriver(describe_driver()), RequestKillDriver(DriverId("d")), RequestDriverStatus(DriverId("d")),
        RequestMasterStatus(), DecommissionWorkersOnHosts(()), RequestExecutors(ApplicationId("a"), 1),
        KillExecutors(ApplicationId("a"), (ExecutorId("0"),)), DriverStateChanged(DriverId("d"), DriverState.FAILED),
        ExecutorStateChanged(ApplicationId("a"), 0, ExecutorState.FAILED),
    ],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_a_standby_answers_every_ask_and_does_nothing(request_: ToMaster) -> None:
    master = ClusterHarness(lead=False)

    effects = master.tell(request_)

    assert [type(effect) for effect in effects] == [Reply]


def test_a_standby_sends_those_who_register_on_and_ignores_the_rest() -> None:
    master = ClusterHarness(lead=False)
    ref = master.ref("x")

    master.tell(RegisterApplication(describe_app(), ref))
    master.tell(WorkerDecommissioning(WorkerId("x"), ref))
    for ignored in (
        WorkerHeartbeat(WorkerId("x"), ref), WorkerLatestState(WorkerId("x"), (), ()), CheckForWorkerTimeOut(),
        MasterChangeAcknowledged(ApplicationId("a")), UnregisterApplication(ApplicationId("a")), CompleteRecovery(0),
    ):  # fmt: skip
        assert master.tell(ignored) == []

    assert ref.sent == [MasterInStandby(), MasterInStandby()]


class Histories(RuleBasedStateMachine):
    """Any messages, also of those who are not there any more, and masters that end and are followed by others."""

    def __init__(self) -> None:
        super().__init__()
        self.term = 1
        self.master = ClusterHarness(decommission_enabled=True, max_executor_retries=3)
        self.disk: dict[str, Any] = {}

    def tell(self, message: Any) -> None:
        self.take(self.master.tell(message))

    def take(self, effects: list[Effect]) -> None:
        """Hold every effect against the promises."""
        self.disk = {**self.disk}
        for effect in effects:
            if isinstance(effect, Send):
                assert getattr(effect.message, "term", self.term) == self.term
                if isinstance(effect.message, LaunchExecutor):
                    kept = self.disk[f"app_{effect.message.app_id}"]
                    assert effect.message.number < kept.numbers_below
            elif isinstance(effect, Persist):
                assert (effect.entry.key in self.disk) is not effect.is_new
                self.disk[effect.entry.key] = effect.entry
            elif hasattr(effect, "key"):
                self.disk.pop(effect.key, None)

    def app_id(self, pick: int) -> ApplicationId:
        ids = [*self.master.cluster.apps, ApplicationId("app-0")]
        return ids[pick % len(ids)]

    def driver_id(self, pick: int) -> DriverId:
        ids = [*self.master.cluster.drivers, DriverId("driver-0")]
        return ids[pick % len(ids)]

    @rule(name=WORKERS, cores=st.integers(0, 6))
    def worker_comes(self, name: str, cores: int) -> None:
        before = len(self.master.effects)
        self.master.worker(name, cores=cores, host="h1")
        self.take(self.master.effects[before:])

    @rule(name=APPS, realm=st.sampled_from("xy"), cores=st.integers(0, 4), per=st.integers(0, 2))
    def app_comes(self, name: str, realm: str, cores: int, per: int) -> None:
        description = describe_app(realm=realm, max_cores=cores, per_executor=per, limit=-1 if cores else 3)
        self.tell(RegisterApplication(description, self.master.ref(name)))

    @rule(name=st.sampled_from(["w1", "w2", "w3", "a1", "a2"]))
    def connection_ends(self, name: str) -> None:
        self.master.ref(name)
        self.take(self.master.disconnect(name))

    @rule(pick=NUMBERS, number=NUMBERS, state=st.sampled_from(ExecutorState), code=st.sampled_from([0, 1, None]))
    def executor_changes(self, pick: int, number: int, state: ExecutorState, code: int | None) -> None:
        self.tell(ExecutorStateChanged(self.app_id(pick), number, state, "", code))

    @rule(pick=NUMBERS, number=NUMBERS, total=st.integers(-1, 5))
    def app_wishes(self, pick: int, number: int, total: int) -> None:
        self.tell(KillExecutors(self.app_id(pick), (ExecutorId(str(number)),)))
        self.tell(RequestExecutors(self.app_id(pick), total))

    @rule(pick=NUMBERS)
    def app_goes(self, pick: int) -> None:
        self.tell(UnregisterApplication(self.app_id(pick)))

    @rule(cores=st.integers(0, 4), supervise=st.booleans())
    def driver_comes(self, cores: int, supervise: bool) -> None:
        self.tell(RequestSubmitDriver(describe_driver(cores=cores, supervise=supervise)))

    @rule(pick=NUMBERS, state=st.sampled_from(DriverState), kill=st.booleans())
    def driver_changes(self, pick: int, state: DriverState, kill: bool) -> None:
        driver_id = self.driver_id(pick)
        self.tell(RequestKillDriver(driver_id) if kill else DriverStateChanged(driver_id, state))

    @rule(name=WORKERS)
    def worker_goes_in_order(self, name: str) -> None:
        self.tell(WorkerDecommissioning(WorkerId(name), self.master.ref(name)))

    @rule(seconds=st.integers(0, 100), heard=st.lists(WORKERS, unique=True))
    def time_passes(self, seconds: int, heard: list[str]) -> None:
        before = len(self.master.effects)
        self.master.silence(seconds, *heard)
        self.take(self.master.effects[before:])

    @rule(name=WORKERS, again=st.booleans(), pick=NUMBERS, cores=st.integers(1, 3), numbers=st.lists(NUMBERS))
    def worker_tells(self, name: str, again: bool, pick: int, cores: int, numbers: list[int]) -> None:
        kind = WorkerLatestState if again else WorkerSchedulerStateResponse
        running = ExecutorState.RUNNING
        records = tuple(ExecutorRecord(self.app_id(pick), each, cores, 512 << 20, running) for each in numbers)
        self.tell(kind(WorkerId(name), records, (self.driver_id(pick),)))

    @rule(pick=NUMBERS)
    def app_answers(self, pick: int) -> None:
        self.tell(MasterChangeAcknowledged(self.app_id(pick)))

    @rule()
    def recovery_ends(self) -> None:
        self.tell(CompleteRecovery(self.term))

    @rule()
    def another_master_is_elected(self) -> None:
        refs, now_s, before = self.master.refs, self.master.now_s, self.disk
        self.term += 1
        rules = {"decommission_enabled": True, "max_executor_retries": 3}
        self.master = ClusterHarness(lead=False, **rules)
        self.master.refs, self.master.now_s, self.master.ports = refs, now_s, 50_000 + 100 * self.term
        self.tell(ElectedLeader(self.term, tuple(entry for _, entry in sorted(before.items()))))

    @invariant()
    def nothing_waits_that_could_run(self) -> None:
        cluster = self.master.cluster
        self.master.membership.check()
        assert not cluster.changed or cluster.phase is not MasterState.ALIVE
        assert self.disk.keys() >= {app.entry.key for app in cluster.apps.values()}
        assert self.disk.keys() >= {driver.entry.key for driver in cluster.drivers.values()}


Histories.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestHistories = Histories.TestCase
