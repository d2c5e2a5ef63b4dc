from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.ids import ExecutorId, TaskId
from minispark.scheduler.logic.pool import POOL_PROPERTY, Mode, Pool, PoolSpec, PoolTree
from minispark.scheduler.logic.task_set import TaskSet
from minispark.testing.builders import task_set


def make(stage_id: int, tasks: int = 2, *, job_id: int = 0, pool: str | None = None) -> TaskSet:
    properties = {} if pool is None else {POOL_PROPERTY: pool}
    submitted = replace(task_set(range(tasks), stage_id=stage_id, job_id=job_id), properties=properties)
    return TaskSet(submitted, max_failures=1, max_result_bytes=0)


class Slots:
    """Gives slots out one by one, to the first task set in the tree's order that has a task."""

    def __init__(self, tree: PoolTree) -> None:
        self.tree = tree
        self.next_id = 0

    def give(self) -> int:
        for tasks in self.tree.sorted():
            taken = tasks.take(ExecutorId("driver"), "localhost", 0.0)
            if taken is not None:
                tasks.launched(taken[0], TaskId(self.next_id), ExecutorId("driver"), "localhost", 0.0)
                self.next_id += 1
                self.tree.task_started(tasks)
                self.tree.check()
                return tasks.stage_id
        return -1


def names(tasks: Sequence[TaskSet]) -> list[tuple[int, int]]:
    return [(each.job_id, each.stage_id) for each in tasks]


@pytest.mark.scenario("POOL-001")
def test_fifo_serves_the_older_job_first_then_the_earlier_stage() -> None:
    tree = PoolTree(Mode.FIFO)
    for job_id, stage_id in ((2, 5), (1, 7), (2, 3), (1, 6)):
        tree.add(make(stage_id, job_id=job_id))
    assert names(tree.sorted()) == [(1, 6), (1, 7), (2, 3), (2, 5)]


@pytest.mark.scenario("POOL-002")
def test_fair_serves_minimum_shares_first_then_weights_and_breaks_ties_by_name() -> None:
    tree = PoolTree(Mode.FAIR, [PoolSpec("1", min_share=2), PoolSpec("2", min_share=3), PoolSpec("3")])
    for stage_id, tasks, pool in ((0, 1, "1"), (1, 1, "1"), (2, 2, "1"), (3, 2, "2"), (4, 2, "2")):
        tree.add(make(stage_id, tasks, pool=pool))
    slots = Slots(tree)
    assert [slots.give() for _ in range(8)] == [0, 3, 3, 1, 4, 2, 2, 4]


@pytest.mark.scenario("POOL-003")
def test_pools_hold_pools() -> None:
    fair = Mode.FAIR
    specs = [
        PoolSpec("0", fair, 3, 1),
        PoolSpec("1", fair, 4, 1),
        PoolSpec("00", fair, 2, 2, "0"),
        PoolSpec("01", fair, 1, 1, "0"),
        PoolSpec("10", fair, 2, 2, "1"),
        PoolSpec("11", fair, 2, 1, "1"),
    ]
    tree = PoolTree(fair, specs)
    for stage_id, pool in enumerate(("00", "00", "01", "01", "10", "10", "11", "11")):
        tree.add(make(stage_id, 5, pool=pool))
    slots = Slots(tree)
    assert [slots.give() for _ in range(4)] == [0, 4, 6, 2]


@pytest.mark.scenario("POOL-005")
def test_fifo_ignores_the_pool_that_a_job_names() -> None:
    tree = PoolTree(Mode.FIFO)
    tree.add(make(0, pool="special"))
    tree.add(make(1))
    assert "special" not in tree.pools
    assert names(tree.root.task_sets) == [(0, 0), (0, 1)]


@pytest.mark.scenario("POOL-006")
@pytest.mark.parametrize("pool", [None, ""])
def test_a_job_without_a_pool_is_in_the_default_pool(pool: str | None) -> None:
    tree = PoolTree(Mode.FAIR)
    tree.add(make(0, pool=pool))
    assert len(tree.pools["default"].task_sets) == 1


@pytest.mark.scenario("POOL-007")
def test_an_unknown_pool_is_made_with_the_defaults_and_goes_when_it_is_empty() -> None:
    tree = PoolTree(Mode.FAIR)
    tasks = make(0, pool="new")
    tree.add(tasks)
    pool = tree.pools["new"]
    assert (pool.min_share, pool.weight, pool.mode) == (0, 1, Mode.FIFO)
    tree.remove(tasks)
    assert "new" not in tree.pools
    assert list(tree.root.pools) == ["default"]


@pytest.mark.scenario("POOL-008")
@pytest.mark.scenario("TSI-011")
def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"minispark\.scheduler\.mode = 'none' .* one of fifo, fair"):
        SparkConf(environment={}).set("minispark.scheduler.mode", "none")
    with pytest.raises(ValueError, match="'none' is not a scheduling mode of a pool"):
        PoolTree("none")  # type: ignore[arg-type]


def test_a_pool_has_a_mode_of_its_own() -> None:
    with pytest.raises(ValueError, match="use FIFO or FAIR"):
        Pool(PoolSpec("x", "none"))  # type: ignore[arg-type]


def test_weights_divide_the_slots() -> None:
    tree = PoolTree(Mode.FAIR, [PoolSpec("big", weight=3), PoolSpec("small")])
    tree.add(make(0, 50, pool="big"))
    tree.add(make(1, 50, pool="small"))
    slots = Slots(tree)
    given_out = [slots.give() for _ in range(40)]
    assert (given_out.count(0), given_out.count(1)) == (30, 10)


def test_a_pool_can_be_changed_but_not_moved() -> None:
    tree = PoolTree(Mode.FAIR, [PoolSpec("a"), PoolSpec("b")])
    tree.configure(PoolSpec("a", weight=5))
    assert tree.pools["a"].weight == 5
    with pytest.raises(ValueError, match="elsewhere in the tree"):
        tree.configure(PoolSpec("a", parent="b"))
    with pytest.raises(ValueError, match="'nowhere', which does not exist"):
        tree.configure(PoolSpec("c", parent="nowhere"))


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["start", "end"])), max_size=60))
def test_running_tasks_are_counted_in_every_pool_around_them(steps: list[tuple[int, str]]) -> None:
    tree = PoolTree(Mode.FAIR, [PoolSpec("a", Mode.FAIR, 2), PoolSpec("aa", parent="a"), PoolSpec("b", weight=2)])
    sets = [make(number, 20, pool=pool) for number, pool in enumerate(("a", "aa", "b", None))]
    for tasks in sets:
        tree.add(tasks)
    for next_id, (number, step) in enumerate(steps):
        tasks = sets[number]
        if step == "start":
            taken = tasks.take(ExecutorId("driver"), "localhost", 0.0)
            assert taken is not None
            tasks.launched(taken[0], TaskId(next_id), ExecutorId("driver"), "localhost", 0.0)
            tree.task_started(tasks)
        elif tasks.running:
            tasks.succeeded(next(iter(tasks.running)))
            tree.task_ended(tasks)
        tree.check()
