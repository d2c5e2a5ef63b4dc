import sys
from typing import Any

import numpy as np
import pytest

from minispark.storage.size_estimator import estimate_bytes


class Point:
    def __init__(self, x: object, y: object) -> None:
        self.x, self.y = x, y


class Slim:
    __slots__ = ("left", "unset")

    def __init__(self, left: object) -> None:
        self.left = left


class Liar:
    def __sizeof__(self) -> int:
        raise RuntimeError("no")


def test_numbers_take_their_own_size_rounded_up_and_a_pointer() -> None:
    assert estimate_bytes([1000] * 50) == 50 * (32 + 8)


def test_no_record_takes_nothing() -> None:
    assert estimate_bytes([]) == 0


@pytest.mark.parametrize(
    "record", [("a" * 10_000, 1), ["a" * 10_000], {"key": "a" * 10_000}, Point("a" * 10_000, 2), Slim("a" * 10_000)]
)
def test_what_a_record_refers_to_counts(record: Any) -> None:
    assert 10_000 < estimate_bytes([record]) < 11_500


def test_arrays_count_with_their_data() -> None:
    assert estimate_bytes([np.zeros(1000)]) > 8000


def test_what_records_share_counts_once() -> None:
    shared = "a" * 10_000

    assert estimate_bytes([(shared, number) for number in range(8)]) < 20_000


def test_large_containers_are_judged_by_their_first_items() -> None:
    records = [[f"{number:0100}" for number in range(10_000)]]
    exact = sys.getsizeof(records[0]) + sum(map(sys.getsizeof, records[0]))

    assert exact * 0.8 < estimate_bytes(records) < exact * 1.2


def test_cycles_and_objects_that_raise_do_no_harm() -> None:
    cycle: list[Any] = [Liar()]
    cycle.append(cycle)

    assert 0 < estimate_bytes([cycle]) < 1000
