import pytest

from minispark.ids import ExecutorId
from minispark.messages.scheduler import ExecutorRemoved
from minispark.messages.task import TaskDescription
from minispark.testing.builders import LineageBuilder
from minispark.testing.scripted_tasks import SimulatedExecutor, TaskScript
from minispark.testing.simulated_cluster import SimulatedCluster, executors

FIRST, SECOND = ExecutorId("exec-0"), ExecutorId("exec-1")


def one_stage(cluster: SimulatedCluster, tasks: int) -> None:
    build = LineageBuilder()
    build.source(tasks)
    cluster.submit(build.lineage())


def test_a_dead_executor_is_offered_until_the_driver_hears_of_it() -> None:
    cluster = SimulatedCluster(executors(2))
    launched: list[ExecutorId] = []
    cluster.backend.on_launch = lambda task, executor: launched.append(executor.executor_id)
    cluster.backend.lose(FIRST, after_s=5.0)
    one_stage(cluster, 4)
    cluster.run(until_s=4.5)
    assert cluster.backend.num_launched == 4
    assert set(launched) == {SECOND}
    cluster.run()
    cluster.assert_empty()
    assert FIRST not in cluster.backend.slots


def test_the_schedulers_hear_of_a_loss_once() -> None:
    cluster = SimulatedCluster(executors(2))
    heard: list[str] = []
    cluster.stepped.observer = lambda name, message: heard.append(name) if type(message) is ExecutorRemoved else None
    for _ in range(2):
        cluster.backend.lose(FIRST)
    cluster.run()
    assert heard == ["DAGScheduler", "TaskScheduler"]


def test_a_decommissioned_executor_ends_what_it_has_and_gets_no_more() -> None:
    cluster = SimulatedCluster(executors(2))
    launched: list[ExecutorId] = []
    cluster.backend.on_launch = lambda task, executor: launched.append(executor.executor_id)
    one_stage(cluster, 6)
    cluster.run(until_s=0.5)
    cluster.backend.decommission(FIRST)
    cluster.run()
    cluster.assert_empty()
    assert launched.count(FIRST) == 1


def test_a_killed_attempt_ends_after_it_has_unwound() -> None:
    class Stubborn(TaskScript):
        def unwind_s(self, task: TaskDescription, executor: SimulatedExecutor) -> float:
            return 7.0

    cluster = SimulatedCluster(executors(1), script=Stubborn(100.0))
    one_stage(cluster, 1)
    cluster.run(until_s=1.0)
    cluster.cancel(next(iter(cluster.jobs.values())))
    cluster.run(until_s=7.5)
    assert cluster.backend.cores_of
    cluster.run(until_s=8.0)
    cluster.assert_empty()


def test_two_executors_of_one_name_are_refused() -> None:
    cluster = SimulatedCluster(executors(1))
    with pytest.raises(ValueError, match="exec-0 already"):
        cluster.backend.add(executors(1)[0])


def test_a_lost_core_is_found() -> None:
    cluster = SimulatedCluster(executors(1, cores=2))
    cluster.backend.slots[FIRST].offer.cores = 1
    with pytest.raises(AssertionError, match="lost cores"):
        cluster.backend.check()
    with pytest.raises(AssertionError, match="lost cores"):
        cluster.backend.assert_idle()
