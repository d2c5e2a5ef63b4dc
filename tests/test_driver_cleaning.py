"""What is kept for RDDs, shuffles and broadcasts goes when the program lets go of them, and not before."""

import gc
import os
from operator import add
from pathlib import Path
from typing import Any

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.rdd.broadcast import Broadcast
from minispark.rdd.rdd import RDD
from minispark.rdd.shuffled import shuffle_of
from tests.cluster.cluster_house import registered, until, with_cluster
from tests.contexts import run_inline, session_directory

cleaner = pytest.mark.scenario("HIS-007", "ContextCleaner")


def shuffled(sc: SparkContext) -> RDD[tuple[int, int]]:
    return sc.range(10, num_slices=2).map(lambda n: (n % 3, n)).reduce_by_key(add, 2)


def kept(sc: SparkContext) -> tuple[int, int, int]:
    """Return how many persisted RDDs, shuffles and broadcasts the driver knows."""
    driver = sc.driver
    broadcasts = os.path.join(driver.distribution.store.directory, "blocks")
    mine = [name for name in os.listdir(broadcasts) if name.startswith("broadcast_")]
    return len(driver.block_manager_master.table.rdds), len(driver.map_outputs.shuffles), len(mine)


async def looked(sc: SparkContext) -> tuple[int, int, int]:
    """Collect garbage, and return what is kept then."""
    gc.collect()
    for _ in range(3):
        await sc.parallelize([1]).count()
    return kept(sc)


def map_files(sc: SparkContext) -> list[str]:
    return os.listdir(session_directory(sc) / "shuffle")


@cleaner
@pytest.mark.scenario("HIS-007", "Unpersist")
def test_an_rdd_that_is_unpersisted_is_forgotten_and_computed_again() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.range(10, num_slices=2).map(str).cache()
        before = await rdd.collect()
        found = len(sc.persistent_rdds()), sc.storage_status()[0].num_cached
        rdd.unpersist()
        return found, sc.persistent_rdds(), sc.storage_status(), await rdd.collect() == before

    assert run_inline(job) == ((1, 2), {}, [], True)


@cleaner
def test_a_shuffle_whose_outputs_are_forgotten_is_written_again() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = shuffled(sc)
        before = sorted(await rdd.collect())
        sc.driver.map_outputs.unregister_all(shuffle_of(rdd.node).shuffle_id)
        return before == sorted(await rdd.collect()), before

    assert run_inline(job) == (True, [(0, 18), (1, 12), (2, 15)])


@cleaner
@pytest.mark.parametrize("what", ["rdd", "shuffle", "broadcast"])
def test_what_the_program_holds_stays_and_what_it_lets_go_is_removed(what: str) -> None:
    async def job(sc: SparkContext) -> Any:
        held: list[Any] = []
        if what == "rdd":
            held.append(sc.range(10, num_slices=2).map(str).cache())
        elif what == "shuffle":
            held.append(shuffled(sc))
        else:
            held.append(sc.broadcast(list(range(100))))
        if isinstance(held[0], RDD):
            await held[0].count()
        before = await looked(sc), len(map_files(sc)) > 0
        held.clear()
        return before, await looked(sc), map_files(sc)

    counts = {"rdd": (1, 0, 0), "shuffle": (0, 1, 0), "broadcast": (0, 0, 1)}[what]
    assert run_inline(job) == ((counts, what == "shuffle"), (0, 0, 0), [])


async def many(sc: SparkContext, count: int) -> list[RDD[Any] | Broadcast[Any]]:
    """Return RDDs of several kinds, of which each job has been run, and four broadcasts."""
    held: list[RDD[Any] | Broadcast[Any]] = [sc.broadcast(list(range(100))) for _ in range(4)]
    for number in range(count):
        base: RDD[Any] = sc.range(10, num_slices=2).map(lambda n: (n % 3, n))
        rdd = (base, base.reduce_by_key(add, 2), base.join(base, 2))[number % 3]
        if number % 2:
            rdd.cache()
        await rdd.count()
        held.append(rdd)
    return held


@cleaner
def test_all_of_a_long_program_is_removed_together() -> None:
    async def job(sc: SparkContext) -> Any:
        held = await many(sc, 30)
        before = await looked(sc)
        held.clear()
        return before, await looked(sc), map_files(sc)

    assert run_inline(job) == ((15, 30, 4), (0, 0, 0), [])


@cleaner
@pytest.mark.scenario("HIS-007", "Unpersist")
@pytest.mark.cluster
def test_in_a_cluster_executors_remove_their_files_as_well(tmp_path: Path) -> None:
    def files() -> list[str]:
        names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
        return [name for name in names if name.startswith(("shuffle_", "rdd_", "broadcast_"))]

    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        held = await many(sc, 6)
        cached = sc.range(100, num_slices=4).cache()
        await cached.count()
        assert files()
        cached.unpersist()
        assert sc.persistent_rdds().keys() == {rdd.id for rdd in held if isinstance(rdd, RDD) and rdd.is_cached}
        held.clear()
        gc.collect()
        await until(lambda: not files() and kept(sc) == (0, 0, 0))

    with_cluster(scenario, SparkConf({"minispark.local.dir": tmp_path}))
