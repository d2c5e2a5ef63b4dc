import re
from operator import add
from typing import Any

from minispark.context import SparkContext
from minispark.rdd.rdd import RDD
from minispark.rdd.sources import range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.contexts import run_inline


def shown(rdd: RDD[Any]) -> list[str]:
    return [re.sub(r" \[\d+\] at \S+", "", line) for line in rdd.to_debug_string().splitlines()]


def test_a_shuffle_begins_a_block_further_in() -> None:
    pairs = range_rdd(SerialJobRunner(), 6, num_slices=3).map(lambda n: (n, n))
    assert shown(pairs.reduce_by_key(add, 2).map_values(str)) == [
        "(2) map_values",
        " |  reduce_by_key",
        " |  +-(3) map",
        " |     |  range",
    ]


def test_what_is_above_in_two_ways_is_shown_once() -> None:
    numbers = range_rdd(SerialJobRunner(), 6, num_slices=3).map(str)
    assert shown(numbers.union(numbers)) == ["(6) union", " |  map", " |  range", " |  map (see above)"]


def test_levels_and_marks_are_shown() -> None:
    async def job(sc: SparkContext) -> Any:
        return shown(sc.range(4, num_slices=2).cache().map(str).local_checkpoint())

    assert run_inline(job) == [
        "(2) map [disk and memory, deserialized, 1 × replicated] [to be checkpointed]",
        " |  range [memory, deserialized, 1 × replicated]",
    ]


def test_long_lineages_are_shown_without_recursion() -> None:
    numbers = range_rdd(SerialJobRunner(), 4, num_slices=2)
    for _ in range(3000):
        numbers = numbers.map(abs)
    assert len(shown(numbers)) == 3001
