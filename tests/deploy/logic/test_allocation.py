"""Allocation: which workers, how many cores on each; three workers with 10 cores and 4 GiB, as in Spark's suite."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.deploy.logic.allocation import ExecutorDemand, in_order_of_policy, place_driver, place_executors
from minispark.ids import WorkerId

GIB = 1 << 30
ANY = 1 << 62


@dataclass
class Free:
    """What is free on a worker."""

    worker_id: WorkerId
    cores_free: int
    memory_free_bytes: int


def three() -> list[Free]:
    return [Free(WorkerId(f"w{number}"), 10, 4 * GIB) for number in range(3)]


def cores(demand: ExecutorDemand, spread_out: bool) -> list[int]:
    return [sum(executors) for executors in place_executors(demand, three(), spread_out)]


MATRIX: dict[str, list[tuple[tuple[int, int, int, int | None], list[int], list[int]]]] = {
    # case: (cores wanted, per executor, GiB per executor, executors) → spread out, packed
    "basic": [((ANY, 0, 1, None), [10, 10, 10], [10, 10, 10])],
    "more memory": [((ANY, 0, 3, None), [10, 10, 10], [10, 10, 10])],
    "max cores": [((16, 0, 1, None), [6, 5, 5], [10, 6, 0])],
    "cores per executor": [
        ((ANY, 2, 1, None), [8, 8, 8], [8, 8, 8]),  # four executors of 1 GiB fit, not five
        ((ANY, 5, 1, None), [10, 10, 10], [10, 10, 10]),
        ((ANY, 3, 1, None), [9, 9, 9], [9, 9, 9]),
    ],
    "both": [
        ((4, 2, 1, None), [2, 2, 0], [4, 0, 0]),
        ((20, 2, 1, None), [8, 6, 6], [8, 8, 4]),
        ((20, 3, 1, None), [6, 6, 6], [9, 9, 0]),
    ],
    "executor limit": [
        ((ANY, 0, 1, 0), [0, 0, 0], [0, 0, 0]),
        ((ANY, 0, 1, 2), [10, 10, 0], [10, 10, 0]),
        ((ANY, 0, 1, 5), [10, 10, 10], [10, 10, 10]),
    ],
    "limit+max cores": [
        ((16, 0, 1, 0), [0, 0, 0], [0, 0, 0]),
        ((16, 0, 1, 2), [8, 8, 0], [10, 6, 0]),
        ((16, 0, 1, 5), [6, 5, 5], [10, 6, 0]),
    ],
    "limit+cores per executor": [
        ((ANY, 4, 1, 0), [0, 0, 0], [0, 0, 0]),
        ((ANY, 4, 1, 2), [4, 4, 0], [8, 0, 0]),
        ((ANY, 4, 1, 5), [8, 8, 4], [8, 8, 4]),
    ],
    "all": [
        ((16, 4, 1, 0), [0, 0, 0], [0, 0, 0]),
        ((16, 4, 1, 2), [4, 4, 0], [8, 0, 0]),
        ((16, 4, 1, 5), [8, 4, 4], [8, 8, 0]),
    ],
}


def expect_matrix(case: str, *, spread_out: bool) -> None:
    for (wanted, per_executor, gib, executors), spread, packed in MATRIX[case]:
        demand = ExecutorDemand(wanted, per_executor, gib * GIB, executors)
        assert cores(demand, spread_out) == (spread if spread_out else packed), demand


@pytest.mark.scenario("MST-001", "basic, spread out")
@pytest.mark.scenario("MST-001", "more memory, spread out")
@pytest.mark.scenario("MST-001", "max cores, spread out")
@pytest.mark.scenario("MST-001", "cores per executor, spread out")
@pytest.mark.scenario("MST-001", "both, spread out")
@pytest.mark.scenario("MST-001", "executor limit, spread out")
@pytest.mark.scenario("MST-001", "limit+max cores, spread out")
@pytest.mark.scenario("MST-001", "limit+cores per executor, spread out")
@pytest.mark.scenario("MST-001", "all, spread out")
@pytest.mark.parametrize("case", MATRIX)
def test_executors_are_spread_out(case: str) -> None:
    expect_matrix(case, spread_out=True)


@pytest.mark.scenario("MST-001", "basic, packed")
@pytest.mark.scenario("MST-001", "more memory, packed")
@pytest.mark.scenario("MST-001", "max cores, packed")
@pytest.mark.scenario("MST-001", "cores per executor, packed")
@pytest.mark.scenario("MST-001", "both, packed")
@pytest.mark.scenario("MST-001", "executor limit, packed")
@pytest.mark.scenario("MST-001", "limit+max cores, packed")
@pytest.mark.scenario("MST-001", "limit+cores per executor, packed")
@pytest.mark.scenario("MST-001", "all, packed")
@pytest.mark.parametrize("case", MATRIX)
def test_executors_are_packed(case: str) -> None:
    expect_matrix(case, spread_out=False)


def test_one_executor_grows_where_its_cores_are_not_said_and_several_start_where_they_are() -> None:
    grown = place_executors(ExecutorDemand(16, 0, GIB), three(), False)
    several = place_executors(ExecutorDemand(16, 3, GIB), three(), False)

    assert grown == [[10], [6], []]
    assert several == [[3, 3, 3], [3, 3], []]


def test_workers_are_served_in_the_order_of_the_policy() -> None:
    workers = [Free(WorkerId("b"), 2, 30), Free(WorkerId("a"), 4, 20), Free(WorkerId("c"), 4, 10)]

    orders = {
        policy: "".join(worker.worker_id for worker in in_order_of_policy(workers, policy))
        for policy in ("cores_free_asc", "cores_free_desc", "memory_free_asc", "memory_free_desc", "worker_id")
    }

    assert orders == {
        "cores_free_asc": "bac", "cores_free_desc": "acb",
        "memory_free_asc": "cab", "memory_free_desc": "bac", "worker_id": "abc",
    }  # fmt: skip


def test_a_driver_goes_to_the_first_worker_that_can_take_it_going_round() -> None:
    workers = [Free(WorkerId("a"), 4, 10), Free(WorkerId("b"), 1, 10), Free(WorkerId("c"), 4, 1)]

    assert place_driver(2, 5, workers, 1) == 0
    assert place_driver(1, 5, workers, 1) == 1
    assert place_driver(5, 1, workers, 0) is None
    assert place_driver(1, 1, [], 0) is None


@given(
    wanted=st.integers(0, 60), per_executor=st.integers(0, 5), gib=st.integers(1, 5),
    executors=st.none() | st.integers(0, 8), spread_out=st.booleans(),
    sizes=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), max_size=5),
)  # fmt: skip
def test_nobody_gets_more_than_there_is_or_than_it_wants(
    wanted: int, per_executor: int, gib: int, executors: int | None, spread_out: bool, sizes: list[tuple[int, int]]
) -> None:
    workers = [Free(WorkerId(f"w{at}"), each, gibs * GIB) for at, (each, gibs) in enumerate(sizes)]

    placed = place_executors(ExecutorDemand(wanted, per_executor, gib * GIB, executors), workers, spread_out)

    assert sum(map(sum, placed)) <= wanted
    assert executors is None or sum(map(len, placed)) <= executors
    for worker, here in zip(workers, placed, strict=True):
        assert sum(here) <= worker.cores_free
        assert len(here) * gib * GIB <= worker.memory_free_bytes
        assert all(cores == per_executor for cores in here) if per_executor else len(here) <= 1
