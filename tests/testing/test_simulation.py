"""Whole clusters in one process: after each outage an application still runs jobs, and one master leads."""

import signal
from collections.abc import Awaitable, Callable, Iterator
from operator import add
from typing import Any

import pytest

from minispark import BarrierTaskContext
from minispark.messages.deploy_values import WorkerState
from minispark.rdd.rdd import RDD
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.simulation import SimContext, SimMaster, Simulation, run_simulation

Outage = Callable[[Simulation], Awaitable[None]]


def counted(context: SimContext) -> "RDD[tuple[int, int]]":
    return context.parallelize(range(200), 8).map(lambda n: (n % 5, 1)).reduce_by_key(add, 4)


async def cluster(simulation: Simulation, num_masters: int = 2) -> None:
    simulation.store = MemoryStore()
    for number in range(num_masters):
        simulation.add_master(f"master-{number}")
    for number in range(3):
        simulation.add_worker(f"host-{number}")
    await simulation.pass_time(30.0)


def leader_of(simulation: Simulation) -> SimMaster:
    (leader,) = simulation.leaders
    return leader


def hosts_of(leader: SimMaster) -> list[str]:
    assert leader.running is not None
    workers = leader.running.endpoint.machine.cluster.workers.values()
    return sorted(worker.entry.host for worker in workers if worker.state is WorkerState.ALIVE)


async def halt_leader(simulation: Simulation) -> None:
    leader = leader_of(simulation)
    leader.restart_s = None
    leader.process.end()


async def restart_leader(simulation: Simulation) -> None:
    leader_of(simulation).process.end()


async def restart_all(simulation: Simulation) -> None:
    masters, workers = simulation.masters, simulation.workers
    for process in [*(each.process for each in masters), *(each.process for each in workers)]:
        process.end()


async def freeze_leader(simulation: Simulation) -> None:
    leader = leader_of(simulation)
    leader.process.freeze()
    await simulation.pass_time(40.0)
    leader.process.thaw()


async def roll(simulation: Simulation) -> None:
    masters, workers = simulation.masters, simulation.workers
    for process in [*(each.process for each in masters), *(each.process for each in workers)]:
        process.end()
        await simulation.pass_time(40.0)


@pytest.mark.parametrize("outage", [halt_leader, restart_leader, restart_all, freeze_leader, roll])
def test_after_an_outage_the_application_runs_a_job_workers_are_registered_once_and_one_master_leads(
    outage: Outage,
) -> None:
    async def scenario(simulation: Simulation) -> None:
        await cluster(simulation)

        async def program(context: SimContext) -> list[list[tuple[int, int]]]:
            answers = [sorted(await counted(context).collect())]
            await outage(simulation)
            await simulation.pass_time(120.0)
            return [*answers, sorted(await counted(context).collect())]

        _, result = simulation.start_driver(program)
        assert await result == [[(key, 40) for key in range(5)]] * 2
        assert hosts_of(leader_of(simulation)) == ["host-0", "host-1", "host-2"]
        await simulation.pass_time(30.0)
        assert simulation.executors == []

    run_simulation(scenario)


def test_a_job_goes_on_through_the_death_of_an_executor_and_of_its_worker() -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)

        async def program(context: SimContext) -> Any:
            return await counted(context).collect()

        _, result = simulation.start_driver(program)
        await simulation.pass_time(2.0)
        simulation.workers[0].launcher.executors[0].process.end()
        simulation.workers[1].process.end()
        return sorted(await result)

    assert run_simulation(scenario, duration=lambda task: 1.0) == [(key, 40) for key in range(5)]


def meet(records: Iterator[int]) -> Iterator[str]:
    yield ",".join(BarrierTaskContext.get().all_gather(str(sum(records))))


def test_the_tasks_of_a_barrier_stage_meet_also_when_one_of_them_has_to_start_again() -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)

        async def program(context: SimContext) -> Any:
            met = context.parallelize(range(6), 3).barrier().map_partitions(meet)
            return sorted(await met.map(lambda text: (text, 1)).reduce_by_key(add, 2).collect())

        _, result = simulation.start_driver(program)
        await simulation.pass_time(2.0)
        simulation.workers[0].launcher.executors[0].process.end()
        return await result

    assert run_simulation(scenario, duration=lambda task: 5.0) == [("1,5,9", 3)]


def test_the_executors_get_a_broadcast_from_the_driver_and_from_each_other() -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)
        located: list[str] = []
        simulation.observer = lambda now, process, endpoint, message: located.append(type(message).__name__)

        async def program(context: SimContext) -> Any:
            names = context.broadcast({n: f"name {n}" for n in range(5)})
            first = await context.parallelize(range(60), 12).map(lambda n: names.value[n % 5]).collect()
            await names.unpersist()
            second = await context.parallelize(range(60), 12).map(lambda n: names.value[n % 5]).collect()
            return first == second == [f"name {n % 5}" for n in range(60)]

        _, result = simulation.start_driver(program)
        return await result, located.count("LocateBroadcast") >= 6, located.count("RemoveBroadcast") >= 3

    assert run_simulation(scenario, duration=lambda task: 1.0) == (True, True, True)


def test_several_drivers_share_a_cluster_each_with_a_context_of_its_own() -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)

        async def program(context: SimContext) -> Any:
            return await counted(context).count(), context.driver.mode.default_parallelism

        settings = {"cores.max": 2, "executor.cores": 1}
        results = [simulation.start_driver(program, f"driver-{number}", **settings)[1] for number in range(3)]
        return [await result for result in results]

    assert run_simulation(scenario, duration=lambda task: 1.0) == [(5, 2)] * 3


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGPWR, ""), (signal.SIGTERM, "SIGTERM")])
def test_a_worker_that_is_told_to_go_ends_in_order_and_another_one_takes_its_place(
    number: signal.Signals, reason: str
) -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)
        first = simulation.workers[0]

        async def program(context: SimContext) -> Any:
            return await counted(context).collect()

        _, result = simulation.start_driver(program)
        await simulation.pass_time(2.0)
        left = first.process
        left.signal(number)
        assert sorted(await result) == [(key, 40) for key in range(5)]
        await simulation.pass_time(30.0)
        return left.is_alive, first.exits, first.process.is_alive

    settings = {"decommission.enabled": True}
    assert run_simulation(scenario, duration=lambda task: 1.0, settings=settings) == (False, [reason], True)


def test_a_killed_driver_leaves_nothing_behind() -> None:
    async def scenario(simulation: Simulation) -> int:
        await cluster(simulation)
        seen: list[str] = []
        simulation.observer = lambda now, process, endpoint, message: seen.append(endpoint)

        async def program(context: SimContext) -> Any:
            return await counted(context).collect()

        process, result = simulation.start_driver(program)
        await simulation.pass_time(2.0)
        assert len(simulation.executors) == 3
        process.end()
        await simulation.pass_time(60.0)
        assert result.cancelled()
        assert leader_of(simulation).running.endpoint.machine.cluster.apps == {}  # type: ignore[union-attr]
        assert simulation.executors == []
        return len(seen)

    assert run_simulation(scenario, duration=lambda task: 5.0) > 50


def test_tasks_of_a_host_whose_disk_is_full_fail_until_there_is_room() -> None:
    async def scenario(simulation: Simulation) -> Any:
        await cluster(simulation, 1)

        async def program(context: SimContext) -> Any:
            answer = sorted(await counted(context).collect())
            return answer, context.driver.scheduler.watch.health() is None

        for host in ("host-0", "host-1", "host-2"):
            simulation.host(host).is_full = True
        _, result = simulation.start_driver(program)
        await simulation.pass_time(4.0)
        assert not result.done()
        for host in ("host-0", "host-1", "host-2"):
            simulation.host(host).is_full = False
        return await result

    settings = {"task.maxFailures": 20}
    answer = run_simulation(scenario, duration=lambda task: 1.0, settings=settings)
    assert answer == ([(key, 40) for key in range(5)], True)


def test_a_worker_that_cannot_start_is_started_again() -> None:
    async def scenario(simulation: Simulation) -> Any:
        simulation.add_master("master-0")
        simulation.host("host-0").is_full = True
        worker = simulation.add_worker("host-0")
        await simulation.pass_time(10.0)
        simulation.host("host-0").is_full = False
        await simulation.pass_time(10.0)
        return worker.exits[0].partition(":")[0].endswith("(No space left on device)"), worker.running is not None

    assert run_simulation(scenario) == (True, True)
