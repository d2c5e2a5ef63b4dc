"""Types of RDDs, as mypy sees them; what it must refuse carries an ignore, and an ignore that is not needed fails."""

import operator
from typing import assert_type

from minispark.rdd.ports import JobRunner
from minispark.rdd.rdd import RDD
from minispark.rdd.sources import parallelize, range_rdd, text_file
from tests.rdd.conftest import Engine


def test_transformations_carry_the_type_of_records(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        numbers = assert_type(parallelize(sc, [1, 2]), RDD[int])
        assert_type(range_rdd(sc, 3), RDD[int])
        assert_type(numbers.map(str), RDD[str])
        assert_type(numbers.map(lambda n: n / 2), RDD[float])
        assert_type(numbers.flat_map(range), RDD[int])
        assert_type(numbers.filter(bool), RDD[int])
        assert_type(numbers.glom(), RDD[list[int]])
        assert_type(numbers.key_by(str), RDD[tuple[str, int]])
        assert_type(numbers.zip_with_index(), RDD[tuple[int, int]])
        assert_type(numbers.union(numbers), RDD[int])
        assert_type(numbers + numbers.map(str), RDD[int | str])
        assert_type(numbers.group_by(str), RDD[tuple[str, list[int]]])
        assert_type(numbers.map_partitions(lambda records: [sum(records)]), RDD[int])
        assert_type(numbers.sort_by(lambda n: -n).distinct().coalesce(1), RDD[int])

    serial(job)


def test_pairs_have_keys_and_values(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        pairs = assert_type(parallelize(sc, [("a", 1)]), RDD[tuple[str, int]])
        assert_type(pairs.keys(), RDD[str])
        assert_type(pairs.values(), RDD[int])
        assert_type(pairs.map_values(float), RDD[tuple[str, float]])
        assert_type(pairs.flat_map_values(lambda n: [n / 2]), RDD[tuple[str, float]])
        assert_type(pairs.reduce_by_key(operator.add), RDD[tuple[str, int]])
        assert_type(pairs.group_by_key(), RDD[tuple[str, list[int]]])
        assert_type(pairs.partition_by(2), RDD[tuple[str, int]])
        assert_type(pairs.sort_by_key(), RDD[tuple[str, int]])
        texts = pairs.map_values(str)
        assert_type(pairs.join(texts), RDD[tuple[str, tuple[int, str]]])
        assert_type(pairs.left_outer_join(texts), RDD[tuple[str, tuple[int, str | None]]])
        assert_type(pairs.full_outer_join(texts), RDD[tuple[str, tuple[int | None, str | None]]])
        assert_type(pairs.cogroup(texts), RDD[tuple[str, tuple[list[int], list[str]]]])

    serial(job)


def test_actions_give_records(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        numbers, pairs = parallelize(sc, [1, 2]), parallelize(sc, [("a", 1)])
        assert_type(await numbers.collect(), list[int])
        assert_type(await numbers.first(), int)
        assert_type(await numbers.take(1), list[int])
        assert_type(await numbers.reduce(operator.add), int)
        assert_type(await numbers.fold(0, operator.add), int)
        assert_type(await numbers.aggregate("", lambda text, n: text + str(n), operator.add), str)
        assert_type(await numbers.sum(), int)
        assert_type(await numbers.max(), int)
        assert_type(await numbers.count_by_value(), dict[int, int])
        assert_type(await pairs.collect_as_map(), dict[str, int])
        assert_type(await pairs.count_by_key(), dict[str, int])
        assert_type(await pairs.lookup("a"), list[int])
        async for record in numbers.to_local_iterator():
            assert_type(record, int)

    serial(job)


def test_what_the_types_refuse(serial: Engine) -> None:
    async def job(sc: JobRunner) -> None:
        lines = assert_type(text_file(sc, "notes.txt"), RDD[str])
        lines.keys  # type: ignore[misc]  # not pairs  # noqa: B018 - only its type matters
        lines.map(abs)  # type: ignore[arg-type]  # not numbers

        as_ints: RDD[int] = parallelize(sc, [True])  # records are only read, so an RDD of a subtype will do
        assert await as_ints.collect() == [True]

    serial(job)
