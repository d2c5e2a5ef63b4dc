import asyncio

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import (
    DecommissionExecutor,
    ExecutorStopped,
    KillTask,
    RemoveExecutor,
    StopExecutor,
)
from minispark.messages.scheduler import ExecutorDecommissioned, ExecutorRemoved, ReviveOffers
from minispark.scheduler.exclusions import ExecutorAllocation
from minispark.scheduler.executor_allocation import ExecutorAllocationManager
from minispark.scheduler.logic.allocation import AllocationRules
from minispark.scheduler.logic.executor_monitor import MonitorRules
from minispark.scheduler.logic.executors import exit_reason
from minispark.testing.builders import task_set
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.scheduler.cluster_harness import ClusterHarness

ONE, TWO, THREE = ExecutorId("1"), ExecutorId("2"), ExecutorId("3")


def test_the_backend_speaks_to_its_endpoint_and_the_executors() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        cluster.backend.revive_offers()
        assert cluster.own.take() == [ReviveOffers()]
        cluster.backend.kill_task(TaskId(3), ONE, True, "enough")
        assert cluster.executors["1"].of(KillTask) == [KillTask(TaskId(3), ONE, True, "enough")]
        assert cluster.backend.max_concurrent_tasks == 4
        assert isinstance(cluster.backend, ExecutorAllocation)

    run_virtual(scenario())


@pytest.mark.scenario("CGB-004", "executor request decreased/adjusted")
def test_requests_say_how_many_are_wanted_in_all() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        assert await cluster.backend.request_total_executors(4)
        assert await cluster.backend.request_executors(2)
        assert await cluster.backend.request_total_executors(3)
        cluster.provisioner.takes = False
        assert not await cluster.backend.request_executors(1)
        assert cluster.provisioner.totals == [4, 6, 3, 4]
        for wrong in (cluster.backend.request_executors(-1), cluster.backend.request_total_executors(-1)):
            with pytest.raises(ValueError, match="cannot be asked for"):
                await wrong

    run_virtual(scenario())


@pytest.mark.scenario("SDA-002")
def test_killing_the_same_executor_twice_counts_once() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        assert await cluster.backend.kill_executors([ONE]) == [ONE]
        assert await cluster.backend.kill_executors([ONE]) == []
        assert cluster.provisioner.kills == [[ONE]]
        assert cluster.provisioner.totals == [1]

    run_virtual(scenario())


@pytest.mark.scenario("SDA-003")
def test_an_executor_whose_replacement_is_under_way_is_not_killed_again_without_one() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        assert await cluster.backend.kill_executors([ONE], replace=True, force=True) == [ONE]
        assert await cluster.backend.kill_executors([ONE]) == []
        assert cluster.provisioner.totals == []
        cluster.tell(RemoveExecutor(ONE, exit_reason(143, "", "")))
        cluster.add("3")
        assert await cluster.backend.kill_executors([THREE]) == [THREE]
        assert cluster.provisioner.totals == [1]

    run_virtual(scenario())


@pytest.mark.scenario("SDA-004")
def test_an_executor_on_which_tasks_run_is_not_killed_but_by_force() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        cluster.submit(task_set(range(1)))
        busy, idle = (ONE, TWO) if cluster.endpoint.table.executors[ONE].running else (TWO, ONE)
        assert await cluster.backend.kill_executors([busy, idle]) == [idle]
        assert await cluster.backend.kill_executors([busy], force=True) == [busy]
        assert cluster.backend.executor_ids() == []

    run_virtual(scenario())


def test_kills_that_the_cluster_does_not_take_are_none() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.provisioner.takes = False
        assert await cluster.backend.kill_executors([ONE, THREE]) == []

    run_virtual(scenario())


@pytest.mark.scenario("HB-002", "expiry kills with replacement (8119)")
def test_a_silent_executor_is_ended_and_as_many_are_wanted_as_before() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        await cluster.backend.request_total_executors(2)
        cluster.backend.kill_and_replace(ONE, "silent")
        await cluster.done()
        assert cluster.provisioner.kills == [[ONE]]
        assert cluster.provisioner.totals == [2]
        cluster.hear()
        assert list(cluster.endpoint.table.executors) == [TWO]  # even if the cluster has forgotten the other one

    run_virtual(scenario())


@pytest.mark.scenario("SDA-005", "kill all on a host")
def test_all_executors_of_an_excluded_host_are_ended() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2", host="bad")
        cluster.add("3", host="good")
        cluster.backend.remove_executors_on_host("bad", decommission=False, reason="excluded")
        await cluster.done()
        assert cluster.provisioner.kills == [[ONE, TWO]]
        assert cluster.backend.executor_ids() == [THREE]

    run_virtual(scenario())


def test_an_excluded_executor_may_be_decommissioned_instead() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.backend.remove_executor(ONE, decommission=True, reason="excluded")
        await cluster.done()
        assert cluster.provisioner.kills == []
        assert cluster.executors["1"].of(DecommissionExecutor) == [DecommissionExecutor("excluded")]
        assert cluster.dag.of(ExecutorDecommissioned) == [ExecutorDecommissioned(ONE, "host-1", "excluded")]

    run_virtual(scenario())


def test_decommissioned_executors_are_wanted_no_more_and_killed_if_they_do_not_go() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(force_kill_s=60.0)
        cluster.add("1", "2")
        assert await cluster.backend.decommission_executors([ONE, TWO, THREE], "shrink") == [ONE, TWO]
        cluster.tell(RemoveExecutor(TWO, exit_reason(0, "", "")))
        await asyncio.sleep(60.1)
        await cluster.done()
        assert cluster.provisioner.totals == [0]
        assert cluster.provisioner.kills == [[ONE]]
        cluster.register("3")
        assert cluster.executors["3"].of(DecommissionExecutor) == [DecommissionExecutor("shrink")]

    run_virtual(scenario())


def test_the_loss_of_a_killed_executor_is_nobodys_fault() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        await cluster.backend.kill_executors([ONE])
        cluster.backend.tell(RemoveExecutor(ONE, exit_reason(-9, "", "")))
        cluster.hear()
        (news,) = cluster.dag.of(ExecutorRemoved)
        assert (news.reason, news.caused_by_app) == ("the driver had it ended", False)

    run_virtual(scenario())


def test_a_stop_waits_for_the_executors_and_then_gives_them_back() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(force_kill_s=60.0)
        cluster.add("1", "2")
        await cluster.backend.decommission_executors([TWO], "shrink")
        stop = asyncio.ensure_future(cluster.backend.stop())
        await cluster.done()
        assert stop.done() is False
        assert cluster.provisioner.totals[-1] == 0  # or those that stop would be replaced
        for name in ("1", "2"):
            assert cluster.executors[name].open_asks == [StopExecutor()]
            cluster.executors[name].reply(ExecutorStopped())
        await stop
        assert cluster.provisioner.stopped == 1

    run_virtual(scenario())


def test_executors_are_active_while_they_may_be_given_tasks() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        cluster.register("3")
        await cluster.backend.decommission_executors([TWO], "maintenance")
        assert [cluster.backend.is_executor_active(each) for each in (ONE, TWO, THREE)] == [True, False, False]

    run_virtual(scenario())


def test_a_stop_ends_the_following_of_the_load() -> None:
    async def scenario() -> None:
        backend = ClusterHarness().backend
        backend.allocation = ExecutorAllocationManager(
            AllocationRules(), MonitorRules(), 1, 1, backend, VirtualWorld(), backend.scope
        )
        await backend.stop()
        assert backend.allocation.is_stopped

    run_virtual(scenario())
