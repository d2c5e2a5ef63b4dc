"""Which reducer a key goes to.

Hashes must agree between runner processes: `PYTHONHASHSEED=0` is set for all of them, and `portable_hash` covers the
types whose own hash differs between processes or between equal values. The driver never hashes: only code that runs
in tasks calls `partition` and `assign`. Source: Spark's Partitioner, PySpark's portable_hash.
"""

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import chain
from operator import ne
from typing import Any, Final, Protocol

from minispark.errors import ConfigurationError, KeyHashError
from minispark.rdd.arguments import check_callable

__all__ = ["HashPartitioner", "Partitioner", "RangePartitioner", "portable_hash"]

PLAIN: Final = frozenset((str, bytes, int, bool))  # equal values of these have equal hashes in all processes


class Partitioner(Protocol):
    """A function from keys to 0 … `num_partitions` − 1. Equal partitioners place equal keys in the same partition."""

    @property
    def num_partitions(self) -> int:
        """How many partitions there are."""

    def partition(self, key: Any) -> int:
        """Return the key's partition."""

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        """Return the partition of each key; much faster than calling `partition` for each."""


def portable_hash(key: Any) -> int:
    """Return a hash on which all processes of an application agree; equal keys have equal hashes.

    None and NaN give 0. Tuples, frozensets and dataclasses are hashed by their parts.

    Raises:
        KeyHashError: the key's hash is its address in memory, which differs between processes.
    """
    return hash(key) if type(key) in PLAIN else hash(stand_in(key))


def stand_in(key: Any) -> Any:
    """Return a value whose own hash is the key's portable hash; for most keys the key itself.

    So a tuple of plain values is its own stand-in, and `hash` alone, at C speed, is right for it.
    """
    kind: Any = type(key)
    if kind in PLAIN:
        return key
    if kind.__hash__ is None:
        raise KeyHashError(
            f"{kind.__qualname__} cannot be a key: it can change, so it has no hash; map it to a tuple"
        )
    if key is None or key != key:
        return 0
    if kind.__hash__ is tuple.__hash__:
        return tuple(map(stand_in, key))
    if kind.__hash__ is frozenset.__hash__:
        return frozenset(map(stand_in, key))
    if kind.__hash__ is object.__hash__:
        raise KeyHashError(
            f"{kind.__qualname__} cannot be a key: its hash is its address in memory, so equal keys would go to"
            f" different partitions; give it __eq__ and __hash__ (a frozen dataclass has both), or map it to a value"
        )
    if has_generated_hash(kind):
        return tuple(stand_in(getattr(key, field.name)) for field in hashed_fields(kind))
    return key


def has_generated_hash(kind: type) -> bool:
    """Tell whether a class has the hash that `dataclass` wrote; before Python 3.12 a None in a field spoils it."""
    code = getattr(kind.__hash__, "__code__", None)
    return code is not None and code.co_filename == "<string>" and dataclasses.is_dataclass(kind)


def hashed_fields(kind: Any) -> list[Any]:
    """Return the fields that a dataclass's generated hash uses."""
    return [field for field in dataclasses.fields(kind) if (field.compare if field.hash is None else field.hash)]


def check_num_partitions(num_partitions: object) -> int:
    """Return a partition count.

    Raises:
        ConfigurationError: it is not a whole number of at least 1.
    """
    if isinstance(num_partitions, bool) or not isinstance(num_partitions, int) or num_partitions < 1:
        raise ConfigurationError(f"num_partitions = {num_partitions!r}: a whole number of at least 1 is needed")
    return num_partitions


class HashPartitioner:
    """Places a key by its hash; equal if count and hash function are the same.

    Args:
        num_partitions: how many partitions.
        function: from a key to an int of any size.
    """

    def __init__(self, num_partitions: int, function: Callable[[Any], int] = portable_hash) -> None:
        check_callable("partition_function", function)
        self.num_partitions = check_num_partitions(num_partitions)
        self.function = function

    def partition(self, key: Any) -> int:
        """Return the key's partition."""
        return self.function(key) % self.num_partitions

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        """Return the partition of each key."""
        count = self.num_partitions
        function = hash if self.function is portable_hash and own_hash_is_portable(keys) else self.function
        return [value % count for value in map(function, keys)]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, HashPartitioner)
            and self.num_partitions == other.num_partitions
            and self.function == other.function
        )

    def __hash__(self) -> int:
        return hash((self.num_partitions, self.function))

    def __repr__(self) -> str:
        name = "" if self.function is portable_hash else f", {getattr(self.function, '__qualname__', self.function)}"
        return f"HashPartitioner({self.num_partitions}{name})"


def own_hash_is_portable(keys: Sequence[Any]) -> bool:
    """Tell whether `hash` alone is right for all of these keys: plain ones, floats but NaN, or tuples of such."""
    kinds = set(map(type, keys))
    if kinds == {tuple}:
        keys = list(chain.from_iterable(keys))
        kinds = set(map(type, keys))
    odd = kinds - PLAIN
    return not odd or (odd == {float} and not any(map(ne, keys, keys)))


class RangePartitioner:
    """Places keys by sorted bounds, so that the partitions follow each other in the order of the keys.

    The bounds come from a sample that a job takes, so a lazily made sort knows them only when its first job is about
    to run: until then `bounds` is None.

    Args:
        num_partitions: how many partitions.
        key_function: what of a key is compared; None: the key itself.
        ascending: whether the smallest keys go to partition 0.
        bounds: the largest key of each partition but the last, sorted.
    """

    def __init__(
        self,
        num_partitions: int,
        key_function: Callable[[Any], Any] | None = None,
        ascending: bool = True,
        bounds: Sequence[Any] | None = None,
    ) -> None:
        self.num_partitions = check_num_partitions(num_partitions)
        self.key_function = key_function
        self.ascending = ascending
        self.bounds = bounds

    def partition(self, key: Any) -> int:
        """Return the key's partition."""
        return self.assign((key,))[0]

    def assign(self, keys: Sequence[Any]) -> Sequence[int]:
        """Return the partition of each key."""
        bounds, last = self.bounds, self.num_partitions - 1
        if bounds is None:
            raise AssertionError("a RangePartitioner is used before its bounds were found")
        compared = keys if self.key_function is None else map(self.key_function, keys)
        if self.ascending:
            return [bisect_left(bounds, key) for key in compared]
        return [last - bisect_left(bounds, key) for key in compared]

    def __repr__(self) -> str:
        return f"RangePartitioner({self.num_partitions}, {'ascending' if self.ascending else 'descending'})"
