"""Where keys go: equal keys together, on all processes alike, fast for the common types."""

import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import ConfigurationError, KeyHashError
from minispark.rdd.partitioner import HashPartitioner, RangePartitioner, portable_hash

Point = namedtuple("Point", "x y")
NAN = float("nan")
PLAIN = st.one_of(st.integers(), st.text(max_size=3), st.binary(max_size=3), st.booleans(), st.none(), st.floats())
KEYS = st.recursive(PLAIN, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2), max_leaves=4)


class Number(IntEnum):
    ONE = 1


class Color(Enum):
    RED = "red"


@dataclass(frozen=True)
class User:
    name: str | None
    age: float


class ByAddress:
    pass


@pytest.mark.parametrize(
    "equal",
    [
        (1, 1.0, True, Decimal(1), Fraction(1), Number.ONE, 1 + 0j),
        (0, 0.0, -0.0, False),
        ((1, "a"), (1.0, "a"), (True, "a"), Point(1, "a")),
        (("n", (None, 1)), ("n", (None, 1.0))),
        (frozenset({1, "b"}), frozenset({"b", 1.0})),
        (User(None, 3), User(None, 3.0)),
    ],
)
def test_equal_keys_have_equal_hashes(equal: tuple[Any, ...]) -> None:
    assert len(set(equal)) == 1
    assert len({portable_hash(key) for key in equal}) == 1
    assert len(set(HashPartitioner(97).assign(equal))) == 1


@pytest.mark.parametrize("key", [None, NAN, Decimal("nan"), complex(NAN, 0)])
def test_none_and_nan_hash_to_zero(key: Any) -> None:
    assert portable_hash(key) == 0
    assert HashPartitioner(5).assign([key]) == [0]


@given(st.lists(KEYS), st.integers(1, 5))
def test_all_keys_at_once_go_where_each_goes_alone(keys: list[Any], parts: int) -> None:
    partitioner = HashPartitioner(parts)

    assert list(partitioner.assign(keys)) == [partitioner.partition(key) for key in keys]
    assert all(0 <= partition < parts for partition in partitioner.assign(keys))


@pytest.mark.parametrize("key", [ByAddress(), ByAddress, lambda: 0, object(), (1, ByAddress()), ...])
def test_a_key_whose_hash_is_its_address_is_refused(key: Any) -> None:
    with pytest.raises(KeyHashError, match="its hash is its address in memory, so equal keys would go to different"):
        HashPartitioner(2).assign([key])


@pytest.mark.parametrize("key", [[1], {1: 2}, {3}, (1, [2])])
def test_a_key_that_can_change_is_refused(key: Any) -> None:
    with pytest.raises(KeyHashError, match="cannot be a key: it can change"):
        portable_hash(key)


PROGRAM = """
from dataclasses import dataclass
from enum import Enum
from minispark.rdd.partitioner import HashPartitioner
@dataclass(frozen=True)
class User:
    name: str | None
    age: float
class Color(Enum):
    RED = "red"
keys = ["a", b"a", 1, 2.5, float("nan"), None, (None, "x"), (1, ("y", None)), frozenset({None, "z"}), True,
        User(None, 1), User("u", float("nan")), Color.RED, 1 + 2j, range(3), (float("inf"), b"")]
print(HashPartitioner(1 << 30).assign(keys))
"""


@pytest.mark.cluster
def test_two_processes_agree_where_keys_go() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, check=True, env={"PYTHONHASHSEED": "0"}, timeout=30
        ).stdout
        for _ in range(3)
    }

    assert len(outputs) == 1


def test_hash_partitioners_are_equal_with_the_same_count_and_function() -> None:
    assert HashPartitioner(2) == HashPartitioner(2)
    assert hash(HashPartitioner(2)) == hash(HashPartitioner(2))
    assert HashPartitioner(2) != HashPartitioner(3)
    assert HashPartitioner(2) != HashPartitioner(2, len)
    assert HashPartitioner(2, len).assign(["a", "bb", "ccc"]) == [1, 0, 1]
    assert repr(HashPartitioner(2, len)) == "HashPartitioner(2, len)"


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20), max_size=4), st.booleans())
def test_ranges_follow_each_other_in_the_order_of_keys(keys: list[int], bounds: list[int], ascending: bool) -> None:
    partitioner = RangePartitioner(len(bounds) + 1, None, ascending, sorted(bounds))
    keys.sort(reverse=not ascending)

    places = partitioner.assign(keys)

    assert list(places) == sorted(places)
    assert set(places) <= set(range(len(bounds) + 1))
    assert list(places) == [partitioner.partition(key) for key in keys]


def test_ranges_compare_what_the_key_function_gives() -> None:
    partitioner = RangePartitioner(2, str.lower, True, ["m"])

    assert partitioner.assign(["A", "b", "M", "n", "Z"]) == [0, 0, 0, 1, 1]


def test_ranges_cannot_be_used_before_their_bounds_are_known() -> None:
    with pytest.raises(AssertionError, match="before its bounds were found"):
        RangePartitioner(2).assign([1])


@pytest.mark.parametrize("wrong", [0, -1, 1.5, None, True])
def test_a_wrong_number_of_partitions_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"num_partitions = .*: a whole number of at least 1 is needed"):
        HashPartitioner(wrong)
