"""The RDD's methods that run jobs and return values; coroutines.

Each is a function for the tasks, which sends back little, and a merge in the driver. The merges run on the caller's
event loop, which may be a web service's: what grows with the data is left to `merging`.
"""

import copy
import heapq
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial, reduce
from itertools import chain, islice
from typing import Any, Final, TypeVar

from minispark.rdd.arguments import check_callable, check_key, check_size
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.estimates import Estimate, count_within
from minispark.rdd.face import Face
from minispark.rdd.merging import added_up, as_dict, in_order, joined, reduced
from minispark.rdd.ports import TaskContext
from minispark.rdd.transformations import count_records

__all__ = ["Actions"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")

NOTHING: Final[Any] = object()


class Actions(Face[T_co]):
    """collect, count, take, reduce …"""

    async def collect(self) -> list[T_co]:
        """Return all records, in the order of the partitions."""
        with DriverSide("collect", self.node):
            return await joined(await self.run(list_records, None))

    async def count(self) -> int:
        """Return how many records there are."""
        return sum(await self.run(count_records, None))

    async def count_approx(self, timeout_s: float, confidence: float = 0.95) -> Estimate:
        """Return how many records there are, estimated from what is counted when the time is over.

        Args:
            timeout_s: seconds; what still runs then is cancelled. The count is exact if it is done before.
            confidence: with which probability the number is within the bounds of the estimate.

        Raises:
            ConfigurationError: an argument is out of its range.
        """
        return await count_within(self, timeout_s, confidence)

    async def first(self) -> T_co:
        """Return the first record.

        Raises:
            ValueError: there is none.
        """
        records = await take(self, 1, "first")
        if not records:
            raise ValueError(f"RDD {self.node!r} is empty: it has no first record")
        return records[0]

    async def is_empty(self) -> bool:
        """Tell whether there is no record; looks at as few partitions as `take(1)`."""
        return not await take(self, 1, "is_empty")

    async def take(self, num: int) -> list[T_co]:
        """Return the first `num` records; computes the first partition, then more, until there are enough."""
        return await take(self, check_size("num", num), "take")

    async def top(self, num: int, key: Callable[[T_co], Any] | None = None) -> list[T_co]:
        """Return the `num` greatest records, the greatest first."""
        num = check_size("num", num)
        check_key("top", key)
        with DriverSide("top", self.node):
            parts = await self.run(partial(greatest, num, key), None)
            return await in_order(parts, num, key, reverse=True)

    async def take_ordered(self, num: int, key: Callable[[T_co], Any] | None = None) -> list[T_co]:
        """Return the `num` smallest records, the smallest first."""
        num = check_size("num", num)
        check_key("take_ordered", key)
        with DriverSide("take_ordered", self.node):
            parts = await self.run(partial(smallest, num, key), None)
            return await in_order(parts, num, key)

    async def reduce(self, function: Callable[[T_co, T_co], T_co]) -> T_co:
        """Return all records merged by an associative and commutative function.

        Raises:
            ValueError: there is no record.
        """
        check_callable("reduce", function)
        return await one_of_all(self, "reduce", partial(reduce_records, function), function)

    async def fold(self: "Face[T]", zero: T, function: Callable[[T, T], T]) -> T:
        """Return all records merged, starting from a copy of zero in each partition and once more at the end."""
        check_callable("fold", function)
        with DriverSide("fold", self.node):
            parts = await self.run(partial(aggregate_records, zero, function), None)
            return await reduced(function, [copy.deepcopy(zero), *parts])

    async def aggregate(self, zero: U, merge_value: Callable[[U, T_co], U], merge_combined: Callable[[U, U], U]) -> U:
        """Return all records aggregated, starting from a copy of zero in each partition and once more at the end."""
        check_callable("aggregate", merge_value)
        check_callable("aggregate", merge_combined)
        with DriverSide("aggregate", self.node):
            parts = await self.run(partial(aggregate_records, zero, merge_value), None)
            return await reduced(merge_combined, [copy.deepcopy(zero), *parts])

    async def sum(self: "Face[T]") -> T | int:
        """Return the sum of the records; 0 if there are none."""
        with DriverSide("sum", self.node):
            parts: list[Any] = await self.run(sum_records, None)
            total: T | int = await reduced(operator.add, [0, *parts])
        return total

    async def max(self, key: Callable[[T_co], Any] | None = None) -> T_co:
        """Return the greatest record; the first of several.

        Raises:
            ValueError: there is no record.
        """
        check_key("max", key)
        return await one_of_all(self, "max", partial(chosen, max, key), partial(max, key=key))

    async def min(self, key: Callable[[T_co], Any] | None = None) -> T_co:
        """Return the smallest record; the first of several.

        Raises:
            ValueError: there is no record.
        """
        check_key("min", key)
        return await one_of_all(self, "min", partial(chosen, min, key), partial(min, key=key))

    async def count_by_value(self) -> dict[T_co, int]:
        """Return how often each record occurs."""
        with DriverSide("count_by_value", self.node):
            return await added_up(await self.run(count_values, None))

    async def count_by_key(self: "Face[tuple[K, Any]]") -> dict[K, int]:
        """Return how many pairs each key has."""
        with DriverSide("count_by_key", self.node):
            return await added_up(await self.run(count_keys, None))

    async def collect_as_map(self: "Face[tuple[K, V]]") -> dict[K, V]:
        """Return a dict of the pairs; of equal keys the last one stays."""
        with DriverSide("collect_as_map", self.node):
            return await as_dict(await self.run(list_records, None))

    async def foreach(self, function: Callable[[T_co], object]) -> None:
        """Call a function with each record, in the tasks, for its effect."""
        check_callable("foreach", function)
        await self.run(partial(call_with_each, function), None)

    async def foreach_partition(self, function: Callable[[Iterator[T_co]], object]) -> None:
        """Call a function with the records of each partition, in the tasks, for its effect."""
        check_callable("foreach_partition", function)
        await self.run(partial(call_with_all, function), None)


async def take(face: Face[T], num: int, action: str) -> list[T]:
    """Return the first records, from as few partitions as a growing guess needs. Source: PySpark's RDD.take."""
    taken: list[T] = []
    total = face.get_num_partitions()
    scale_up = face.context.conf.limit_scale_up_factor
    done = 0
    while len(taken) < num and done < total:
        if done == 0:
            width = 1
        elif not taken:
            width = done * scale_up
        else:
            # Half as many again as the records so far suggest, lest another round is needed.
            width = min(max(int(1.5 * num * done / len(taken)) - done, 1), done * scale_up)
        partitions = range(done, min(done + width, total))
        with DriverSide(action, face.node):
            # Often the first partition is all there is to it: the shortest way, if it can be taken.
            parts = await face.run(partial(first_records, num - len(taken)), partitions, allow_local=done == 0)
        found = await joined(parts)
        del found[num - len(taken) :]
        taken = taken + found if taken else found
        done = partitions.stop
    return taken


async def one_of_all(
    face: Face[T],
    action: str,
    of_partition: Callable[[TaskContext, Iterator[T]], list[T]],
    merge: Callable[[T, T], T],
) -> T:
    """Return the values of those partitions that have one, merged."""
    with DriverSide(action, face.node):
        found = list(chain.from_iterable(await face.run(of_partition, None)))
        if found:
            return await reduced(merge, found)
    raise ValueError(f"RDD {face.node!r} is empty: {action} needs at least one record")


# What tasks run: plain functions, so that they are pickled by name. Lists travel in batches, so long values are.


def list_records(context: TaskContext, records: Iterator[T]) -> list[T]:
    """Return all records."""
    return list(records)


def first_records(num: int, context: TaskContext, records: Iterator[T]) -> list[T]:
    """Return the first records."""
    return list(islice(records, num))


def greatest(num: int, key: Any, context: TaskContext, records: Iterator[Any]) -> list[Any]:
    """Return the greatest records, the greatest first."""
    return heapq.nlargest(num, records, key)


def smallest(num: int, key: Any, context: TaskContext, records: Iterator[Any]) -> list[Any]:
    """Return the smallest records, the smallest first."""
    return heapq.nsmallest(num, records, key)


def reduce_records(function: Callable[[T, T], T], context: TaskContext, records: Iterator[T]) -> list[T]:
    """Return the records merged, in a list; an empty one if there are none."""
    for first in records:
        return [reduce(function, records, first)]
    return []


def aggregate_records(zero: U, function: Callable[[U, T], U], context: TaskContext, records: Iterator[T]) -> U:
    """Return the records aggregated; zero is copied, since a runner may use the same function again."""
    return reduce(function, records, copy.deepcopy(zero))


def sum_records(context: TaskContext, records: Iterator[Any]) -> Any:
    """Return the sum."""
    return sum(records)


def chosen(choose: Callable[..., Any], key: Any, context: TaskContext, records: Iterator[Any]) -> list[Any]:
    """Return the smallest or greatest record in a list; an empty one if there are none."""
    record = choose(records, key=key, default=NOTHING)
    return [] if record is NOTHING else [record]


def count_values(context: TaskContext, records: Iterator[T]) -> list[tuple[T, int]]:
    """Return how often each record occurs."""
    return list(Counter(records).items())


def count_keys(context: TaskContext, records: Iterator[tuple[K, Any]]) -> list[tuple[K, int]]:
    """Return how many pairs each key has."""
    return list(Counter(map(operator.itemgetter(0), records)).items())


def call_with_each(function: Callable[[T], object], context: TaskContext, records: Iterator[T]) -> None:
    """Call a function with each record."""
    for record in records:
        function(record)


def call_with_all(function: Callable[[Iterator[T]], object], context: TaskContext, records: Iterator[T]) -> None:
    """Call a function with all records."""
    function(records)
