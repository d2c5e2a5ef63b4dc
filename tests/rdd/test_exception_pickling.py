"""Exceptions that travel: as themselves, or not at all."""

import json
import threading
from typing import Any

import pytest

from minispark.errors import UserCodeError
from minispark.rdd.exception_pickling import dumps_exception, loads_exception


class Odd(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Prefixed(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"Error: {text}")


class Missing(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "is missing", path)
        self.path = path


class KeywordOnly(ValueError):
    def __init__(self, *, hint: str) -> None:
        super().__init__("see hint")
        self.hint = hint


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Lying(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return ValueError, ("something else",)


class Single(Exception):
    def __reduce__(self) -> str:
        return "SINGLE"


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__("slotted", code)
        self.code = code


SINGLE = Single("the only one")


def returned(error: BaseException) -> BaseException:
    return loads_exception(dumps_exception(error))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 2),
        Odd(3, "x"),
        Prefixed("x"),
        Missing("/nowhere"),
        KeywordOnly(hint="look up"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        json.JSONDecodeError("bad", "{", 1),
        ImportError("no", name="module", path="x.py"),
        Exception(object()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_comes_back_as_itself(error: Exception) -> None:
    copy = returned(error)

    assert type(copy) is type(error)
    assert copy is not error
    assert str(copy).partition(" at 0x")[0] == str(error).partition(" at 0x")[0]
    assert vars(copy) == vars(error)


def test_an_os_error_keeps_its_fields() -> None:
    copy = returned(Missing("/nowhere"))

    assert isinstance(copy, Missing)
    assert (copy.errno, copy.filename, copy.path) == (2, "/nowhere", "/nowhere")


@pytest.mark.parametrize(
    "error",
    [Locked(), Lying(), SINGLE, Slotted(3), SystemExit(1), KeyboardInterrupt(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_what_would_come_back_different_does_not_travel(error: BaseException) -> None:
    assert dumps_exception(error) == b""


@pytest.mark.scenario("FAIL-004", "cause sent to driver")
def test_causes_contexts_and_notes_travel() -> None:
    error = Odd(1, "late")
    error.__cause__ = KeyError("cause")
    error.__cause__.__context__ = Odd(2, "context")
    error.add_note("while parsing")

    copy = returned(error)

    assert isinstance(copy.__cause__, KeyError)
    assert isinstance(copy.__cause__.__context__, Odd)
    assert copy.__suppress_context__
    assert copy.__notes__ == ["while parsing"]


def test_a_cause_that_cannot_travel_is_told_in_text() -> None:
    error = ValueError("late")
    error.__cause__ = Locked()

    cause = returned(error).__cause__

    assert isinstance(cause, UserCodeError)
    assert str(cause) == "tests.rdd.test_exception_pickling.Locked: locked"


def test_a_context_that_leads_back_is_left_out() -> None:
    error, other = ValueError(1), ValueError(2)
    error.__context__, other.__context__ = other, error

    copy = returned(error)

    assert str(copy.__context__) == "2"
    assert copy.__context__ is not None
    assert copy.__context__.__context__ is None


def test_a_long_chain_is_cut() -> None:
    error = first = ValueError(0)
    for number in range(1, 500):
        error.__context__ = ValueError(number)
        error = error.__context__

    copy: BaseException | None = returned(first)
    length = 0
    while copy is not None:
        length, copy = length + 1, copy.__context__

    assert length == 16


def test_groups_travel_with_what_their_members_are_linked_to() -> None:
    member = Odd(1, "x")
    member.__cause__ = KeyError("why")
    group = ExceptionGroup("outer", [member, ExceptionGroup("inner", [Locked()])])
    group.add_note("of two")

    copy = returned(group)

    assert isinstance(copy, ExceptionGroup)
    assert copy.__notes__ == ["of two"]
    odd, inner = copy.exceptions
    assert isinstance(odd.__cause__, KeyError)
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], UserCodeError)


def test_an_exception_class_made_in_the_task_travels_by_value() -> None:
    local = type("Local", (Exception,), {"__module__": "nowhere"})

    assert type(returned(local("x"))).__name__ == "Local"
