"""How values of one key become one combined value. Source: Spark's Aggregator.

The loops that combine are here, beside the functions they call, so that the common cases (reduce, group, distinct)
have a form without a call per record. The shuffle's two ends and already partitioned RDDs use them. Knows nothing of
files, spilling or partitions: who must bound memory hands in the records in pieces.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

__all__ = ["Aggregator", "FirstAggregator", "ListAggregator", "ReduceAggregator"]

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C")

MISSING: Final[Any] = object()


@dataclass(frozen=True)
class Aggregator(Generic[V, C]):
    """Three functions of the user; each may change and return its first argument.

    Args:
        create_combiner: makes a combined value of a key's first value.
        merge_value: adds one more value to a combined value.
        merge_combiners: merges two combined values.
    """

    create_combiner: Callable[[V], C]
    merge_value: Callable[[C, V], C]
    merge_combiners: Callable[[C, C], C]

    def combine_values(self, records: Iterable[tuple[K, V]], into: dict[K, C]) -> None:
        """Combine pairs into a dict of combined values; may be called again and again with the same dict."""
        get, create, merge = into.get, self.create_combiner, self.merge_value
        for key, value in records:
            combined = get(key, MISSING)
            into[key] = create(value) if combined is MISSING else merge(combined, value)

    def combine_combiners(self, records: Iterable[tuple[K, C]], into: dict[K, C]) -> None:
        """Combine pairs whose values are combined already into a dict of combined values."""
        merge_pairs(self.merge_combiners, records, into)


def merge_pairs(merge: Callable[[C, C], C], records: Iterable[tuple[K, C]], into: dict[K, C]) -> None:
    """Merge the values of equal keys."""
    get = into.get
    if merge is operator.add:  # by far the commonest: the operator itself saves the call, a third of the time
        for key, value in records:
            combined: Any = get(key, MISSING)
            into[key] = value if combined is MISSING else combined + value
        return
    for key, value in records:
        combined = get(key, MISSING)
        into[key] = value if combined is MISSING else merge(combined, value)


def identity(value: V) -> V:
    """Return the value."""
    return value


class ReduceAggregator(Aggregator[V, V]):
    """Values merged by one function: the first value is its own combined value."""

    def __init__(self, function: Callable[[V, V], V]) -> None:
        super().__init__(identity, function, function)

    def combine_values(self, records: Iterable[tuple[K, V]], into: dict[K, V]) -> None:
        """Combine pairs into a dict."""
        merge_pairs(self.merge_value, records, into)


def keep_first(first: V, other: V) -> V:
    """Return the first of two values."""
    return first


class FirstAggregator(ReduceAggregator[V]):
    """One value of each key; for keys that matter alone (distinct), whose values are all the same."""

    def __init__(self) -> None:
        super().__init__(keep_first)

    def combine_values(self, records: Iterable[tuple[K, V]], into: dict[K, V]) -> None:
        """Combine pairs into a dict."""
        into.update(records)  # keeps the first of equal keys

    def combine_combiners(self, records: Iterable[tuple[K, V]], into: dict[K, V]) -> None:
        """Combine pairs into a dict."""
        into.update(records)


def new_list(value: V) -> list[V]:
    """Return a list of one value."""
    return [value]


def append(values: list[V], value: V) -> list[V]:
    """Add a value to a list and return it."""
    values.append(value)
    return values


def extend(values: list[V], more: list[V]) -> list[V]:
    """Add values to a list and return it."""
    values.extend(more)
    return values


class ListAggregator(Aggregator[V, list[V]]):
    """All values of a key in a list."""

    def __init__(self) -> None:
        super().__init__(new_list, append, extend)

    def combine_values(self, records: Iterable[tuple[K, V]], into: dict[K, list[V]]) -> None:
        """Combine pairs into a dict."""
        get = into.get
        for key, value in records:
            values = get(key)
            if values is None:
                into[key] = [value]
            else:
                values.append(value)
