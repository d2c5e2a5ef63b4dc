"""minispark.record: what a record is."""

import copy
import dataclasses
import pickle

import pytest

from minispark.record import Record, record


@record
class Point(Record):
    """A place."""

    x: int
    y: int = 0


@record
class Named(Point):
    """A place with a name, which must not be empty."""

    name: str = "origin"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a name is needed")


@record
class Nothing(Record):
    """No fields."""


def test_fields_are_given_by_position_or_by_name() -> None:
    assert Point(1, 2) == Point(y=2, x=1)
    assert Point(1) == Point(1, 0)
    assert (Named(1, 2, "here").x, Named(1, 2, "here").name) == (1, "here")


def test_records_compare_hash_and_print_by_their_fields() -> None:
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert Nothing() == Nothing()
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=0)"


def test_arguments_that_do_not_fit_are_an_error_that_names_the_record_every_time() -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Point\.__init__\(\) missing 1 required positional argument: 'x'"):
            Point()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"Point\.__init__\(\) got an unexpected keyword argument 'z'"):
            Point(1, z=3)  # type: ignore[call-arg]


def test_a_record_can_check_itself() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="a name is needed"):
            Named(1, 2, "")


def test_records_are_frozen_under_test() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]


def test_records_match_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_records_can_be_copied_pickled_and_replaced() -> None:
    point = Named(1, 2, "here")
    assert copy.copy(point) == pickle.loads(pickle.dumps(point)) == point
    assert dataclasses.replace(point, y=3) == Named(1, 3, "here")
    assert not hasattr(point, "__dict__")


def test_a_declaration_that_cannot_work_is_refused() -> None:
    with pytest.raises(TypeError, match=r"b has no default and follows a field that has one"):

        @record
        class Bad(Record):
            a: int = 0
            b: int  # type: ignore[misc]

    with pytest.raises(TypeError, match=r"a: a record takes defaults, not functions"):

        @record
        class Worse(Record):
            a: list[int] = dataclasses.field(default_factory=list)


def test_a_default_that_could_be_changed_is_refused() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @record
        class Shared(Record):
            names: list[str] = []  # noqa: RUF012 — the point of the test
