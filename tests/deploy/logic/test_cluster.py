"""Cluster: its invariants are checked, and what has ended is forgotten by and by."""

import pytest

from minispark.deploy.logic.cluster import retain
from minispark.ids import WorkerId
from minispark.messages.deploy_values import WorkerState
from tests.deploy.logic.cluster_harness import ClusterHarness


def busy() -> ClusterHarness:
    master = ClusterHarness()
    master.worker("w1")
    master.app("a1")
    return master


def test_accounts_that_are_wrong_are_found() -> None:
    master = busy()
    master.cluster.workers[WorkerId("w1")].cores_used -= 1

    with pytest.raises(AssertionError):
        master.cluster.check()


def test_more_than_there_is_is_found() -> None:
    master = busy()
    (executor,) = master.cluster.executors()
    executor.cores = 5
    executor.worker.cores_used = executor.app.cores_granted = 5

    with pytest.raises(AssertionError):
        master.cluster.check()


def test_an_executor_of_nobody_is_found() -> None:
    master = busy()
    (executor,) = master.cluster.executors()
    executor.app.remove_executor(executor)
    del master.cluster.apps[executor.app.app_id]

    with pytest.raises((AssertionError, KeyError)):
        master.cluster.check()


def test_a_dead_worker_among_the_living_is_found() -> None:
    master = busy()
    master.cluster.workers[WorkerId("w1")].state = WorkerState.DEAD

    with pytest.raises(AssertionError):
        master.cluster.check()


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(0, []), (1, [29]), (5, [25, 26, 27, 28, 29]), (20, list(range(10, 30))), (50, list(range(30)))],
)
def test_the_oldest_are_forgotten_first(limit: int, kept: list[int]) -> None:
    ended: list[int] = []
    for number in range(30):
        retain(ended, number, limit)

    assert ended == kept
