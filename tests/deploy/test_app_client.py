"""The cases of AppClientSuite, and what changes of masters mean for an application."""

import logging
from collections.abc import Awaitable, Callable

import pytest

from minispark.deploy.app_client import APP_CLIENT, AppClient
from minispark.errors import RpcError
from minispark.ids import ApplicationId, ExecutorId, WorkerId
from minispark.messages.deploy import (
    ApplicationRemoved,
    ExecutorAllotted,
    ExecutorUpdated,
    KillExecutors,
    MasterChangeAcknowledged,
    MasterChanged,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    UnregisterApplication,
    WorkerRemoved,
)
from minispark.messages.deploy_clients import ApplicationSummary, MasterStatus, RequestMasterStatus
from minispark.messages.deploy_values import (
    Acknowledged,
    ApplicationDescription,
    ApplicationState,
    ExecutorState,
    MasterState,
)
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Message
from tests.deploy.masters import SECRET, FakeMaster, Masters, freeze, settle, with_masters

APP = ApplicationId("app-1")
WORKER = WorkerId("worker-1")
TWO = ExecutorId("2")


class Heard:
    """A listener that keeps what it is told, as tuples."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def connected(self, app_id: ApplicationId) -> None:
        self.told.append(("connected", app_id))

    def disconnected(self) -> None:
        self.told.append(("disconnected",))

    def dead(self, reason: str) -> None:
        self.told.append(("dead", reason))

    def executor_added(
        self, executor_id: ExecutorId, worker_id: WorkerId, host: str, cores: int, memory_bytes: int
    ) -> None:
        self.told.append(("added", executor_id, worker_id, host, cores, memory_bytes))

    def executor_removed(
        self, executor_id: ExecutorId, text: str, exit_code: int | None, worker_host: str, *, worker_lost: bool
    ) -> None:
        self.told.append(("removed", executor_id, text, exit_code, worker_host, worker_lost))

    def executor_decommissioned(self, executor_id: ExecutorId, text: str, worker_host: str) -> None:
        self.told.append(("decommissioned", executor_id, text, worker_host))

    def worker_removed(self, worker_id: WorkerId, host: str, text: str) -> None:
        self.told.append(("worker removed", worker_id, host, text))


class Application:
    """A client of two masters, of which the first leads in term 1."""

    def __init__(self, masters: Masters) -> None:
        self.masters = masters
        self.listener = Heard()
        self.env: RpcEnv = masters.env("driver", b"the secret of the application", "app-0123")

    async def start(self) -> None:
        self.leader, self.leader_ref, first = await self.masters.master(7077)
        self.standby, self.standby_ref, second = await self.masters.master(7078)
        address = await self.env.listen("127.0.0.1", 0)
        self.env.add_realm(CLUSTER_REALM, SECRET, (first, second))
        self.masters.envs[1].add_realm("app-0123", b"the secret of the application", (address,))
        self.masters.envs[2].add_realm("app-0123", b"the secret of the application", (address,))
        description = ApplicationDescription("test", "app-0123", "me", address, 2, 1, 1 << 30, -1, {})
        self.client = AppClient(self.env, (first, second), description, self.listener)
        self.env.setup_endpoint(APP_CLIENT, self.client)
        await settle(40)

    async def say(self, message: Message) -> list[tuple[object, ...]]:
        """Have a master say something; return what the listener was told."""
        self.leader_env.bind(APP_CLIENT, self.env.address).send(message)
        await settle(40)
        told, self.listener.told = self.listener.told, []
        return told

    @property
    def leader_env(self) -> RpcEnv:
        return self.masters.envs[1]

    async def register(self) -> None:
        assert await self.say(RegisteredApplication(1, APP, self.leader_ref, "url")) == [("connected", APP)]

    async def change_master(self, term: int = 2) -> None:
        await self.say(MasterChanged(term, self.standby_ref, "url"))


def with_application(scenario: Callable[[Application], Awaitable[None]], *, registered: bool = True) -> None:
    async def run(masters: Masters) -> None:
        application = Application(masters)
        await application.start()
        if registered:
            await application.register()
        await scenario(application)

    with_masters(run)


@pytest.mark.scenario("WRK-005")
def test_an_application_registers_with_all_masters_and_the_leader_gives_it_an_id() -> None:
    async def scenario(application: Application) -> None:
        for master in (application.leader, application.standby):
            (request,) = master.of(RegisterApplication)
            assert request.description.name == "test"
        await application.register()
        await application.client.env.world.sleep(100.0)
        assert len(application.leader.of(RegisterApplication)) == 1
        assert application.listener.told == []

    with_application(scenario, registered=False)


def test_an_application_that_no_master_answers_is_dead_after_three_rounds() -> None:
    async def scenario(application: Application) -> None:
        await application.env.world.sleep(59.0)
        assert len(application.leader.of(RegisterApplication)) == 3
        assert application.listener.told == []
        await application.env.world.sleep(2.0)
        ((kind, reason),) = application.listener.told
        assert kind == "dead"
        assert "no master answered within 60 s" in str(reason)
        assert "127.0.0.1:7077" in str(reason)

    with_application(scenario, registered=False)


def test_one_that_is_dead_says_what_kept_the_masters_from_answering() -> None:
    async def scenario(application: Application) -> None:
        application.client.on_network_error(RpcError("it does not know the secret"), RpcAddress("127.0.0.1", 7077))
        await application.env.world.sleep(61.0)
        ((_, reason),) = application.listener.told
        assert "minispark://127.0.0.1:7077 (it does not know the secret)" in str(reason)

    with_application(scenario, registered=False)


def test_what_a_slow_master_registers_after_the_end_is_given_back() -> None:
    async def scenario(application: Application) -> None:
        await application.env.world.sleep(61.0)
        told = await application.say(RegisteredApplication(1, APP, application.leader_ref, "url"))
        assert [each[0] for each in told] == ["dead"]
        assert application.leader.of(UnregisterApplication) == [UnregisterApplication(APP)]

    with_application(scenario, registered=False)


def test_a_second_registration_by_another_master_is_given_back() -> None:
    async def scenario(application: Application) -> None:
        other = ApplicationId("app-2")
        assert await application.say(RegisteredApplication(2, other, application.standby_ref, "url")) == []
        assert application.standby.of(UnregisterApplication) == [UnregisterApplication(other)]
        assert await application.client.request_total_executors(1)
        assert application.leader.of(RequestExecutors) == [RequestExecutors(APP, 1)]

    with_application(scenario)


@pytest.mark.scenario("DYN-011", "locality preferences aggregated")
@pytest.mark.scenario("WRK-005")
def test_requests_and_kills_of_executors_go_to_the_leader() -> None:
    async def scenario(application: Application) -> None:
        assert await application.client.request_total_executors(3)
        assert await application.client.kill_executors([TWO])
        assert application.leader.heard[1:] == [RequestExecutors(APP, 3), KillExecutors(APP, (TWO,))]
        application.leader.answer = Acknowledged(done=False, text="unknown application")
        assert not await application.client.request_total_executors(4)

    with_application(scenario)


@pytest.mark.scenario("WRK-005")
def test_before_the_registration_nothing_can_be_requested() -> None:
    async def scenario(application: Application) -> None:
        assert not await application.client.request_total_executors(3)
        assert not await application.client.kill_executors([TWO])
        assert application.leader.of(RequestExecutors) == []

    with_application(scenario, registered=False)


def test_a_request_that_the_master_cannot_answer_any_more_is_false() -> None:
    async def scenario(application: Application) -> None:
        application.leader.answer = None
        asked = application.env.scope.spawn(application.client.request_total_executors(3), name="request")
        await settle(40)
        application.masters.network.cut()
        assert not await asked

    with_application(scenario)


def test_requests_that_fail_while_the_leader_is_lost_are_no_warnings(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(application: Application) -> None:
        await application.leader_env.close()
        await settle(40)
        caplog.clear()
        assert not await application.client.request_total_executors(3)
        assert [record.levelname for record in caplog.records if "RequestExecutors" in record.message] == ["DEBUG"]

    caplog.set_level(logging.DEBUG)
    with_application(scenario)


def test_what_the_master_says_of_executors_and_workers_reaches_the_listener() -> None:
    async def scenario(application: Application) -> None:
        say = application.say
        assert await say(ExecutorAllotted(1, 2, WORKER, "host", 4, 1 << 30)) == [
            ("added", TWO, WORKER, "host", 4, 1 << 30)
        ]
        assert await say(ExecutorUpdated(1, 2, ExecutorState.RUNNING, "")) == []
        assert await say(ExecutorUpdated(1, 2, ExecutorState.EXITED, "killed", -9, "host", True)) == [
            ("removed", TWO, "killed", -9, "host", True)
        ]
        assert await say(ExecutorUpdated(1, 2, ExecutorState.DECOMMISSIONED, "bye", None, "host")) == [
            ("decommissioned", TWO, "bye", "host")
        ]
        assert await say(WorkerRemoved(1, WORKER, "host", "lost")) == [("worker removed", WORKER, "host", "lost")]

    with_application(scenario)


@pytest.mark.scenario("DYN-011", "reset after reconnect")
def test_a_new_leader_is_answered_and_told_what_was_wanted_last() -> None:
    async def scenario(application: Application) -> None:
        await application.client.request_total_executors(5)
        await application.change_master()
        assert application.standby.heard[1:] == [MasterChangeAcknowledged(APP), RequestExecutors(APP, 5)]
        await application.client.kill_executors([TWO])
        assert application.standby.of(KillExecutors)

    with_application(scenario)


def test_a_master_of_a_lower_term_is_ignored() -> None:
    async def scenario(application: Application) -> None:
        await application.change_master(term=2)
        assert await application.say(ApplicationRemoved(1, "I was asleep")) == []
        assert await application.say(ExecutorAllotted(1, 2, WORKER, "host", 4, 1)) == []
        assert await application.say(MasterChanged(1, application.leader_ref, "url")) == []
        assert application.leader.of(MasterChangeAcknowledged) == []

    with_application(scenario)


def test_the_loss_of_the_leader_is_told_once_until_another_leads() -> None:
    async def scenario(application: Application) -> None:
        application.masters.network.cut()
        await settle(40)
        assert application.listener.told == [("disconnected",)]
        application.client.on_disconnected(RpcAddress("127.0.0.1", 7077))
        assert application.listener.told == [("disconnected",)]
        await application.change_master()
        application.client.on_disconnected(RpcAddress("127.0.0.1", 7078))
        assert application.listener.told == [("disconnected",)]

    with_application(scenario)


def test_a_leader_that_stands_still_is_lost_until_it_answers_and_knows_the_application() -> None:
    async def scenario(application: Application) -> None:
        freeze(application.leader_env)
        await application.env.world.sleep(1.25 * 120.0)
        assert application.listener.told == [("disconnected",)]
        known = ApplicationSummary(APP, "test", "me", ApplicationState.RUNNING, 2, 1, 1 << 30, 0.0, 0.0)
        application.leader.answer = MasterStatus("url", MasterState.ALIVE, 1, (), (known,), (), (), ())
        application.masters.network.cut()
        await application.env.world.sleep(30.0)
        assert application.client.registration.connected
        asked = len(application.leader.of(RequestMasterStatus))
        await application.env.world.sleep(1000.0)
        assert len(application.leader.of(RequestMasterStatus)) == asked

    with_application(scenario)


@pytest.mark.parametrize("state", [MasterState.RECOVERING, MasterState.ALIVE])
def test_an_application_that_lost_its_leader_asks_until_one_does_not_know_it_any_more(state: MasterState) -> None:
    async def scenario(application: Application) -> None:
        application.leader.answer = MasterStatus("url", state, 1, (), (), (), (), ())
        application.client.on_disconnected(RpcAddress("127.0.0.1", 7077))
        await application.env.world.sleep(70.0)
        asked = len(application.leader.of(RequestMasterStatus))
        gone = ("dead", "the master at url does not know the application any more")
        if state is MasterState.ALIVE:
            assert (asked, application.listener.told[1:]) == (1, [gone])
        else:
            assert (asked >= 2, application.listener.told[1:]) == (True, [])

    with_application(scenario)


def test_an_application_that_the_master_removed_is_dead() -> None:
    async def scenario(application: Application) -> None:
        told = await application.say(ApplicationRemoved(1, "ten executors failed in a row"))
        assert told == [("dead", "the master removed the application: ten executors failed in a row")]
        assert not await application.client.request_total_executors(1)
        assert await application.say(WorkerRemoved(1, WORKER, "host", "lost")) == []

    with_application(scenario)


def test_stop_unregisters_and_says_nothing_more() -> None:
    async def scenario(application: Application) -> None:
        await application.client.stop()
        assert application.leader.of(UnregisterApplication) == [UnregisterApplication(APP)]
        application.masters.network.cut()
        await settle(40)
        assert application.listener.told == []
        assert await application.say(ExecutorUpdated(1, 0, ExecutorState.KILLED, "too late")) == []
        await application.client.stop()
        assert len(application.leader.of(UnregisterApplication)) == 1

    with_application(scenario)


def test_stop_without_a_master_takes_two_seconds_at_most() -> None:
    async def scenario(application: Application) -> None:
        for transport in application.masters.network.transports:
            transport.stalled = True
        began = application.env.world.monotonic()
        await application.client.stop()
        assert application.env.world.monotonic() - began <= 2.0

    with_application(scenario)


def test_a_leader_elsewhere_is_proved_the_secret_of_the_cluster_too() -> None:
    async def scenario(application: Application) -> None:
        other = FakeMaster()
        env = application.masters.env("another master")
        await env.listen("127.0.0.1", 7079)
        await application.say(MasterChanged(2, env.setup_endpoint("Master", other), "url"))
        assert other.of(MasterChangeAcknowledged) == [MasterChangeAcknowledged(APP)]

    with_application(scenario)
