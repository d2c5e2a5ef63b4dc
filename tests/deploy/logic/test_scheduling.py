"""Scheduling: drivers before executors, first come first served, numbers that are never given twice."""

import pytest

from minispark.deploy.logic.effects import Persist
from minispark.deploy.logic.members import NUMBERS_AT_ONCE
from minispark.messages.deploy import LaunchDriver, LaunchExecutor
from minispark.messages.deploy_values import DriverState, ExecutorState
from tests.deploy.logic.cluster_harness import URL, ClusterHarness, describe_app, describe_driver


def test_an_application_gets_what_is_there_and_later_what_comes() -> None:
    master = ClusterHarness()
    master.worker("w1")
    master.app("a1")
    master.worker("w2", cores=2)

    assert master.launched("w1", "w2") == [("w1", 4), ("w2", 2)]
    assert master.allotted("a1") == [0, 1]


def test_a_launch_carries_the_term_and_the_master() -> None:
    master = ClusterHarness(term=7)
    master.worker("w1")
    app_id = master.app("a1", describe_app(max_cores=2, memory_mib=100))

    (order,) = master.ref("w1").of(LaunchExecutor)

    assert (order.term, order.master_url, order.app_id, order.number) == (7, URL, app_id, 0)
    assert (order.cores, order.memory_bytes, order.description.name) == (2, 100 << 20, "count words")


def test_the_first_application_is_served_first_and_the_next_gets_the_rest() -> None:
    master = ClusterHarness()
    master.app("a1", describe_app(realm="a1", max_cores=3))
    master.app("a2", describe_app(realm="a2", max_cores=3))

    master.worker("w1", cores=4)

    assert [order.cores for order in master.ref("w1").of(LaunchExecutor)] == [3, 1]


def test_an_application_without_a_wish_gets_the_default_cores() -> None:
    master = ClusterHarness(default_cores=3)
    master.worker("w1", cores=8)

    master.app("a1")

    assert master.launched("w1") == [("w1", 3)]


def test_packed_applications_leave_workers_free() -> None:
    master = ClusterHarness(spread_out_apps=False)
    for name in ("w1", "w2", "w3"):
        master.worker(name)

    master.app("a1", describe_app(max_cores=6))

    assert master.launched("w1", "w2", "w3") == [("w1", 4), ("w2", 2)]


@pytest.mark.scenario("MST-002", "selection policies (cores/memory free asc/desc, worker id)")
@pytest.mark.parametrize(
    ("policy", "first"),
    [("cores_free_asc", "w2"), ("cores_free_desc", "w3"), ("memory_free_asc", "w3"), ("memory_free_desc", "w2"),
     ("worker_id", "w1")],
)  # fmt: skip
def test_the_worker_that_the_policy_prefers_gets_the_executor(policy: str, first: str) -> None:
    master = ClusterHarness(worker_selection_policy=policy)
    for name, cores, memory_mib in (("w1", 4, 2048), ("w2", 2, 4096), ("w3", 8, 1024)):
        master.worker(name, cores=cores, memory_mib=memory_mib)

    master.app("a1", describe_app(max_cores=1))

    assert master.launched("w1", "w2", "w3") == [(first, 1)]


def test_drivers_come_before_executors() -> None:
    master = ClusterHarness()
    master.app("a1")
    master.driver(describe_driver(cores=3))

    master.worker("w1", cores=4)

    assert master.drivers_at("w1") == [1]
    assert master.launched("w1") == [("w1", 1)]


@pytest.mark.scenario("MST-002", "46800: drivers spread or packed")
@pytest.mark.parametrize(("spread_out", "expected"), [(True, [1, 1, 1]), (False, [0, 0, 3])])
def test_drivers_are_spread_or_packed(spread_out: bool, expected: list[int]) -> None:
    master = ClusterHarness(spread_out_drivers=spread_out)
    for name in ("w1", "w2", "w3"):
        master.worker(name)
    for _ in range(3):  # all of them wait when they are placed
        master.membership.drivers.add(describe_driver())

    master.membership.settle()
    master.perform()

    assert sorted(master.drivers_at("w1", "w2", "w3")) == expected


@pytest.mark.scenario("MST-002", "45174: max drivers")
def test_no_more_drivers_run_than_allowed() -> None:
    master = ClusterHarness(max_drivers=2)
    master.worker("w1", cores=8)
    first, _, third = (master.driver() for _ in range(3))

    assert master.drivers_at("w1") == [2]
    master.driver_is(first, DriverState.FINISHED)
    assert [order.driver_id for order in master.ref("w1").of(LaunchDriver)][2:] == [third]


def test_a_driver_that_no_worker_could_ever_take_is_warned_of_and_others_go_on() -> None:
    master = ClusterHarness()
    master.worker("w1", cores=4)

    master.driver(describe_driver(cores=5))
    master.driver(describe_driver(cores=4))

    assert master.drivers_at("w1") == [1]
    assert "more than any worker has" in master.warnings[0]


def test_that_a_driver_was_launched_is_kept_before_it_is() -> None:
    master = ClusterHarness()
    master.worker("w1")

    driver_id = master.driver()

    assert master.records()[f"driver_{driver_id}"] == master.cluster.drivers[driver_id].entry
    assert master.cluster.drivers[driver_id].entry.worker_id == "w1"
    kinds = [type(getattr(effect, "message", effect)) for effect in master.effects]
    assert kinds.index(LaunchDriver) > max(at for at, kind in enumerate(kinds) if kind is Persist)


def test_numbers_of_executors_are_put_down_before_they_are_used() -> None:
    master = ClusterHarness(max_executor_retries=-1)
    master.worker("w1", cores=1)
    app_id = master.app("a1")
    for number in range(NUMBERS_AT_ONCE):
        master.executor_is(app_id, number, ExecutorState.EXITED, 0)

    record = master.records()[f"app_{app_id}"]

    assert master.allotted("a1") == list(range(NUMBERS_AT_ONCE + 1))
    assert record == master.cluster.apps[app_id].entry
    assert master.cluster.apps[app_id].entry.numbers_below == 2 * NUMBERS_AT_ONCE


@pytest.mark.scenario("MST-009")
def test_what_drivers_and_executors_had_is_given_again() -> None:
    master = ClusterHarness()
    master.worker("w1", cores=4, memory_mib=1024)
    driver_id = master.driver(describe_driver(cores=1, memory_mib=256))
    app_id = master.app("a1", describe_app(max_cores=3, memory_mib=768))
    worker = master.cluster.workers[next(iter(master.cluster.workers))]
    assert (worker.cores_free, worker.memory_free_bytes) == (0, 0)

    master.driver_is(driver_id, DriverState.FINISHED)
    assert (worker.cores_free, worker.memory_free_bytes) == (1, 256 << 20)
    master.app("a2", describe_app(realm="a2", memory_mib=768))
    assert master.allotted("a2") == []
    master.executor_is(app_id, 0, ExecutorState.EXITED, 0)
    master.disconnect("a1")

    assert [cores for _, cores in master.launched("w1")] == [3, 3, 4]
    assert (worker.cores_free, worker.memory_free_bytes) == (0, 256 << 20)
