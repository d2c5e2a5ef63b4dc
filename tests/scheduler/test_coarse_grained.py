import asyncio

import pytest

from minispark.errors import ProtocolError
from minispark.ids import ApplicationId, BinaryId, ExecutorId, JobId, StageId, TaskId, WorkerId
from minispark.messages.blocks import RemoveExecutorBlocks
from minispark.messages.cluster import (
    DecommissionExecutor,
    ExecutorDecommissioning,
    ExecutorExited,
    ExecutorProcessLost,
    ExecutorStopped,
    KillTask,
    LaunchedExecutor,
    LaunchTasks,
    RegisteredExecutor,
    RemoveExecutor,
    RemoveWorker,
    RetrieveApplicationConf,
    StatusUpdate,
    StopExecutor,
)
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorLossPending,
    ExecutorRemoved,
    ReviveOffers,
    WorkerLost,
)
from minispark.messages.task import ExecutorLostFailure, TaskDescription, TaskState, UnknownReason
from minispark.rpc.message import Message
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.coarse_grained import DriverRules, in_messages
from minispark.scheduler.logic.executors import Decommission
from minispark.testing.builders import task_set
from minispark.testing.virtual_loop import run_virtual, settle
from tests.scheduler.cluster_harness import APPLICATION, ClusterHarness

ONE, TWO = ExecutorId("1"), ExecutorId("2")
LOST = ExecutorProcessLost("the line was cut")


def task(task_id: int, data: bytes = b"") -> TaskDescription:
    ids = TaskId(task_id), 0, ONE, JobId(1), StageId(-1), 0, 0, 0, BinaryId(1), 0, 1
    return TaskDescription(*ids, (), {}, data)


# -- coming ----------------------------------------------------------------------------------------------------------


def test_an_executor_that_is_faster_than_the_masters_word_waits_for_it() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        registered = cluster.endpoint.registered = asyncio.get_running_loop().create_future()
        first = cluster.tell(RetrieveApplicationConf(ONE))
        assert first.replies == []
        registered.set_result(ApplicationId("app-1"))
        await settle()
        assert first.replies == [APPLICATION]
        cluster.endpoint.registered = asyncio.get_running_loop().create_future()
        late = cluster.tell(RetrieveApplicationConf(ONE))
        cluster.endpoint.registered.cancel()
        await settle()
        assert [str(error) for error in late.failures] == ["the cluster has not taken this application"]

    run_virtual(scenario())


def test_an_executor_learns_what_to_be_registers_and_is_offered_when_it_has_launched() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        assert cluster.tell(RetrieveApplicationConf(ONE)).replies == [APPLICATION]
        assert cluster.register("1", cores=3).replies == [RegisteredExecutor()]
        assert cluster.heartbeats.sent == [ExecutorAdded(ONE, "host-1")]
        cluster.submit(task_set(range(5)))
        assert cluster.launched("1") == []
        cluster.tell(LaunchedExecutor(ONE))
        assert cluster.dag.of(ExecutorAdded) == [ExecutorAdded(ONE, "host-1", 3)]
        cluster.hear()
        assert len(cluster.launched("1")) == 3

    run_virtual(scenario())


def test_a_second_executor_of_the_same_id_is_refused() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        (error,) = cluster.register("1").failures
        assert "there is, or was, an executor 1" in str(error)
        assert len(cluster.heartbeats.sent) == 1

    run_virtual(scenario())


@pytest.mark.scenario("SDA-005", "registration from an excluded host fails")
def test_an_executor_of_an_excluded_host_is_refused() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(refuses=lambda executor_id, host: host == "bad")
        (error,) = cluster.register("1", host="bad").failures
        assert "host bad is excluded" in str(error)
        assert cluster.register("2", host="good").failures == []
        assert list(cluster.endpoint.table.executors) == [TWO]

    run_virtual(scenario())


@pytest.mark.scenario("CGB-006")
def test_an_executor_that_was_to_go_before_it_came_is_told_so_and_never_used() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        assert not cluster.endpoint.decommission(ONE, Decommission("maintenance"))
        cluster.register("1")
        assert cluster.executors["1"].sent == [DecommissionExecutor("maintenance")]
        cluster.tell(LaunchedExecutor(ONE))
        cluster.submit(task_set(range(2)))
        assert cluster.launched("1") == []
        assert cluster.dag.sent == []

    run_virtual(scenario())


def test_nothing_starts_before_the_share_of_cores_is_there() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(expected_cores=4, min_ratio=1.0))
        cluster.submit(task_set(range(4)))
        cluster.add("1")
        assert cluster.launched("1") == []
        cluster.add("2")
        assert len(cluster.launched("1")) == len(cluster.launched("2")) == 2
        cluster.endpoint.on_stop()

    run_virtual(scenario())


def test_nothing_waits_for_the_share_longer_than_is_allowed() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(expected_cores=4, min_ratio=1.0, max_wait_s=30.0))
        cluster.submit(task_set(range(4)))
        cluster.add("1")
        await asyncio.sleep(29.9)
        assert not cluster.endpoint.launch_directly(task(1 << 40), lambda _: None)
        await asyncio.sleep(0.2)
        cluster.hear()
        assert len(cluster.launched("1")) == 2
        cluster.endpoint.on_stop()

    run_virtual(scenario())


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_each_executor_gets_its_tasks_in_one_message() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        cluster.submit(task_set(range(4)))
        assert [len(message.tasks) for message in cluster.executors["1"].of(LaunchTasks)] == [2]
        assert [len(message.tasks) for message in cluster.executors["2"].of(LaunchTasks)] == [2]

    run_virtual(scenario())


def test_the_end_of_a_task_offers_the_core_that_it_frees_and_no_other() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2", cores=1)
        cluster.submit(task_set(range(3)))
        first = cluster.launched("2")[0]
        seen: list[tuple[list[str], bool]] = []
        resource_offers = cluster.scheduler.resource_offers

        def watched(offers: list[WorkerOffer], is_all_free: bool = True) -> list[TaskDescription]:
            seen.append(([offer.executor_id for offer in offers], is_all_free))
            return resource_offers(offers, is_all_free)

        cluster.scheduler.resource_offers = watched  # type: ignore[method-assign]
        cluster.end(first)
        assert seen == [(["2"], False)]
        assert len(cluster.launched("2")) == 2

    run_virtual(scenario())


@pytest.mark.scenario("CGB-005")
def test_a_task_takes_and_frees_as_many_cores_as_it_says() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(task_cpus=2))
        cluster.harness.scheduler.offers.task_cpus = cluster.harness.scheduler.task_cpus = 2
        cluster.add("1", cores=5)
        cluster.submit(task_set(range(2)))
        first, _ = cluster.launched("1")
        assert cluster.endpoint.table.executors[ONE].offer.cores == 1
        cluster.end(first)
        assert cluster.endpoint.table.executors[ONE].offer.cores == 3

    run_virtual(scenario())


def test_tasks_go_in_as_many_messages_as_the_bound_asks_for() -> None:
    bound = 1 << 20
    tasks = [task(number, bytes(400_000)) for number in range(5)]
    batches = list(in_messages(tasks, bound))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [each for batch in batches for each in batch] == tasks


def test_a_task_that_cannot_be_sent_has_failed() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", cores=1)

        def refuse(message: Message) -> None:
            raise ProtocolError("too large")

        cluster.executors["1"].send = refuse  # type: ignore[method-assign]
        cluster.submit(task_set([0]))
        assert cluster.harness.reasons() == [UnknownReason("the task cannot be sent: too large")] * 2
        assert [abort.kind for abort in cluster.harness.aborts()] == ["task failures"]

    run_virtual(scenario())


def test_everything_is_offered_again_while_there_is_work_and_an_idle_application_rests() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.submit(task_set(range(1)))
        await asyncio.sleep(1.5)
        assert cluster.own.sent == [ReviveOffers()]
        cluster.add("1")
        cluster.end(cluster.launched("1")[0])
        await asyncio.sleep(10.0)
        assert cluster.own.take() == []
        assert cluster.endpoint.revive_timer is None

    run_virtual(scenario())


def test_a_task_of_its_own_runs_where_a_core_is_free_and_hears_of_its_executors_loss() -> None:
    async def scenario() -> None:
        cluster, ends = ClusterHarness(), list[StatusUpdate]()
        assert not cluster.endpoint.launch_directly(task(1 << 40), ends.append)
        cluster.add("1", cores=1)
        assert cluster.endpoint.launch_directly(task(1 << 40), ends.append)
        assert not cluster.endpoint.launch_directly(task((1 << 40) + 1), ends.append)
        cluster.endpoint.kill_directly(TaskId(1 << 40), True, "enough")
        assert cluster.executors["1"].of(KillTask) == [KillTask(TaskId(1 << 40), ONE, True, "enough")]
        cluster.tell(RemoveExecutor(ONE, LOST))
        assert ends == [StatusUpdate(ONE, TaskId(1 << 40), TaskState.LOST, None)]
        cluster.endpoint.assert_idle()

    run_virtual(scenario())


def test_the_end_of_a_task_of_its_own_goes_to_whoever_launched_it() -> None:
    async def scenario() -> None:
        cluster, ends = ClusterHarness(), list[StatusUpdate]()
        cluster.add("1", cores=1)
        cluster.endpoint.launch_directly(task(1 << 40), ends.append)
        cluster.end(task(1 << 40))
        cluster.end(task(1 << 40))
        assert [update.task_id for update in ends] == [1 << 40]
        cluster.endpoint.assert_idle()

    run_virtual(scenario())


# -- going -----------------------------------------------------------------------------------------------------------


def test_a_lost_executor_is_told_to_everybody_and_its_tasks_fail() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.submit(task_set(range(2)))
        cluster.tell(RemoveExecutor(ONE, ExecutorExited(1, True, "oops")))
        news = ExecutorRemoved(ONE, "host-1", "it ended with exit code 1: oops", True)
        assert cluster.dag.of(ExecutorRemoved) == cluster.heartbeats.of(ExecutorRemoved) == [news]
        assert cluster.blocks.sent == [RemoveExecutorBlocks(ONE)]
        assert cluster.executors["1"].of(StopExecutor) == [StopExecutor()]
        cluster.hear()
        assert [type(reason) for reason in cluster.harness.reasons()] == [ExecutorLostFailure] * 2

    run_virtual(scenario())


def test_a_loss_of_somebody_unknown_concerns_only_its_blocks() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.tell(RemoveExecutor(ONE, LOST))
        assert cluster.blocks.sent == [RemoveExecutorBlocks(ONE)]
        assert cluster.dag.sent == cluster.heartbeats.sent == []

    run_virtual(scenario())


def test_who_loses_its_connection_gets_nothing_until_the_delay_is_over() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(removal_delay_s=5.0))
        cluster.add("1")
        cluster.cut("1")
        cluster.cut("1")
        assert cluster.tasks.of(ExecutorLossPending) == [ExecutorLossPending(ONE)]
        cluster.submit(task_set(range(2)))
        assert cluster.launched("1") == []
        await asyncio.sleep(5.1)
        cluster.hear()
        (news,) = cluster.dag.of(ExecutorRemoved)
        assert (news.reason, news.caused_by_app) == ("its connection to the driver ended", True)
        cluster.endpoint.on_stop()

    run_virtual(scenario())


@pytest.mark.scenario("CTX-009")
@pytest.mark.parametrize("code", [56, 58])
@pytest.mark.parametrize(("delay_s", "counts"), [(5.0, False), (0.0, True)])
def test_an_exit_code_that_comes_within_the_delay_says_whose_fault_the_loss_is(
    code: int, delay_s: float, counts: bool
) -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(removal_delay_s=delay_s))
        cluster.add("1")
        cluster.cut("1")
        cluster.hear()
        cluster.tell(RemoveExecutor(ONE, ExecutorExited(code, caused_by_app=False, text="")))
        (news,) = cluster.dag.of(ExecutorRemoved)
        assert news.caused_by_app is counts
        await asyncio.sleep(10.0)
        assert cluster.own.take() == []
        assert cluster.endpoint.delays == {}

    run_virtual(scenario())


def test_nobody_waits_for_the_reason_why_a_killed_executor_goes() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.endpoint.table.kill([ONE], force=True, replace=False)
        cluster.cut("1")
        cluster.hear()
        (news,) = cluster.dag.of(ExecutorRemoved)
        assert (news.reason, news.caused_by_app) == ("the driver had it ended", False)

    run_virtual(scenario())


def test_who_cannot_be_connected_to_is_lost_because_what_it_was_sent_is() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness(DriverRules(removal_delay_s=0.0))
        cluster.add("1")
        cluster.endpoint.on_network_error(OSError("no route"), cluster.address("1"))
        cluster.hear()
        assert [news.executor_id for news in cluster.dag.of(ExecutorRemoved)] == [ONE]

    run_virtual(scenario())


def test_the_end_of_a_connection_of_somebody_else_is_no_loss() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.cut("2")
        assert cluster.endpoint.table.executors[ONE].is_active
        assert cluster.endpoint.delays == {}

    run_virtual(scenario())


def test_an_executor_that_says_it_goes_finishes_and_gets_nothing_new() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.submit(task_set(range(3)))
        heard: list[ExecutorId] = []
        cluster.endpoint.heard_decommission = heard.append
        cluster.tell(ExecutorDecommissioning(ONE, "SIGPWR"))
        assert heard == [ONE]
        assert cluster.dag.of(ExecutorDecommissioned) == [ExecutorDecommissioned(ONE, "host-1", "SIGPWR")]
        assert cluster.executors["1"].of(DecommissionExecutor) == []
        cluster.end(cluster.launched("1")[0])
        cluster.hear()
        assert len(cluster.launched("1")) == 2

    run_virtual(scenario())


def test_a_lost_worker_takes_along_what_its_host_kept() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.tell(RemoveWorker(WorkerId("w-1"), "host-1", "no heartbeat"))
        assert cluster.dag.sent == [WorkerLost("host-1", "no heartbeat")]

    run_virtual(scenario())


def test_kills_of_tasks_go_to_their_executors_and_those_of_lost_ones_nowhere() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1")
        cluster.endpoint.kill_task(TaskId(3), ONE, True, "enough")
        cluster.endpoint.kill_task(TaskId(4), TWO, True, "enough")
        assert cluster.executors["1"].sent == [KillTask(TaskId(3), ONE, True, "enough")]

    run_virtual(scenario())


def test_while_it_stops_nothing_is_offered_nobody_comes_and_nobody_is_missed() -> None:
    async def scenario() -> None:
        cluster = ClusterHarness()
        cluster.add("1", "2")
        cluster.cut("2")
        answers = cluster.endpoint.stop_executors(5.0)
        cluster.submit(task_set(range(2)))
        cluster.cut("1")
        assert cluster.launched("1") == []
        assert cluster.endpoint.delays == {}
        assert len(cluster.register("3").failures) == 1
        for answer in answers:
            answer.set_result(ExecutorStopped())
        cluster.tell(ExecutorStopped())
        assert len(answers) == 2

    run_virtual(scenario())
