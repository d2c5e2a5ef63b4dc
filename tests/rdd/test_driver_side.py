"""What fails in the driver says for which action and RDD; what says so already is left alone."""

import operator
from typing import Any

import pytest

from minispark.errors import MiniSparkError
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.rdd.conftest import Engine


class Unloadable:
    def __reduce__(self) -> Any:
        return operator.truediv, (1, 0)


MIXED = [1, "a"]
ACTIONS: dict[str, Any] = {
    "top": lambda sc: parallelize(sc, MIXED, 2).top(2),
    "take_ordered": lambda sc: parallelize(sc, MIXED, 2).take_ordered(2),
    "max": lambda sc: parallelize(sc, MIXED, 2).max(),
    "min": lambda sc: parallelize(sc, MIXED, 2).min(),
    "reduce": lambda sc: parallelize(sc, MIXED, 2).reduce(operator.add),
    "fold": lambda sc: parallelize(sc, [1], 1).fold(0, add_numbers),
    "aggregate": lambda sc: parallelize(sc, [1], 1).aggregate(0, max, no_merge),
    "sort_by": lambda sc: parallelize(sc, MIXED, 2).sort_by(itself).collect(),
}


def add_numbers(one: Any, other: Any) -> Any:
    if isinstance(other, str):
        raise TypeError("a text")
    return str(other)


def no_merge(one: Any, other: Any) -> Any:
    raise TypeError("never")


def itself(record: Any) -> Any:
    return record


@pytest.mark.parametrize("action", ACTIONS)
def test_a_failure_in_the_driver_names_action_and_rdd(engine: Engine, action: str) -> None:
    with pytest.raises(TypeError) as failure:
        engine(ACTIONS[action])

    (note,) = failure.value.__notes__
    assert note.startswith(f"in the driver, for {action}() of the RDD from ")
    assert " at test_driver_side.py:" in note


@pytest.mark.parametrize("action", ["collect", "first", "is_empty", "max", "collect_as_map", "count_by_value"])
def test_results_that_cannot_be_unpickled_name_action_and_rdd(serial: Engine, action: str) -> None:
    async def job(sc: JobRunner) -> Any:
        rdd: Any = range_rdd(sc, 1, num_slices=1).map(lambda n: Unloadable())
        return await getattr(rdd, action)()

    with pytest.raises(ZeroDivisionError) as failure:
        serial(job)

    assert failure.value.__notes__[0].startswith(f"in the driver, for {action}() of the RDD from map at ")


def test_the_first_to_say_where_has_the_word() -> None:
    node = range_rdd(SerialJobRunner(), 3).node
    said = ValueError()
    said.add_note("in stage 3, partition 1")

    for error in (said, MiniSparkError("says it all"), KeyError()):
        with pytest.raises(type(error)), DriverSide("reduce", node), DriverSide("sort_by", node):
            raise error

        notes = getattr(error, "__notes__", [])
        assert len(notes) == (0 if isinstance(error, MiniSparkError) else 1)
        assert not any("reduce" in note for note in notes)


def test_an_empty_rdd_is_no_failure_of_the_merge(serial: Engine) -> None:
    with pytest.raises(ValueError, match="is empty") as failure:
        serial(lambda sc: parallelize(sc, [], 2).max())

    assert not hasattr(failure.value, "__notes__")
