"""The serial runner is the reference; these pin what others rely on."""

import operator
from typing import Any

import pytest

from minispark.errors import PicklingError
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual


def test_a_shuffle_is_written_once_and_read_by_every_job() -> None:
    async def main() -> Any:
        sc = SerialJobRunner()
        sums = parallelize(sc, [("a", 1), ("b", 2), ("a", 3)], 3).reduce_by_key(operator.add, 2)
        first, second = await sums.collect_as_map(), await sums.map_values(str).collect_as_map()
        return first, second, sc.map_tasks, sc.jobs

    assert run_virtual(main()) == ({"a": 4, "b": 2}, {"a": "4", "b": "2"}, 3, [[0, 1], [0, 1]])


def test_tasks_are_pickled_so_that_nothing_works_here_alone() -> None:
    async def main() -> Any:
        sc = SerialJobRunner()
        seen: list[int] = []
        await range_rdd(sc, 3).foreach(seen.append)
        with pytest.raises(PicklingError):
            await range_rdd(sc, 3).map(lambda n: (sc, n)).collect()
        return seen

    assert run_virtual(main()) == []


def test_an_error_of_the_user_comes_as_it_is() -> None:
    async def main() -> None:
        await range_rdd(SerialJobRunner(), 3).map(lambda n: 1 // n).collect()

    with pytest.raises(ZeroDivisionError):
        run_virtual(main())


def test_what_tasks_add_to_an_accumulator_is_in_its_value() -> None:
    async def scenario() -> int:
        sc = SerialJobRunner()
        total = sc.accumulator(0)
        await parallelize(sc, [1, 2, 3], 2).foreach(total.add)
        return total.value

    assert run_virtual(scenario()) == 6
