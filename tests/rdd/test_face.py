"""What an RDD says when it is used as something else, and which partitioner a shuffle takes."""

import pickle
from typing import Any

import pytest

from minispark.errors import PicklingError
from minispark.rdd.face import default_partitioner
from minispark.rdd.partitioner import HashPartitioner
from minispark.rdd.ports import JobRunner
from minispark.rdd.rdd import RDD
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine


@pytest.mark.scenario("DIS-007", "task reading its own RDD's partitions")
@pytest.mark.parametrize("read", [RDD.get_num_partitions, RDD.collect])
def test_an_rdd_inside_of_a_function_is_refused_before_any_task_runs(engine: Engine, read: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        other = range_rdd(sc, 3)
        return await other.map(lambda n: read(other)).collect()

    with pytest.raises(PicklingError, match="RDDs exist in the driver only"):
        engine(job)


def test_an_rdd_cannot_be_pickled_and_says_what_to_do() -> None:
    with pytest.raises(PicklingError, match=r"RDD range \[0\] at \S+ is used inside a function that runs in tasks"):
        pickle.dumps(range_rdd(SerialJobRunner(), 3))


def test_awaiting_an_rdd_says_that_an_action_is_meant(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await range_rdd(sc, 3)

    with pytest.raises(TypeError, match=r"cannot be awaited, it is lazy: await an action of it, as rdd.collect\(\)"):
        serial(job)


def test_an_rdd_knows_its_id_name_partitions_and_line() -> None:
    rdd = parallelize(SerialJobRunner(), [1], 3).map(str)

    assert (rdd.id, rdd.name, rdd.get_num_partitions(), rdd.partitioner) == (1, "map", 3, None)
    assert repr(rdd).startswith("<RDD map [1] at test_face.py:")


@pytest.mark.parametrize(
    ("placed_in", "wide", "default", "expected"),
    [(4, 30, 0, 4), (4, 40, 0, 40), (4, 40, 3, 4), (None, 5, 0, 5), (None, 5, 9, 9)],
)
def test_a_parents_partitioner_is_kept_unless_it_is_a_tenth_of_the_width(
    placed_in: int | None, wide: int, default: int, expected: int
) -> None:
    sc = SerialJobRunner()
    sc.conf.set("minispark.default.parallelism", default)
    sides = [parallelize(sc, [(1, 1)], wide)]
    if placed_in is not None:
        sides.append(parallelize(sc, [(1, 1)], 2).partition_by(placed_in))

    partitioner = default_partitioner(sc, [side.node for side in sides], None)

    assert partitioner == HashPartitioner(expected)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("reduceByKey", "reduce_by_key"), ("getNumPartitions", "get_num_partitions"), ("keyBy", "key_by")],
)
def test_pysparks_names_are_answered_with_ours(name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}': here it is called '{ours}'$"):
        getattr(parallelize(SerialJobRunner(), [1]), name)


@pytest.mark.parametrize("name", ["saveAsTable", "redduce", "toString", "__len__", "_reduceByKey", "reduce_ByKey"])
def test_other_names_are_just_missing(name: str) -> None:
    rdd = parallelize(SerialJobRunner(), [1])

    with pytest.raises(AttributeError, match=f"^'RDD' object has no attribute '{name}'$"):
        getattr(rdd, name)
    assert not hasattr(rdd, name)


def test_an_rdd_whose_init_did_not_run_has_no_endless_attributes() -> None:
    with pytest.raises(AttributeError, match="'RDD' object has no attribute 'id'"):
        _ = RDD.__new__(RDD).id
