"""The order of pools is kept up to date as counts change; here it is made anew from the rules, and compared."""

import random
from dataclasses import replace
from itertools import count

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.scheduler.logic.pool import POOL_PROPERTY, Mode, Pool, PoolSpec, PoolTree
from minispark.scheduler.logic.task_set import TaskSet
from minispark.testing.builders import task_set

DRIVER = ExecutorId("driver")
NAMES = ("a", "b", "c", "new")


def ordered(pool: Pool) -> list[TaskSet]:
    """Return the task sets below a pool as Spark's rules order them."""
    by_age = sorted(pool.task_sets, key=lambda each: (each.job_id, each.stage_id))
    if pool.mode is Mode.FIFO:
        return [each for inner in pool.pools.values() for each in ordered(inner)] + by_age
    members: list[tuple[bool, float, str, list[TaskSet]]] = []
    for inner in pool.pools.values():
        is_needy = inner.running < inner.min_share
        share = inner.running / max(inner.min_share, 1) if is_needy else inner.running / inner.weight
        members.append((not is_needy, share, inner.name, ordered(inner)))
    members += [(True, float(len(each.running)), each.name, [each]) for each in by_age]
    return [each for member in sorted(members, key=lambda member: member[:3]) for each in member[3]]


class Game:
    """Random moves on a tree of pools."""

    def __init__(self, seed: int, mode: Mode = Mode.FAIR) -> None:
        self.rng = random.Random(seed)
        specs = [PoolSpec("a", Mode.FAIR, 2), PoolSpec("b", weight=2), PoolSpec("aa", Mode.FAIR, parent="a")]
        self.tree = PoolTree(mode, specs)
        self.sets: list[TaskSet] = []
        self.numbers = count()

    def add(self) -> None:
        number = next(self.numbers)
        pool = self.rng.choice([*NAMES, "aa", ""])
        submitted = task_set(range(9), stage_id=number, job_id=self.rng.randrange(3))
        tasks = TaskSet(replace(submitted, properties={POOL_PROPERTY: pool}), max_failures=1, max_result_bytes=0)
        self.sets.append(tasks)
        self.tree.add(tasks)

    def start(self) -> None:
        tasks = self.rng.choice(self.sets)
        taken = tasks.take(DRIVER, "localhost", 0.0)
        if taken is not None:
            tasks.launched(taken[0], TaskId(next(self.numbers)), DRIVER, "localhost", 0.0)
            self.tree.task_started(tasks)

    def end(self) -> None:
        tasks = self.rng.choice(self.sets)
        if tasks.running:
            tasks.succeeded(next(iter(tasks.running)))
            self.tree.task_ended(tasks)

    def remove(self) -> None:
        idle = [tasks for tasks in self.sets if not tasks.running]
        if idle:
            tasks = self.rng.choice(idle)
            self.sets.remove(tasks)
            self.tree.remove(tasks)

    def configure(self) -> None:
        rng = self.rng
        spec = PoolSpec(rng.choice(NAMES), rng.choice(list(Mode)), rng.randrange(3), rng.randint(1, 3))
        self.tree.configure(spec)
        pool = self.tree.pools[spec.name]
        assert (pool.mode, pool.min_share, pool.weight) == (spec.mode, spec.min_share, spec.weight)

    def play(self, moves: int) -> None:
        self.add()
        kinds = [self.add, self.start, self.start, self.start, self.end, self.remove, self.configure]
        for _ in range(moves):
            move = self.rng.choice(kinds)
            if self.sets or move in (self.add, self.configure):
                move()
            assert self.tree.sorted() == ordered(self.tree.root)
            assert list(self.tree.walk()) == self.tree.sorted()
            self.tree.check()


@pytest.mark.parametrize("seed", range(8))
def test_the_order_is_always_that_of_the_rules(seed: int) -> None:
    game = Game(seed)
    game.play(60)
    assert game.tree.pools


def test_in_fifo_mode_the_order_is_that_of_jobs_and_stages() -> None:
    game = Game(1, Mode.FIFO)
    for _ in range(12):
        game.add()
        game.start()
        assert game.tree.sorted() == sorted(game.sets, key=lambda each: (each.job_id, each.stage_id))
        game.tree.check()
    assert game.tree.root.running == sum(len(tasks.running) for tasks in game.sets) > 0
    game.end()
    game.tree.check()
    assert not game.tree.pools


def test_who_was_put_in_order_is_not_moved_again_before_anything_happens_to_it() -> None:
    game = Game(3)
    for _ in range(9):
        game.add()
        game.start()
    game.tree.sorted()
    fair = [pool for pool in (game.tree.root, *game.tree.pools.values()) if pool.mode is Mode.FAIR]
    assert len(fair) == 3
    assert not any(pool.moved for pool in fair)


def test_a_pool_may_be_called_like_a_task_set_beside_it() -> None:
    tree = PoolTree(Mode.FAIR, [PoolSpec("a", Mode.FAIR), PoolSpec("task set 0.0", parent="a")])
    sets = []
    for stage_id, name in enumerate(("a", "task set 0.0")):
        submitted = replace(task_set(range(2), stage_id=stage_id), properties={POOL_PROPERTY: name})
        sets.append(TaskSet(submitted, max_failures=1, max_result_bytes=0))
        tree.add(sets[-1])
    assert sorted(each.name for each in tree.sorted()) == sorted(each.name for each in sets)


def test_nothing_is_kept_of_pools_and_sets_that_went() -> None:
    game = Game(2)
    for _ in range(20):
        game.add()
        game.start()
    for tasks in list(game.sets):
        for task_id in list(tasks.running):
            tasks.succeeded(task_id)
            game.tree.task_ended(tasks)
        game.tree.remove(tasks)
    assert sorted(game.tree.pools) == ["a", "aa", "b", "default"]
    assert not game.tree.pool_of
    for pool in (game.tree.root, *game.tree.pools.values()):
        assert not pool.task_sets
        kept = {*pool.moved, *(entry[-1] for entry in pool.fair)}
        assert kept <= set(pool.pools.values())
        assert pool.running == 0
