"""minispark.scheduler.executor_allocation: events in, requests out, at the right times and no more often."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.ids import ExecutorId, JobId, RddId, ShuffleId, StageId, TaskId
from minispark.messages.listener import (
    ExecutorJoined,
    ExecutorLeft,
    JobEnd,
    JobStart,
    SpeculativeTaskSubmitted,
    StageCompleted,
    StageInfo,
    StageSubmitted,
    TaskEnd,
    TaskInfo,
    TaskStart,
    Unexcluded,
    UnschedulableTaskSet,
)
from minispark.messages.task import TaskEndReason, TaskMetrics
from minispark.rpc.scope import TaskScope
from minispark.scheduler.executor_allocation import (
    AllocationFigures,
    ExecutorAllocationManager,
    allocation_rules,
    monitor_rules,
)
from minispark.scheduler.logic.allocation import UNBOUNDED, AllocationRules
from minispark.scheduler.logic.executor_monitor import Departures, MonitorRules
from minispark.testing.builders import exception_failure, map_success
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

E1, E2, E3 = ExecutorId("1"), ExecutorId("2"), ExecutorId("3")
SHUFFLE = ShuffleId(4)
DONE, FAILED = map_success(0), exception_failure()


class Client:
    """Takes everything unless told otherwise; notes when it was asked."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.killed: list[list[ExecutorId]] = []
        self.decommissioned: list[list[ExecutorId]] = []
        self.inactive: set[ExecutorId] = set()
        self.takes = True

    def is_executor_active(self, executor_id: ExecutorId) -> bool:
        return executor_id not in self.inactive

    async def request_total_executors(self, total: int) -> bool:
        self.totals.append(total)
        return self.takes

    async def kill_executors(
        self, executor_ids: Iterable[ExecutorId], *, adjust_target: bool = True
    ) -> list[ExecutorId]:
        assert not adjust_target
        self.killed.append(list(executor_ids))
        return self.killed[-1] if self.takes else []

    async def decommission_executors(
        self, executor_ids: Iterable[ExecutorId], reason: str, *, adjust_target: bool = True
    ) -> list[ExecutorId]:
        assert not adjust_target
        assert reason == "it was idle"
        self.decommissioned.append(list(executor_ids))
        return self.decommissioned[-1]


class Bench:
    """A manager over a client that records; backlog 1 s, idle 10 s. Make it inside of a running loop."""

    def __init__(
        self, rules: AllocationRules | None = None, *, tasks: int | None = 1, decommissions: bool = False
    ) -> None:
        self.client = Client()
        self.scope = TaskScope("test")
        self.manager = ExecutorAllocationManager(
            rules or AllocationRules(), MonitorRules(10.0, 100.0, 100.0), tasks, 1, self.client, VirtualWorld(),
            self.scope, decommissions=decommissions,
        )  # fmt: skip
        self.task_ids: dict[tuple[int, int], TaskId] = {}

    def join(self, *executors: ExecutorId, cores: int = 1) -> None:
        for executor_id in executors:
            self.manager.observe(ExecutorJoined(0.0, executor_id, "host", cores))

    def leave(self, executor_id: ExecutorId, *, in_order: bool = False) -> None:
        self.manager.observe(ExecutorLeft(0.0, executor_id, "host", "gone", in_order))

    def submit(self, num_tasks: int, stage_id: int = 1) -> None:
        self.manager.observe(StageSubmitted(stage(stage_id, num_tasks), {}))

    def complete(self, stage_id: int = 1) -> None:
        self.manager.observe(StageCompleted(stage(stage_id)))

    def start(self, executor_id: ExecutorId, *indices: int, stage_id: int = 1) -> None:
        for index in indices:
            self.manager.observe(TaskStart(StageId(stage_id), 0, task(executor_id, index)))

    def end(self, executor_id: ExecutorId, *indices: int, stage_id: int = 1, reason: TaskEndReason = DONE) -> None:
        for index in indices:
            self.manager.observe(TaskEnd(StageId(stage_id), 0, task(executor_id, index), reason))


def stage(stage_id: int, num_tasks: int = 1, shuffle_id: ShuffleId = ShuffleId(-1)) -> StageInfo:
    return StageInfo(StageId(stage_id), 0, "s", num_tasks, (), False, 0.0, 0.0, "", TaskMetrics(), shuffle_id)


def task(executor_id: ExecutorId, index: int) -> TaskInfo:
    return TaskInfo(TaskId(index), index, 0, index, executor_id, "host", 0.0, 0.0)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtual(scenario())


def test_the_first_number_is_asked_for_and_nothing_happens_in_an_application_at_rest() -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(initial_executors=2))
        bench.manager.start()
        await asyncio.sleep(3600)
        assert bench.client.totals == [2]
        assert bench.manager.timer is None

    run(scenario)


@pytest.mark.scenario("DYN-009", "polling loop without events, with add, with remove, with decommission")
@pytest.mark.parametrize("decommissions", [False, True])
def test_executors_come_while_tasks_wait_and_go_when_they_are_idle(decommissions: bool) -> None:
    async def scenario() -> None:
        bench = Bench(decommissions=decommissions)
        bench.manager.start()
        bench.submit(3)
        await asyncio.sleep(2.5)
        assert bench.client.totals == [0, 1, 3]
        bench.join(E1, E2)
        bench.start(E1, 0)
        bench.start(E2, 1)
        bench.end(E1, 0)
        bench.start(E1, 2)
        bench.end(E1, 2)
        bench.complete()
        await asyncio.sleep(9)
        assert bench.client.totals[2:] == [3, 1]
        await asyncio.sleep(2)
        gone, others = bench.client.decommissioned, bench.client.killed
        assert (gone, others) == (([[E1]], []) if decommissions else ([], [[E1]]))
        assert bench.manager.figures() == AllocationFigures(2, 1, 1, 1, 1)

    run(scenario)


@pytest.mark.scenario("DYN-010", "listener triggers")
def test_what_makes_tasks_wait_begins_the_wait_and_what_ends_it_ends_it() -> None:
    async def scenario() -> None:
        bench = Bench()
        wait = bench.manager.target
        bench.submit(1)
        assert wait.add_s < float("inf")
        bench.start(E1, 0)
        assert wait.add_s == float("inf")
        key = StageId(1), 0
        reasons: list[Callable[[], object]] = [
            lambda: bench.manager.observe(SpeculativeTaskSubmitted(*key, 0, 0)),
            lambda: bench.manager.observe(UnschedulableTaskSet(*key, True)),
            lambda: bench.end(E1, 0, reason=FAILED),
        ]
        for reason in reasons:
            wait.queue_empty()
            reason()
            assert wait.add_s < float("inf")
        bench.manager.observe(UnschedulableTaskSet(*key, False))
        bench.complete()
        assert wait.add_s == float("inf")

    run(scenario)


@pytest.mark.scenario("DYN-012", "events for inactive executors ignored")
def test_a_task_on_an_executor_that_is_gone_does_not_bring_it_back() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.client.inactive = {E2}
        bench.submit(2)
        bench.start(E1, 0)
        bench.start(E2, 1)
        assert list(bench.manager.monitor.executors) == [E1]
        assert bench.manager.backlog.num_running == 2

    run(scenario)


@pytest.mark.scenario("DYN-007", "remove one / several")
@pytest.mark.scenario("DYN-007", "interleaved add/remove")
def test_idle_executors_go_together_and_others_come_while_they_do() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.join(E1, E2)
        await asyncio.sleep(5)
        bench.join(E3)
        await asyncio.sleep(5.2)
        assert bench.client.killed == [[E1, E2]]
        bench.submit(4)
        await asyncio.sleep(1.3)
        assert bench.client.totals == [4]  # one more than there are
        bench.leave(E1)
        bench.start(E3, 0)
        bench.complete()
        await asyncio.sleep(1)
        assert bench.client.totals == [4, 1]
        bench.end(E3, 0)
        await asyncio.sleep(11)
        assert bench.client.totals == [4, 1, 0]
        assert bench.client.killed == [[E1, E2], [E3]]

    run(scenario)


@pytest.mark.scenario("DYN-011", "26758 target checked after idle timeout")
@pytest.mark.scenario("DYN-011", "23365 kill idle keeps target")
def test_the_first_idle_time_lowers_the_number_before_executors_go_and_going_does_not() -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(min_executors=1, initial_executors=3))
        bench.manager.start()
        bench.join(E1, E2, E3)
        await asyncio.sleep(9.9)
        assert bench.client.totals == [3]
        await asyncio.sleep(100)
        assert bench.client.totals == [3, 1]
        assert bench.client.killed == [[E1, E2]]

    run(scenario)


def test_an_idle_executor_that_had_to_stay_goes_when_another_one_comes() -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(min_executors=1, initial_executors=1))
        bench.join(E1)
        await asyncio.sleep(60)
        assert bench.client.killed == []
        assert bench.manager.timer is None
        bench.join(E2)
        await asyncio.sleep(0.2)
        assert bench.client.killed == [[E1]]

    run(scenario)


def test_what_the_cluster_does_not_take_is_asked_for_again() -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(backlog_s=0.2, sustained_s=5.0))
        bench.client.takes = False
        bench.join(E1)
        bench.submit(8)
        await asyncio.sleep(5.5)
        assert bench.client.totals == [2, 0, 0, 0, 0, 2], "until then what was wanted before, in case 2 was heard"
        bench.client.takes = True
        await asyncio.sleep(5)
        assert bench.client.totals[6:] == [0, 2]
        bench.complete()
        bench.client.takes = False
        await asyncio.sleep(3)
        bench.client.takes = True
        await asyncio.sleep(2)
        assert bench.client.totals[-1] == 0
        assert bench.client.killed[-1] == [E1]

    run(scenario)


def test_what_is_asked_anew_and_not_taken_again_is_no_further_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(backlog_s=0.2, sustained_s=5.0))
        bench.client.takes = False
        bench.join(E1)
        bench.submit(8)
        await asyncio.sleep(4)
        assert bench.client.totals == [2, 0, 0, 0]

    run(scenario)
    assert [record.message for record in caplog.records] == ["the cluster did not take that 2 executors are wanted"]


def test_what_happens_while_the_cluster_is_asked_is_looked_at_afterwards() -> None:
    async def scenario() -> None:
        bench = Bench(AllocationRules(initial_executors=5))
        bench.manager.start()
        bench.submit(2)  # before the answer
        await asyncio.sleep(0.2)
        assert bench.client.totals == [5, 2]

    run(scenario)


@pytest.mark.scenario("DYN-008")
@pytest.mark.parametrize("decommissions", [False, True])
def test_it_is_counted_how_executors_went(decommissions: bool) -> None:
    async def scenario() -> None:
        bench = Bench(decommissions=decommissions)
        bench.join(E1, E2)
        await asyncio.sleep(10.2)
        bench.leave(E1, in_order=decommissions)
        bench.leave(E2)
        bench.join(E3)
        bench.manager.executor_decommissioned(E3)
        bench.leave(E3, in_order=True)
        expected = Departures(2, 1, 0, 0) if decommissions else Departures(1, 0, 2, 0)
        assert bench.manager.departures == expected

    run(scenario)


def test_where_nobody_says_how_large_executors_are_it_is_seen_from_those_that_come() -> None:
    async def scenario() -> None:
        bench = Bench(tasks=None)
        bench.submit(8)
        assert bench.manager.figures().need == 8
        bench.join(E1, cores=4)
        assert bench.manager.figures().need == 2

    run(scenario)


def test_jobs_blocks_and_map_outputs_keep_executors() -> None:
    async def scenario() -> None:
        bench = Bench()
        manager = bench.manager
        bench.join(E1, E2, E3)
        manager.observe(JobStart(JobId(1), 0.0, (stage(1, 1, SHUFFLE), stage(2)), {}))
        bench.start(E1, 0)
        bench.end(E1, 0)
        manager.output_moved(E2, SHUFFLE)
        manager.block_updated(E3, RddId(1), 0, True)
        await asyncio.sleep(60)
        assert bench.client.killed == []
        manager.rdd_removed(RddId(1))
        manager.observe(JobEnd(JobId(1), 0.0, "succeeded", ""))
        await asyncio.sleep(1)
        assert bench.client.killed == [[E3]]
        manager.shuffle_forgotten(SHUFFLE)
        await asyncio.sleep(1)
        assert bench.client.killed == [[E3], [E1, E2]]

    run(scenario)


def test_events_that_say_nothing_of_load_cause_nothing_and_after_the_stop_nothing_does() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.manager.observe(Unexcluded(0.0, E1, "host"))
        assert not bench.manager.is_soon
        bench.submit(1)
        timer = bench.manager.timer
        bench.manager.stop()
        bench.submit(1, 2)
        assert timer is not None
        assert bench.manager.timer is None

    run(scenario)


def settings(**values: object) -> SparkConf:
    return SparkConf({f"minispark.dynamicAllocation.{key}": value for key, value in values.items()})


@pytest.mark.scenario("DYN-001", "min/max verified")
@pytest.mark.parametrize(
    ("conf", "text"),
    [
        (settings(minExecutors=2, maxExecutors=1), "minExecutors is 2, more than .*maxExecutors, which is 1"),
        (settings(initialExecutors=3, maxExecutors=2), "3 executors to begin with .* more than .*which is 2"),
        (settings(executorAllocationRatio=1.5), "must be above 0 and at most 1, not 1.5"),
        (settings(**{"shuffleTracking.enabled": False}), "would take map outputs with them"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(conf: SparkConf, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        allocation_rules(conf)


@pytest.mark.scenario("DYN-001", "min/max verified")
def test_settings_say_the_bounds_and_the_times() -> None:
    assert allocation_rules(SparkConf()) == AllocationRules(0, UNBOUNDED, 0, 1.0, 1.0, 1.0)
    assert allocation_rules(settings(minExecutors=2, maxExecutors=2)).initial_executors == 2
    conf = settings(schedulerBacklogTimeout="2s", maxExecutors=9, cachedExecutorIdleTimeout="5s")
    conf.set("minispark.executor.instances", 4)
    assert allocation_rules(conf) == AllocationRules(0, 9, 4, 1.0, 2.0, 2.0)
    assert monitor_rules(conf) == MonitorRules(60.0, 5.0, float("inf"), True)
    conf.set("minispark.shuffle.service.enabled", True)
    assert not monitor_rules(conf).tracks_shuffles
    without = settings(**{"shuffleTracking.enabled": False}).set("minispark.decommission.enabled", True)
    assert allocation_rules(without).max_executors == UNBOUNDED
