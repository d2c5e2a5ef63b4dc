"""Executors that come and go with the load, that a program asks for and ends, and that are decommissioned."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from minispark import SparkConf, SparkContext
from minispark.errors import ConfigurationError
from minispark.messages.listener import ExecutorJoined, ExecutorLeft, ListenerEvent, TaskEnd
from minispark.messages.task import Success
from minispark.scheduler.executor_allocation import ExecutorAllocationManager
from tests.cluster.cluster_house import mine, mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster

EXPECTED = [(key, 50) for key in range(4)]


class Events:
    """Keeps what is heard of executors, and counts the tasks that ended."""

    def __init__(self) -> None:
        self.joined: list[ExecutorJoined] = []
        self.left: list[ExecutorLeft] = []
        self.failures: list[TaskEnd] = []
        self.tasks = 0

    def on_event(self, event: ListenerEvent) -> None:
        match event:
            case ExecutorJoined():
                self.joined.append(event)
            case ExecutorLeft():
                self.left.append(event)
            case TaskEnd():
                self.tasks += 1
                if not isinstance(event.reason, Success):
                    self.failures.append(event)


def listening(sc: SparkContext) -> Events:
    events = Events()
    sc.add_listener(events)
    return events


def wait_for(path: Path) -> Callable[[int], tuple[int, int]]:
    """Return a function that waits for a file, having said where it runs."""

    def wait(n: int) -> tuple[int, int]:
        (path.parent / f"started-{n}").touch()
        while not path.exists():
            signal.sigtimedwait([], 0.01)
        return n % 4, n

    return wait


def dynamic(folder: Path, **more: object) -> SparkConf:
    settings = {
        "local.dir": folder,
        "dynamicAllocation.enabled": True,
        "dynamicAllocation.schedulerBacklogTimeout": "50ms",
        "dynamicAllocation.executorIdleTimeout": "300ms",
        "dynamicAllocation.shuffleTracking.timeout": "300ms",
    }
    return SparkConf({f"minispark.{key}": value for key, value in (settings | more).items()})


def allocation_of(sc: SparkContext) -> ExecutorAllocationManager:
    assert sc.driver.allocation is not None
    return sc.driver.allocation


@pytest.mark.scenario("DYN-001", "initialised by context")
def test_executors_come_when_tasks_wait_and_all_go_when_nothing_is_left_to_do(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        allocation, events = allocation_of(sc), listening(sc)
        assert (sc.executor_ids(), mine(sc), sc.default_parallelism) == ([], [], 3)
        job = asyncio.ensure_future(
            sc.parallelize(range(200), 6).map(wait_for(tmp_path / "go")).group_by_key(2).map_values(len).collect()
        )
        await until(lambda: len(events.joined) == 3)
        (tmp_path / "go").touch()
        assert sorted(await job) == EXPECTED
        await until(lambda: len(events.left) == 3)
        await until(lambda: not mine(sc))
        assert (allocation.figures().target, allocation.departures.driver_killed) == (0, 3)
        assert events.failures == []
        assert await sc.parallelize(range(10), 1).count() == 10  # also from nothing
        with pytest.raises(ConfigurationError, match=r"dynamicAllocation.enabled"):
            await sc.kill_executors(sc.executor_ids())

    with_cluster(scenario, dynamic(tmp_path), "local-cluster[3,1,512]")


@pytest.mark.scenario("DEC-002", "decommission + idle timeout")
def test_idle_executors_hand_their_map_outputs_over_and_exit_in_order(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        allocation, events = allocation_of(sc), listening(sc)
        grouped = sc.parallelize(range(200), 4).map(lambda n: (n % 4, n)).group_by_key(2).map_values(len)
        await registered(sc)
        assert sorted(await grouped.collect()) == EXPECTED
        await until(lambda: len(events.left) == 1)
        assert (events.left[0].in_order, allocation.departures.decommissioned) == (True, 1)
        tasks = events.tasks
        assert sorted(await grouped.collect()) == EXPECTED
        await until(lambda: events.tasks > tasks + 1)
        assert events.tasks == tasks + 2, "only the second stage ran again"
        assert events.failures == []

    conf = dynamic(tmp_path, **{"decommission.enabled": True, "dynamicAllocation.minExecutors": 1})
    conf.set("minispark.dynamicAllocation.executorIdleTimeout", "3s")  # the first must not go before the second comes
    with_cluster(scenario, conf.set("minispark.dynamicAllocation.initialExecutors", 2))


@pytest.mark.scenario("DEC-002", "2 of 3 executors decommissioned by the context")
@pytest.mark.scenario("DEC-003", "decommissioned workers do not fail the job")
def test_two_of_three_executors_are_decommissioned_while_a_job_shuffles(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 3)
        events, written = listening(sc), tmp_path / "written"
        pairs = sc.parallelize(range(200), 6).map(lambda n: (n % 4, n)).group_by_key(3)
        job = asyncio.ensure_future(pairs.map(lambda pair: (wait_for(written)(pair[0])[0], len(pair[1]))).collect())
        await until(lambda: len(list(tmp_path.glob("started-*"))) == 3)
        told = await sc.decommission_executors(sc.executor_ids()[:2])
        written.touch()
        assert sorted(await job) == EXPECTED
        await until(lambda: len(events.left) == 2)
        assert sorted(event.executor_id for event in events.left) == sorted(told)
        assert [event.in_order for event in events.left] == [True, True]
        assert sorted(await pairs.map_values(len).collect()) == EXPECTED
        await until(lambda: events.tasks >= 12)
        assert (events.tasks, events.failures) == (12, []), "the map stage ran once"
        assert len(sc.executor_ids()) == 1

    conf = SparkConf({"minispark.local.dir": tmp_path, "minispark.decommission.enabled": True})
    with_cluster(scenario, conf, "local-cluster[3,1,512]")


def test_a_program_asks_for_executors_and_ends_them(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 1)
        assert await sc.request_executors(1)
        await registered(sc, 2)
        first, second = sc.executor_ids()
        assert await sc.kill_executors([first, "99"]) == [first]
        await until(lambda: len(mine(sc)) == 1)
        assert sc.executor_ids() == [second]
        assert await sc.request_total_executors(2)
        await registered(sc, 2)
        assert await sc.parallelize(range(10), 4).count() == 10

    conf = SparkConf({"minispark.local.dir": tmp_path, "minispark.executor.instances": 1})
    with_cluster(scenario, conf)


def test_an_executor_that_does_not_go_in_time_is_killed(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc, 2)
        events = listening(sc)
        job = asyncio.ensure_future(sc.parallelize(range(1), 1).map(wait_for(tmp_path / "go")).collect())
        await until(lambda: (tmp_path / "started-0").exists())
        table = mode_of(sc).endpoint.table
        busy = next(name for name, executor in table.executors.items() if executor.running)
        processes = {psutil.Process(pid) for pid in mine(sc)}
        assert await sc.decommission_executors([busy]) == [busy]
        await until(lambda: events.left)
        assert not events.left[0].in_order
        await until(lambda: sum(process.is_running() for process in processes) == 1)
        (tmp_path / "go").touch()
        assert await job == [(0, 0)]

    settings = {"local.dir": tmp_path, "decommission.enabled": True, "executor.decommission.forceKillTimeout": "1s"}
    with_cluster(scenario, SparkConf({f"minispark.{key}": value for key, value in settings.items()}))
