import logging

import pytest

from minispark.deploy.app_client import APP_CLIENT
from minispark.errors import MiniSparkError
from minispark.ids import WorkerId
from minispark.messages.deploy import ApplicationRemoved
from minispark.messages.deploy_clients import MasterStatus, WorkerSummary
from minispark.messages.deploy_values import ApplicationDescription, ExecutorState, MasterState, WorkerState
from minispark.messages.scheduler import ExecutorDecommissioned, ExecutorRemoved, WorkerLost
from minispark.rpc.logic.address import RpcAddress
from minispark.scheduler.standalone import KILL_AGAIN_S, shortage
from tests.scheduler.standalone_harness import Site, in_site

MIB = 1 << 20


@pytest.mark.scenario("SDA-001", "default behaviour")
def test_an_application_that_limits_nothing_gets_all_cores_of_each_worker() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        assert site.cores() == [10, 10]
        assert await site.kill_all() == []
        assert await site.request(1) == [10]
        assert await site.request(2) == [10, 10]
        assert await site.request(3) == [10, 10]
        assert await site.kill_all() == [10]  # three were wanted, and two are killed
        assert await site.kill_all() == []
        assert await site.request(1000) == [10, 10]

    in_site(scenario)


@pytest.mark.scenario("SDA-001", "max cores ≤ / > cores per worker")
def test_no_more_cores_than_the_maximum_are_taken_spread_over_the_workers() -> None:
    async def scenario(site: Site) -> None:
        await site.start(cores_max=8)
        assert site.cores() == [4, 4]
        assert await site.kill_all() == []
        assert await site.request(1) == [8]
        assert await site.request(2) == [8]
        assert await site.kill_all() == [8]  # two were wanted, and one is killed
        assert await site.kill_all() == []
        assert await site.request(3) == [4, 4]

    in_site(scenario)


@pytest.mark.scenario("SDA-001", "max cores ≤ / > cores per worker")
def test_a_maximum_above_a_workers_cores_needs_several_workers() -> None:
    async def scenario(site: Site) -> None:
        await site.start(cores_max=16)
        assert site.cores() == [8, 8]
        assert await site.kill_all() == []
        assert await site.request(1) == [10]
        assert await site.request(2) == [6, 10]
        assert await site.request(3) == [6, 10]

    in_site(scenario)


@pytest.mark.scenario("SDA-001", "cores per executor")
def test_executors_of_a_size_fill_the_workers() -> None:
    async def scenario(site: Site) -> None:
        await site.start(executor_cores=2)
        assert site.cores() == [2] * 8  # 512 MiB each: memory is what runs out
        assert await site.kill_all() == []
        assert await site.request(1) == [2]
        assert await site.request(3) == [2] * 3
        assert await site.request(1000) == [2] * 8

    in_site(scenario)


@pytest.mark.scenario("SDA-001", "both")
def test_executors_of_a_size_are_as_many_as_the_maximum_of_cores_allows() -> None:
    async def scenario(site: Site) -> None:
        await site.start(cores_max=8, executor_cores=2)
        assert site.cores() == [2] * 4
        assert await site.kill_all() == []
        assert await site.request(2) == [2] * 2
        assert await site.request(1000) == [2] * 4

    in_site(scenario)


@pytest.mark.scenario("SDA-002")
def test_an_executor_that_is_killed_twice_is_one_less() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        first, second = site.backend.executor_ids()
        assert await site.backend.kill_executors([first]) == [first]
        assert await site.backend.kill_executors([first]) == []
        await site.pause()
        assert site.backend.executor_ids() == [second]
        assert site.backend.table.target == 1

    in_site(scenario)


@pytest.mark.scenario("SDA-003")
def test_a_replacement_that_is_under_way_is_not_lost() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        first, second = site.backend.executor_ids()
        site.backend.kill_and_replace(first, "silent")
        assert await site.backend.kill_executors([first]) == []
        await site.pause()
        assert first not in site.backend.executor_ids()
        (new,) = set(site.backend.executor_ids()) - {second}
        assert await site.backend.kill_executors([first]) == []
        assert await site.backend.kill_executors([new]) == [new]
        await site.pause()
        assert site.backend.executor_ids() == [second]

    in_site(scenario)


def test_an_executor_that_a_falling_master_did_not_end_is_ended_by_the_next_one() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        first, second = site.backend.executor_ids()
        registration = site.standalone.client.registration
        leader, registration.master = registration.master, None
        assert await site.backend.kill_executors([first], adjust_target=False) == []
        registration.master = leader
        assert list(site.endpoint.table.executors) == [first, second]
        await site.pause(KILL_AGAIN_S + 1.0)
        assert first not in site.endpoint.table.executors
        await site.pause(KILL_AGAIN_S)
        assert site.standalone.kill_timer is None

    in_site(scenario)


@pytest.mark.scenario("SDA-005", "initial limit")
def test_an_application_begins_with_as_many_executors_as_it_said() -> None:
    async def scenario(site: Site) -> None:
        await site.start(limit=0)
        assert site.cores() == []
        assert await site.request(1) == [10]

    in_site(scenario)


@pytest.mark.scenario("SDA-005", "kill all on a host")
def test_all_executors_of_a_host_can_be_replaced() -> None:
    async def scenario(site: Site) -> None:
        await site.start(executor_cores=5)
        before = site.backend.table.on_host("host-a")
        site.refused = {"host-a"}
        site.backend.remove_executors_on_host("host-a", decommission=False, reason="excluded")
        await site.pause()
        assert len(before) == 2
        assert not set(before) & set(site.backend.executor_ids())
        assert len(site.backend.table.on_host("host-b")) == 2

    in_site(scenario)


@pytest.mark.scenario("SDA-005", "registration from an excluded host fails")
def test_an_excluded_host_gets_no_executor_registered() -> None:
    async def scenario(site: Site) -> None:
        site.refused = {"host-a"}
        await site.start()
        assert site.backend.table.on_host("host-a") == []
        assert len(site.backend.table.on_host("host-b")) == 1

    in_site(scenario)


@pytest.mark.parametrize(("code", "counts"), [(1, True), (56, False), (None, True)])
def test_an_exit_code_of_the_master_says_whose_fault_a_loss_was(code: int | None, counts: bool) -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        number = int(site.backend.table.on_host("host-a")[0])
        await site.workers[0].end(site.app_id, number, ExecutorState.EXITED, code)
        await site.pause()
        (news,) = site.dag.of(ExecutorRemoved)
        assert (news.host, news.caused_by_app, news.worker_lost) == ("host-a", counts, False)
        assert site.standalone.allotted.keys() == site.endpoint.table.executors.keys()

    in_site(scenario)


def test_what_the_master_says_of_workers_and_decommissions_is_passed_on() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        (there,) = site.backend.table.on_host("host-a")
        site.standalone.executor_decommissioned(there, "maintenance", "host-a")
        site.standalone.worker_removed(WorkerId("w"), "host-b", "silent")
        await site.pause()
        assert site.dag.of(ExecutorDecommissioned) == [ExecutorDecommissioned(there, "host-a", "maintenance", True)]
        assert site.dag.of(WorkerLost) == [WorkerLost("host-b", "silent")]

    in_site(scenario)


def test_a_master_that_goes_leaves_executors_alone() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        await site.master.close()
        await site.pause(120.0)
        assert site.cores() == [10, 10]
        assert site.given_up == []
        assert not await site.backend.request_total_executors(1)

    in_site(scenario)


def test_an_application_that_the_master_removes_is_given_up() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        site.driver.endpoint_ref("AppClient").send(ApplicationRemoved(99, "its executors fail"))
        await site.pause()
        assert len(site.given_up) == 1
        assert "its executors fail" in site.given_up[0]

    in_site(scenario)


def test_a_start_without_a_master_fails_with_the_reason() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        await site.standalone.stop()
        site.standalone.client.masters = (RpcAddress("nowhere", 1),)
        again = type(site.standalone)(
            site.env("driver-2", "app-2", b"another secret of an app"),
            (RpcAddress("nowhere", 1),),
            site.standalone.description,
            site.backend,
            site.given_up.append,
        )
        with pytest.raises(MiniSparkError, match=r"does not take this application: no master answered"):
            await again.start()
        assert site.given_up == []

    in_site(scenario)


def test_a_stop_gives_the_cores_back() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        await site.standalone.stop()
        await site.pause()
        assert all(not worker.executors for worker in site.workers)

    in_site(scenario)


def test_why_no_executor_comes_is_asked_of_the_master_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        await site.start(executor_cores=11)
        assert site.cores() == []
        with caplog.at_level(logging.WARNING):
            site.standalone.explain_starvation()
            await site.pause()
        assert "not enough memory or cores. An executor needs 11 cores and 512 MiB" in caplog.text
        assert "host-a: 10 cores, 2048 MiB, host-b: 10 cores, 2048 MiB" in caplog.text

    in_site(scenario)


def test_the_reasons_why_no_executor_comes() -> None:
    wanted = ApplicationDescription("a", "r", "me", RpcAddress("d", 1), 0, 0, 512 * MIB, -1, {})
    empty = MasterStatus("minispark://m:1", MasterState.ALIVE, 1, (), (), (), (), ())
    dead = WorkerSummary(WorkerId("w"), "h", WorkerState.DEAD, 4, 0, MIB, 0, 1.0)
    with_dead = MasterStatus("minispark://m:1", MasterState.ALIVE, 1, (dead,), (), (), (), ())
    assert "the master does not answer" in shortage(wanted, 0, None)
    assert "minispark://m:1 has no workers" in shortage(wanted, 0, empty)
    assert "minispark://m:1 has no workers" in shortage(wanted, 0, with_dead)
    assert "executors with 4 cores were started and have not registered" in shortage(wanted, 4, empty)
    assert shortage(wanted, 0, None, "exit code 1").endswith("executors end before they can; the last, exit code 1")


def test_that_there_are_no_workers_any_more_is_said_before_how_an_executor_ended() -> None:
    wanted = ApplicationDescription("a", "r", "me", RpcAddress("d", 1), 0, 0, 512 * MIB, -1, {})
    empty = MasterStatus("minispark://m:1", MasterState.ALIVE, 1, (), (), (), (), ())

    said = shortage(wanted, 0, empty, "its worker is gone")

    assert said.endswith("minispark://m:1 has no workers; the last executor ended: its worker is gone")


def test_an_executor_cannot_speak_as_the_master() -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        executor = next(iter(site.workers[0].executors.values()))
        executor.bind(APP_CLIENT, site.driver.address).send(ApplicationRemoved(99, "says an executor"))
        await site.pause()
        assert site.given_up == []

    in_site(scenario)
