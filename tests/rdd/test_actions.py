"""Actions give what Python's own functions give on the list, on every engine."""

import operator
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import empty, parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine, on_serial

RECORDS = st.lists(st.integers(-50, 50), max_size=40)
PARTS = st.integers(1, 9)


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS, PARTS, st.integers(0, 45))
def test_actions_are_what_python_does(records: list[int], parts: int, num: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, records, parts)
        return [
            await rdd.collect(), await rdd.count(), await rdd.sum(), await rdd.take(num), await rdd.is_empty(),
            await rdd.take_ordered(num), await rdd.top(num), await rdd.top(num, key=abs), await rdd.count_by_value(),
            await rdd.fold(0, operator.add), await rdd.aggregate((), lambda seen, n: (*seen, n), operator.add),
        ]  # fmt: skip

    assert on_serial(job) == [
        records, len(records), sum(records), records[:num], not records,
        sorted(records)[:num], sorted(records, reverse=True)[:num], sorted(records, key=abs, reverse=True)[:num],
        Counter(records), sum(records), tuple(records),
    ]  # fmt: skip


@pytest.mark.scenario("HIS-007", "RDDSuite")
@given(RECORDS.filter(bool), PARTS)
def test_one_of_all_records(records: list[int], parts: int) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = parallelize(sc, records, parts)
        return [await rdd.min(), await rdd.max(), await rdd.min(abs), await rdd.first(), await rdd.reduce(max)]

    assert on_serial(job) == [min(records), max(records), min(records, key=abs), records[0], max(records)]


def test_actions_on_every_engine(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd = range_rdd(sc, 100, num_slices=5)
        return [
            await rdd.count(), await rdd.sum(), await rdd.take(30), await rdd.top(2), await rdd.take_ordered(2),
            await rdd.reduce(operator.add), await rdd.fold(1, operator.add), await rdd.min(), await rdd.max(str),
            await rdd.aggregate([], lambda seen, n: [*seen, n] if n % 50 == 0 else seen, operator.add),
            await rdd.key_by(str).collect_as_map(), await rdd.first(), await rdd.is_empty(),
        ]  # fmt: skip

    assert engine(job) == [
        100, 4950, list(range(30)), [99, 98], [0, 1],
        4950, 4956, 0, 99,
        [0, 50],
        {str(n): n for n in range(100)}, 0, False,
    ]  # fmt: skip


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_an_rdd_without_partitions_or_records_is_empty(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        found: list[Any] = []
        for rdd in (empty(sc), parallelize(sc, [], 3)):
            found.append((await rdd.collect(), await rdd.count(), await rdd.take(3), await rdd.is_empty()))
            found.append(
                (await rdd.sum(), await rdd.fold(7, operator.add), await rdd.top(1), await rdd.distinct().count())
            )
        return found

    assert engine(job) == [([], 0, [], True), (0, 7, [], 0), ([], 0, [], True), (0, 28, [], 0)]


@pytest.mark.scenario("HIS-007", "RDDSuite")
@pytest.mark.parametrize("action", ["first", "min", "max", "reduce"])
def test_one_of_no_records_is_an_error_that_says_so(engine: Engine, action: str) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd: Any = parallelize(sc, [], 2)
        return await (rdd.reduce(max) if action == "reduce" else getattr(rdd, action)())

    with pytest.raises(ValueError, match=r"RDD parallelize \[0\] at \S+ is empty"):
        engine(job)


@pytest.mark.scenario("HIS-007", "RDDSuite")
def test_zero_is_copied_so_that_tasks_and_driver_do_not_share_it(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        zero: list[int] = []
        rdd = range_rdd(sc, 6, num_slices=3).map(lambda n: [n])
        first, second = await rdd.fold(zero, operator.iadd), await rdd.fold(zero, operator.iadd)
        return zero, first, second

    assert engine(job) == ([], list(range(6)), list(range(6)))


def test_take_looks_at_one_partition_and_then_at_four_times_as_many(serial: Engine) -> None:
    async def job(sc: SerialJobRunner) -> Any:
        sparse = range_rdd(sc, 100, num_slices=100).filter(lambda n: n > 50)
        assert await sparse.take(1) == [51]
        return [len(partitions) for partitions in sc.jobs]

    assert serial(job) == [1, 4, 20, 75]  # type: ignore[arg-type]  # the serial runner says which


def test_take_estimates_from_what_it_found(serial: Engine) -> None:
    async def job(sc: SerialJobRunner) -> Any:
        assert await range_rdd(sc, 1000, num_slices=100).take(35) == list(range(35))
        return sc.jobs

    assert serial(job) == [[0], [1, 2, 3, 4]]  # type: ignore[arg-type]  # the serial runner says which


@pytest.mark.parametrize("action", ["take", "top", "take_ordered"])
@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_a_wrong_number_of_records_is_refused(serial: Engine, action: str, wrong: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return await getattr(range_rdd(sc, 3), action)(wrong)

    with pytest.raises(ConfigurationError, match=r"num = .*: a whole number of at least 0 is needed"):
        serial(job)


def test_foreach_calls_its_function_in_the_tasks(engine: Engine, tmp_path: Any) -> None:
    async def job(sc: JobRunner) -> None:
        rdd = range_rdd(sc, 4, num_slices=2)
        await rdd.foreach(lambda n: (tmp_path / str(n)).touch())
        await rdd.foreach_partition(lambda records: (tmp_path / f"sum{sum(records)}").touch())

    engine(job)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "sum1", "sum5"]


@pytest.mark.scenario("HIS-007", "RDDSuite")
@pytest.mark.parametrize("slices", [1, 2, 100, 999])
def test_take_finds_the_first_records_however_many_partitions_there_are(serial: Engine, slices: int) -> None:
    async def job(sc: JobRunner) -> list[list[int]]:
        numbers = range_rdd(sc, 1, 1000, num_slices=slices)
        return [await numbers.take(num) for num in (0, 1, 3, 500, 501, 999, 1000, 2_147_483_638)]

    assert serial(job) == [list(range(1, 1000))[:num] for num in (0, 1, 3, 500, 501, 999, 1000, 1000)]
