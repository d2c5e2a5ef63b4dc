import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from minispark.errors import ConfigurationError, ContextError, PicklingError
from minispark.rdd.accumulators import (
    Accumulator,
    Additions,
    pack_additions,
    param_for,
    set_additions,
)
from minispark.rpc.message import Attachment


class Largest:
    """Keeps the largest number."""

    def zero(self, initial: int) -> int:
        return -1

    def add(self, value: int, term: Any) -> int:
        return value if value > term else int(term)

    merge = add


class Misbehaved(Largest):
    """Cannot be merged."""

    def merge(self, value: int, other: int) -> int:
        raise RuntimeError("no")


@pytest.fixture
def additions() -> Iterator[Additions]:
    """Make this thread that of a task."""
    found: Additions = {}
    set_additions(found)
    yield found
    set_additions(None)


NUMBERS = pytest.mark.scenario("ACC-003", "long/double add, avg, sum, count, isZero")


def accumulator(initial: Any, **options: Any) -> Accumulator[Any]:
    return Accumulator(initial, options.pop("param", None) or param_for(initial), options.pop("name", ""), False)


def sent(additions: Additions) -> Attachment:
    (update,) = pack_additions(additions.values(), limit_bytes=1000)
    return update.value


@pytest.mark.parametrize(
    ("initial", "terms", "total"),
    [
        pytest.param(5, [1, 2], 8, marks=NUMBERS),
        pytest.param(0.5, [1, 0.25], 1.75, marks=NUMBERS),
        (1j, [1], 1 + 1j),
        pytest.param([0], [1, 2], [0, 1, 2], marks=pytest.mark.scenario("ACC-003", "list")),
        ({0}, [1, 0, 1], {0, 1}),
    ],
)
def test_what_a_task_adds_is_merged_into_the_initial_value(initial: Any, terms: list[Any], total: Any) -> None:
    original = accumulator(initial)
    found: Additions = {}
    set_additions(found)
    for term in terms:
        original.add(term)
    set_additions(None)

    original.pending.append(sent(found))

    assert original.value == total
    assert original.value == total  # merged once


@pytest.mark.scenario("ACC-001", "serialisation: executor copy is reset to zero and marked")
def test_a_copy_has_the_operation_but_not_the_value() -> None:
    original = accumulator(7, name="errors")

    copy = pickle.loads(pickle.dumps(original))

    assert (copy.accumulator_id, copy.zero, copy.name) == (original.accumulator_id, 0, "errors")
    assert copy.is_copy
    assert not hasattr(copy, "total")


def test_a_task_that_reads_or_sets_a_value_is_told_that_only_the_driver_has_it(additions: Additions) -> None:
    original = accumulator(0, name="errors")

    with pytest.raises(ContextError, match=r"<Accumulator \d+ 'errors'> cannot be read in a task"):
        _ = original.value
    with pytest.raises(ContextError, match="cannot be set in a task"):
        original.value = 3


def test_a_copy_outside_of_a_task_is_of_no_use_and_says_so() -> None:
    copy = pickle.loads(pickle.dumps(accumulator(0)))

    with pytest.raises(ContextError, match="cannot be added to here"):
        copy.add(1)


def test_additions_of_attempts_are_kept_apart() -> None:
    original = accumulator([])
    first: Additions = {}
    second: Additions = {}
    for attempt in (first, second):
        set_additions(attempt)
        original += 1
    set_additions(None)

    assert [addition.value for attempt in (first, second) for addition in attempt.values()] == [[1], [1]]
    assert original.value == []


def test_the_driver_can_add_and_set() -> None:
    original = accumulator(1)
    assert not original.is_zero

    original += 2
    assert original.value == 3
    original.value = 0

    assert original.is_zero


def test_the_object_that_was_the_initial_value_is_left_alone() -> None:
    mine: list[int] = [1]
    original = accumulator(mine)

    original.add(2)

    assert mine == [1]


def test_a_param_of_the_users_own_says_what_adding_means(additions: Additions) -> None:
    original = accumulator(3, param=Largest())
    for term in (1, 9, 4):
        original.add(term)
    set_additions(None)

    original.pending.append(sent(additions))

    assert original.value == 9


def test_a_type_that_nobody_can_add_up_needs_a_param() -> None:
    with pytest.raises(ConfigurationError, match="an accumulator of dict needs a param with zero, add and merge"):
        param_for({})


def test_what_cannot_be_merged_is_left_out_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    original = accumulator(0, param=Misbehaved())
    original.pending.extend([pickle.dumps(1), b"damaged", pickle.dumps(2)])

    assert original.value == 0
    assert caplog.text.count("could not be merged; told once") == 1


def test_too_much_to_be_sent_is_refused_by_name(additions: Additions) -> None:
    accumulator("", param=Texts(), name="log").add("x" * 2000)

    with pytest.raises(PicklingError, match=r"'log'> takes 2,\d\d\d bytes.*rpc.message.maxSize"):
        sent(additions)


class Texts:
    """Concatenates."""

    def zero(self, initial: str) -> str:
        return ""

    def add(self, value: str, term: Any) -> str:
        return value + str(term)

    merge = add


class Interrupted(Largest):
    """While it merges, another thread reads the value."""

    def __init__(self) -> None:
        self.readers: list[threading.Thread] = []
        self.read: list[int] = []
        self.watched: Accumulator[int] | None = None

    def merge(self, value: int, other: int) -> int:
        if not self.readers:
            self.readers.append(threading.Thread(target=self.look))
            self.readers[0].start()
            self.readers[0].join(0.02)
        return value + other

    def look(self) -> None:
        assert self.watched is not None
        self.read.append(self.watched.value)


def test_a_value_that_two_threads_read_loses_nothing() -> None:
    param = Interrupted()
    original = param.watched = accumulator(0, param=param)
    original.pending.extend(pickle.dumps(term) for term in (1, 2, 4))

    assert original.value == 7
    param.readers[0].join()
    assert param.read == [7]
