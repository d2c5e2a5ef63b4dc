import enum
import math
import pickle
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import PicklingError
from minispark.storage.batches import BATCH_BYTES, BATCH_RECORDS, dump_batches, dump_value, load_batch


class Name(str): ...


class Count(int): ...


class Blob(bytes): ...


class Color(enum.IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=20)
    | st.binary(max_size=20).map(bytearray)
    | st.text(max_size=20)
    | st.text(st.characters(categories=["Cs"]), max_size=5)
    | st.sampled_from([np.int64(7), np.float32(0.5), np.bool_(True), np.str_("x"), np.datetime64("2020-01-01")])
    | st.sampled_from([Name("n"), Count(3), Blob(b"b"), Color.RED, Point(1, "y"), math.inf, 1 << 80])
)
RECORDS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=6,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in exact type, all the way down; NaN is itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    return bool(left == right) or bool(left != left and right != right)


def round_trip(records: list[Any], max_records: int = BATCH_RECORDS) -> list[Any]:
    return [record for data in dump_batches(records, max_records=max_records) for record in load_batch(data)]


@given(st.lists(RECORDS, max_size=12), st.integers(1, 4))
def test_records_come_back_with_their_exact_types(records: list[Any], max_records: int) -> None:
    assert same(round_trip(records, max_records=max_records), records)


@given(st.lists(st.binary(max_size=60), max_size=30), st.integers(30, 200))
def test_batches_stay_within_the_bound_unless_a_single_record_does_not(records: list[bytes], bound: int) -> None:
    batches = list(dump_batches(iter(records), max_bytes=bound))

    assert [record for data in batches for record in load_batch(data)] == records
    assert all(len(data) <= bound or len(load_batch(data)) == 1 for data in batches)


def test_references_that_records_share_are_kept() -> None:
    shared = [1]

    first, second = round_trip([(shared, "a"), (shared, "b")])

    assert first[0] is second[0]


def test_a_record_that_contains_itself_comes_back_containing_itself() -> None:
    record: list[Any] = []
    record.append(record)

    [read] = round_trip([record])

    assert read[0] is read


def test_small_records_of_a_list_go_a_thousand_to_a_batch() -> None:
    sizes = [len(load_batch(data)) for data in dump_batches(list(range(2500)))]

    assert sizes == [BATCH_RECORDS, BATCH_RECORDS, 500]


def test_large_records_get_batches_of_their_own() -> None:
    batches = list(dump_batches([b"x" * BATCH_BYTES] * 3))

    assert [len(load_batch(data)) for data in batches] == [1, 1, 1]


def test_a_generator_is_not_drained_before_the_first_batch_is_out() -> None:
    taken = []

    def records() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    next(dump_batches(records()))

    assert len(taken) < 100


def test_an_empty_list_has_no_batches() -> None:
    assert list(dump_batches([])) == []


def test_what_the_parent_raises_passes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(dump_batches(1 // number for number in (1, 0)))


def test_a_record_that_cannot_be_pickled_is_a_clear_error() -> None:
    with pytest.raises(PicklingError, match=r"a record cannot be pickled.*lambda"):
        list(dump_batches([lambda: 1]))


def test_the_fallback_pickles_what_the_c_pickler_cannot() -> None:
    data = dump_value([lambda: 41], cloudpickle.dumps)

    assert pickle.loads(data)[0]() == 41
