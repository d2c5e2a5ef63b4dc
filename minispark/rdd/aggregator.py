"""How values of one key become one combined value. Source: Spark's Aggregator.

The loops that combine are here, beside the functions they call, so that the common cases (reduce, group, distinct)
have a form without a call per record. The shuffle's two ends and already partitioned RDDs use them. Knows nothing of
files, spilling or partitions: who must bound memory hands in the records in pieces.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, NoReturn, TypeVar

__all__ = ["Aggregator", "CoGroupAggregator", "FirstAggregator", "ListAggregator", "ReduceAggregator"]

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


class ListAggregator(Aggregator[V, Any]):
    """All values of a key in a list. What is more than memory holds can be taken apart, and be put together again."""

    def __init__(self) -> None:
        super().__init__(new_list, append, extend)

    def combine_values(self, records: Iterable[tuple[K, V]], into: dict[K, Any]) -> None:
        """Combine pairs into a dict."""
        get = into.get
        for key, value in records:
            values = get(key)
            if values is None:
                into[key] = [value]
            else:
                values.append(value)

    def lists_of(self, group: Any) -> Sequence[list[V]]:
        """Return the lists that a combined value consists of."""
        return (group,)

    def group_of(self, lists: Sequence[Any]) -> Any:
        """Return the combined value that consists of these lists."""
        return lists[0]

    def count(self, groups: Iterable[Any]) -> int:
        """Return how many values combined values have."""
        return sum(map(len, groups))

    def longest(self, groups: Iterable[Any]) -> int:
        """Return the length of the longest list of combined values."""
        return max(map(len, groups), default=0)


def no_group(*values: Any) -> NoReturn:
    """Refuse to make a group of a value that does not say whose it is."""
    raise AssertionError("the values of a cogroup come by parent")


def extend_each(group: tuple[list[Any], ...], more: tuple[list[Any], ...]) -> tuple[list[Any], ...]:
    """Add the values of a group to another's, list by list."""
    for mine, theirs in zip(group, more, strict=True):
        mine.extend(theirs)
    return group


class CoGroupAggregator(ListAggregator[Any]):
    """A list of each parent's values of a key, in a tuple.

    Args:
        num_parents: how many lists there are.
    """

    def __init__(self, num_parents: int) -> None:
        Aggregator.__init__(self, no_group, no_group, extend_each)
        object.__setattr__(self, "num_parents", num_parents)  # the base is frozen
        self.num_parents: int

    def combine_parent(self, place: int, records: Iterable[tuple[K, Any]], into: dict[K, Any]) -> None:
        """Combine one parent's pairs into a dict of groups."""
        if self.num_parents == 2:
            (group_left if place == 0 else group_right)(records, into)
            return
        get, places = into.get, range(self.num_parents)
        for key, value in records:
            group = get(key)
            if group is None:
                into[key] = group = tuple([[] for _ in places])
            group[place].append(value)

    def lists_of(self, group: Any) -> Sequence[list[Any]]:
        """Return a group's lists."""
        lists: Sequence[list[Any]] = group
        return lists

    def group_of(self, lists: Sequence[Any]) -> Any:
        """Return the group of these lists."""
        return tuple(lists)

    def count(self, groups: Iterable[Any]) -> int:
        """Return how many values groups have."""
        return sum(map(len, chain.from_iterable(groups)))

    def longest(self, groups: Iterable[Any]) -> int:
        """Return the length of the longest list of groups."""
        return max(map(len, chain.from_iterable(groups)), default=0)


# Two parents, as a join has, get loops of their own: literals make a new group in half of the time, and a list that
# begins with its value takes less memory than one that is appended to.


def group_left(records: Iterable[tuple[K, V]], into: dict[K, tuple[list[V], list[Any]]]) -> None:
    """Combine the first of two parents' pairs into a dict of groups."""
    get = into.get
    for key, value in records:
        group = get(key)
        if group is None:
            into[key] = [value], []
        else:
            group[0].append(value)


def group_right(records: Iterable[tuple[K, V]], into: dict[K, tuple[list[Any], list[V]]]) -> None:
    """Combine the second of two parents' pairs into a dict of groups."""
    get = into.get
    for key, value in records:
        group = get(key)
        if group is None:
            into[key] = [], [value]
        else:
            group[1].append(value)
