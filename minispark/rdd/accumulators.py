"""Accumulators: values that tasks add to and only the driver reads.

`sc.accumulator(0)` makes one. A task has a copy without the value: what it adds is kept apart by attempt, and the
`task_runner` sends it along with the outcome. Which attempts count is the DAGScheduler's decision; it passes the
bytes on to the driver's `Accumulator`, which merges them, because merging is the user's code.

Source: Spark's AccumulatorV2 and PySpark's Accumulator.
"""

import copy
import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from minispark.errors import ConfigurationError, ContextError, PicklingError
from minispark.ids import AccumulatorId
from minispark.messages.task import AccumulatorUpdate
from minispark.rdd import closures
from minispark.rpc.message import Attachment

__all__ = [
    "Accumulator",
    "AccumulatorParam",
    "Additions",
    "check_param",
    "has_additions",
    "pack_additions",
    "param_for",
    "set_additions",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AccumulatorParam(Protocol[T]):
    """How values of one kind are added up; pickled with every function that uses such an accumulator.

    `add` and `merge` may change their first argument and return it. The order in which parts are merged is not
    known, and how many parts there are neither.
    """

    def zero(self, initial: T) -> T:
        """Return the value that changes nothing, of the kind of `initial`; a new object if it can be changed."""

    def add(self, value: T, term: Any) -> T:
        """Return the value with what a task adds."""

    def merge(self, value: T, other: T) -> T:
        """Return two values as one."""


class Sums:
    """Numbers are added."""

    def zero(self, initial: Any) -> Any:
        """Return 0 of the same type."""
        return type(initial)()

    def add(self, value: Any, term: Any) -> Any:
        """Add a number."""
        return value + term

    merge = add


class Lists:
    """Elements are appended, in no order that can be relied on."""

    def zero(self, initial: list[Any]) -> list[Any]:
        """Return an empty list."""
        return []

    def add(self, value: list[Any], term: Any) -> list[Any]:
        """Append an element."""
        value.append(term)
        return value

    def merge(self, value: list[Any], other: list[Any]) -> list[Any]:
        """Append all elements."""
        value.extend(other)
        return value


class Sets:
    """Elements are kept once."""

    def zero(self, initial: set[Any]) -> set[Any]:
        """Return an empty set."""
        return set()

    def add(self, value: set[Any], term: Any) -> set[Any]:
        """Keep an element."""
        value.add(term)
        return value

    def merge(self, value: set[Any], other: set[Any]) -> set[Any]:
        """Keep all elements."""
        value.update(other)
        return value


PARAMS: Final[Mapping[type, AccumulatorParam[Any]]] = {
    int: Sums(),
    float: Sums(),
    complex: Sums(),
    list: Lists(),
    set: Sets(),
}

ids = itertools.count()
"""One sequence per process: an id never means accumulators of two contexts."""


def param_for(initial: object) -> AccumulatorParam[Any]:
    """Return how values like this one are added up.

    Raises:
        ConfigurationError: it is of no type for which that is known.
    """
    param = PARAMS.get(type(initial))
    if param is None:
        known = ", ".join(kind.__name__ for kind in PARAMS)
        raise ConfigurationError(
            f"an accumulator of {type(initial).__name__} needs a param with zero, add and merge; "
            f"without one it is of {known}"
        )
    return param


def check_param(param: object) -> None:
    """Refuse what cannot add values up: here, where the program can be mended, and not in each of its tasks.

    Raises:
        ConfigurationError: a method is missing; the text says which.
    """
    missing = [name for name in ("zero", "add", "merge") if not callable(getattr(param, name, None))]
    if missing:
        raise ConfigurationError(
            f"the param of an accumulator needs methods zero(initial), add(value, term) and merge(value, other); "
            f"{param!r} has no {' and no '.join(missing)} (where PySpark has addInPlace)"
        )


class Addition:
    """What one attempt has added to one accumulator."""

    __slots__ = ("accumulator", "value")

    def __init__(self, accumulator: "Accumulator[Any]") -> None:
        self.accumulator = accumulator
        self.value = accumulator.param.zero(accumulator.zero)


Additions = dict[AccumulatorId, Addition]


class OfThisThread(threading.local):
    """Where the attempt that runs on each thread adds."""

    additions: Additions | None = None


of_this_thread = OfThisThread()


def set_additions(additions: Additions | None) -> None:
    """Say where code on this thread adds from now on, None: to the driver's values; for `task_runner`."""
    of_this_thread.additions = additions


def has_additions() -> bool:
    """Tell whether the attempt that runs on this thread has added to any accumulator."""
    return bool(of_this_thread.additions)


class Accumulator(Generic[T]):
    """A value that tasks add to; make it with `SparkContext.accumulator`.

    What tasks add in an action counts once for each partition, however often its task is retried or copied. What they
    add in a transformation counts again when the transformation is computed again.

    Args:
        initial: the value that it has before anything is added.
        param: how values are added up.
        name: for messages; may be empty.
        count_failed_values: whether attempts that fail or are killed count, too.

    Attributes:
        accumulator_id: unique in the process.
        pending: what attempts have added and was not merged yet, pickled.
        is_closed: whether its context was stopped, so that nothing is added any more.
    """

    is_closed = False

    def __init__(self, initial: T, param: AccumulatorParam[T], name: str, count_failed_values: bool) -> None:
        self.accumulator_id = AccumulatorId(next(ids))
        self.param = param
        self.name = name
        self.count_failed_values = count_failed_values
        self.zero = param.zero(initial)
        self.is_copy = False
        self.is_reported = False
        self.pending: deque[Attachment] = deque()
        self.total: T = copy.copy(initial)  # merging may change it
        self.lock = threading.RLock()  # threads of the driver may read and add, as listeners in threads do

    @property
    def value(self) -> T:
        """What has been added so far; all of it once the action is awaited that adds.

        Raises:
            ContextError: this is a task.
        """
        self.check_in_driver("read")
        while self.merge_next():
            pass
        return self.total

    @value.setter
    def value(self, value: T) -> None:
        self.check_in_driver("set")
        with self.lock:
            self.pending.clear()
            self.total = value

    @property
    def is_zero(self) -> bool:
        """Whether the value is that of an accumulator to which nothing was added."""
        return bool(self.value == self.zero)

    def add(self, term: Any) -> None:
        """Add something; `+=` does the same."""
        additions = of_this_thread.additions
        if additions is None:
            self.check_in_driver("added to")
            with self.lock:
                self.total = self.param.add(self.total, term)
            return
        addition = additions.get(self.accumulator_id)
        if addition is None:
            addition = additions[self.accumulator_id] = Addition(self)
        addition.value = self.param.add(addition.value, term)

    def __iadd__(self, term: Any) -> Self:
        self.add(term)
        return self

    def merge_next(self) -> bool:
        """Merge what one attempt has added; tell whether there was something.

        What cannot be merged is left out and reported once: it is the user's code that fails, and neither other
        accumulators nor the jobs shall suffer from it.
        """
        with self.lock:
            if not self.pending:
                return False
            data = self.pending.popleft()
            try:
                self.total = self.param.merge(self.total, closures.loads_value(data))
            except Exception:  # the user's merge, or the user's classes while they are rebuilt
                if not self.is_reported:
                    self.is_reported = True
                    logger.exception("%r misses what a task added, because it could not be merged; told once", self)
            return True

    def check_in_driver(self, what: str) -> None:
        """Raise if this is a task.

        Raises:
            ContextError: it is.
        """
        if of_this_thread.additions is not None:
            raise ContextError(f"{self!r} cannot be {what} in a task: tasks can only add; the driver has its value")
        if self.is_copy:
            raise ContextError(f"{self!r} cannot be {what} here: a copy can only be added to, on a task's own thread")

    def __reduce__(self) -> tuple[Any, ...]:
        if self.is_closed:
            raise PicklingError(
                f"{self!r} belongs to a SparkContext that was stopped, and would miss what tasks add; make one with "
                "the context that runs them"
            )
        return copy_for_tasks, (self.accumulator_id, self.zero, self.param, self.name, self.count_failed_values)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Accumulator {self.accumulator_id}{name}>"


def copy_for_tasks(
    accumulator_id: AccumulatorId, zero: T, param: AccumulatorParam[T], name: str, count_failed_values: bool
) -> Accumulator[T]:
    """Make what tasks have: an accumulator without a value."""
    made = Accumulator.__new__(Accumulator)
    made.accumulator_id = accumulator_id
    made.zero = zero
    made.param = param
    made.name = name
    made.count_failed_values = count_failed_values
    made.is_copy = True
    return made


def pack_additions(additions: Iterable[Addition], *, limit_bytes: int) -> tuple[AccumulatorUpdate, ...]:
    """Return what an attempt has added as it is sent.

    Raises:
        PicklingError: a value cannot be pickled, or all together exceed the limit.
    """
    updates = []
    left = limit_bytes
    for addition in additions:
        data = closures.dumps_value(addition.value)
        left -= len(data)
        if left < 0:
            raise PicklingError(
                f"what the task added to {addition.accumulator!r} takes {len(data):,} bytes: accumulators take more "
                f"than the {limit_bytes:,} that can be sent (half of minispark.rpc.message.maxSize)"
            )
        updates.append(AccumulatorUpdate(addition.accumulator.accumulator_id, data))
    return tuple(updates)
