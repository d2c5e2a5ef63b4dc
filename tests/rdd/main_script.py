"""A user's program with all kinds of classes in its `__main__`; run by test_closures, prints a JSON line a check."""

import enum
import json
import sys
import traceback
from abc import ABC, abstractmethod
from collections import Counter, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property, lru_cache, total_ordering
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest

from minispark.errors import PicklingError
from minispark.rdd import closures
from tests.rdd.two_processes import Runner, result_task

T = TypeVar("T")
SCALE = 10
CHECKS: list[Callable[[Runner], None]] = []


def check(function: Callable[[Runner], None]) -> Callable[[Runner], None]:
    CHECKS.append(function)
    return function


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default_factory=tuple)


class MyError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class Base(ABC):
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    @abstractmethod
    def area(self) -> int: ...

    @staticmethod
    def unit() -> "Square":
        return Square(1)


class Square(Base):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def area(self) -> int:
        return scaled(self.side * self.side)


@lru_cache(maxsize=50, typed=True)
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@cache
def cached_square(n: int) -> Square:
    return Square(n)


class Estimate:
    def __init__(self, value: int) -> None:
        self.value = value

    @cached_property
    def doubled(self) -> "Estimate":
        return Estimate(2 * self.value)

    @lru_cache  # noqa: B019 — users do it
    def times(self, n: int) -> int:
        return n * self.doubled.value

    def double(self, _: object) -> int:
        return self.doubled.value


class Outer:
    class Inner:
        def __init__(self, value: int) -> None:
            self.value = value

    def make(self) -> "Outer.Inner":
        return Outer.Inner(7)


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"

    def next(self) -> "Colour":
        return Colour.GREEN if self is Colour.RED else Colour.RED


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    left: int
    right: Point


Old = namedtuple("Old", "a b")  # what many programs have


class Box(Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content


class IntBox(Box[int]):
    pass


class HasArea(Protocol):
    def area(self) -> int: ...


@total_ordering
class Version:
    __slots__ = ("major",)

    def __init__(self, major: int) -> None:
        self.major = major

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and other.major == self.major

    def __lt__(self, other: "Version") -> bool:
        return self.major < other.major

    def __hash__(self) -> int:
        return hash(self.major)


@dataclass(slots=True)
class Slotted:
    value: int


class Even:
    def partner(self) -> "Odd":
        return Odd()


class Odd:
    def partner(self) -> Even:
        return Even()


class Registry:
    limit = 5


def scaled(value: int) -> int:
    return value * SCALE


def fail() -> None:
    raise MyError(7, "no")


@check
def a_dataclass_is_a_key_and_a_result(runner: Runner) -> None:
    records = [(Point(n % 2), n) for n in range(10)]

    def add(pairs: list[tuple[Point, int]]) -> dict[Point, int]:
        totals: Counter[Point] = Counter()
        for key, value in pairs:
            totals[key] += value
        return dict(totals)

    assert runner.run(add, records) == {Point(0): 20, Point(1): 25}
    assert type(next(iter(runner.run(add, records)))) is Point


@check
def equal_keys_have_equal_hashes_in_the_runner(runner: Runner) -> None:
    here = runner.run(lambda records: hash(records[0]) == hash(Point(3, 4)), [Point(3, 4)])
    assert here is True


@check
def a_cached_value_outlives_its_task(runner: Runner) -> None:
    runner.run(lambda records: sys.modules["__main__"].__dict__.update(cached=records), [Point(1), Point(2)])
    assert runner.run(lambda _: sys.modules["__main__"].__dict__["cached"]) == [Point(1), Point(2)]
    assert runner.run(lambda _: isinstance(sys.modules["__main__"].__dict__["cached"][0], Point)) is True


@check
def an_exception_is_caught_as_itself(runner: Runner) -> None:
    def attempt(_: list[Any]) -> str:
        try:
            fail()
        except MyError as error:
            return f"caught {error.code}"
        return "missed"

    assert runner.run(attempt) == "caught 7"


@check
def a_class_is_sent_once(runner: Runner) -> None:
    runner.run(lambda _: Slotted(1))
    before = list(runner.asked)
    for number in range(3):
        assert runner.run(lambda records: Slotted(records[0]), [number]) == Slotted(number)
    assert runner.asked == before


@check
def a_hierarchy_with_globals_keeps_the_drivers_state(runner: Runner) -> None:
    Base.made = Square.made = 40
    made = runner.run(lambda _: [Square(3), Base.unit()])
    assert [shape.area() for shape in made] == [90, 10]
    assert runner.run(lambda records: [shape.area() for shape in records], made) == [90, 10]
    assert (Base.made, Square.made) == (40, 40)
    assert all(type(shape) is Square for shape in made)


@check
def nested_classes(runner: Runner) -> None:
    assert type(runner.run(lambda _: Outer().make())) is Outer.Inner
    assert runner.run(lambda records: [r.value for r in records], [Outer.Inner(2)]) == [2]
    assert runner.run(lambda _: type(Outer.Inner(1)) is Outer.Inner) is True


@check
def enums(runner: Runner) -> None:
    assert runner.run(lambda records: [c.next() for c in records], [Colour.RED]) == [Colour.GREEN]
    assert runner.run(lambda _: Colour("g")) is Colour.GREEN
    assert runner.run(lambda _: Level.LOW | Level.HIGH) == Level.LOW | Level.HIGH


@check
def tuples(runner: Runner) -> None:
    assert runner.run(lambda _: Pair(1, Point(2))) == Pair(1, Point(2))
    assert type(runner.run(lambda records: records[0]._replace(b=3), [Old(1, 2)])) is Old


@check
def generics_and_protocols(runner: Runner) -> None:
    assert type(runner.run(lambda _: IntBox(3))) is IntBox
    assert type(runner.run(lambda _: Box[int](3))) is Box
    assert runner.run(lambda _: HasArea.__name__) == "HasArea"


@check
def slots_and_orders(runner: Runner) -> None:
    assert runner.run(lambda records: max(records), [Version(1), Version(3)]) == Version(3)
    assert runner.run(lambda records: [replace(r, value=9) for r in records], [Slotted(1)]) == [Slotted(9)]


@check
def classes_that_know_each_other(runner: Runner) -> None:
    assert type(runner.run(lambda _: Even().partner().partner())) is Even
    assert runner.run(lambda _: isinstance(Odd().partner().partner(), Odd)) is True


@check
def a_dataclass_can_be_extended_in_a_task(runner: Runner) -> None:
    def extend(_: list[Any]) -> list[str]:
        @dataclass(frozen=True)
        class Point3(Point):
            z: int = 0

        return [f.name for f in fields(Point3(1))]

    assert runner.run(extend) == ["x", "y", "tags", "z"]


@check
def functions_are_values_too(runner: Runner) -> None:
    assert runner.run(lambda records: records[0](4), [scaled]) == 40
    assert runner.run(lambda records: records[0], [scaled]) is scaled
    assert runner.run(lambda _: lambda x: x + SCALE)(1) == 11


@check
def cached_functions_travel_in_every_way(runner: Runner) -> None:
    assert runner.run(lambda records: [fibonacci(n) for n in records], [10, 30]) == [55, 832040]
    assert runner.run(lambda records: records[0](20), [fibonacci]) == 6765
    assert runner.run(lambda _: fibonacci.cache_parameters()) == {"maxsize": 50, "typed": True}
    assert runner.run(lambda _: type(cached_square(3)) is Square and cached_square(3).area()) == 90
    assert runner.run(lambda _: cached_square)(4).side == 4


@check
def cached_properties_and_methods_travel(runner: Runner) -> None:
    assert runner.run(Estimate(4).double) == 8
    assert runner.run(lambda _: Estimate(4).times(3)) == 24
    estimate = Estimate(5)
    assert estimate.doubled.value == 10
    assert type(runner.run(lambda records: records[0].doubled, [estimate])) is Estimate


@check
def a_large_closure_prints_nothing_if_logging_is_not_configured(runner: Runner) -> None:
    large = bytes(2 << 20)
    assert runner.run(lambda _: len(large)) == 2 << 20


@check
def a_function_sees_rebound_globals(runner: Runner) -> None:
    global SCALE
    assert runner.run(lambda _: Square(1).area()) == 10
    SCALE = 100
    assert runner.run(lambda _: scaled(1)) == 100
    assert runner.run(lambda _: Square(1).area()) == 100
    SCALE = 10
    assert runner.run(lambda _: Square(1).area()) == 10


@check
def a_class_attribute_that_was_set_is_sent_again(runner: Runner) -> None:
    assert runner.run(lambda _: Registry.limit) == 5
    Registry.limit = 6
    assert runner.run(lambda _: Registry.limit) == 6


@check
def a_redefined_class_is_a_new_version(runner: Runner) -> None:
    source = "class Cell:\n    def who(self): return {}\n"
    exec(source.format(1), globals())
    old_class = globals()["Cell"]
    old = closures.dumps(result_task(lambda _: (Cell(), Cell().who())))  # type: ignore[name-defined]  # noqa: F821 — made by exec
    assert runner.run_binary(old)[1] == 1
    exec(source.format(2), globals())
    new = closures.dumps(result_task(lambda _: (Cell(), Cell().who())))  # type: ignore[name-defined]  # noqa: F821 — made by exec
    assert runner.run_binary(new)[1] == 2
    cell, who = runner.run_binary(old)  # a job of before that is still running
    assert who == 1
    assert type(cell) is globals()["Cell"]
    assert type(cell) is not old_class
    assert runner.run_binary(new)[1] == 2
    assert runner.run(lambda records: [c.who() for c in records], [globals()["Cell"]()]) == [2]


@check
def local_classes_come_back_as_the_drivers_own(runner: Runner) -> None:
    class Local:
        count = 1

        def __init__(self, value: int) -> None:
            self.value = value

    Local.count = 2
    work = closures.dumps(result_task(lambda _: Local(5)))
    Local.count = 3
    result = runner.run_binary(work)
    assert type(result) is Local
    assert Local.count == 3


@check
def a_name_that_does_not_exist_is_an_attribute_error(runner: Runner) -> None:
    assert runner.python("hasattr(sys.modules['__main__'], 'nothing_like_it')") is False
    assert runner.python("hasattr(sys.modules['__main__'], '__file__')") is False
    assert runner.python("sys.modules['__main__'].SCALE") == 10


@check
def a_class_that_cannot_be_pickled_fails_where_it_is_used(runner: Runner) -> None:
    exec("import threading\nclass Locked:\n    lock = threading.Lock()\n", globals())
    locked = globals()["Locked"]
    said = "_thread.lock cannot be pickled"
    for _ in range(2):
        with pytest.raises(PicklingError, match=f"class 'Locked' → .lock: {said}"):
            closures.dumps(result_task(lambda _: locked()))
    with pytest.raises(RuntimeError, match=said):
        runner.run(lambda records: len(records), [locked()])


def main() -> None:
    with Runner() as runner:
        for function in CHECKS:
            outcome = "ok"
            try:
                function(runner)
            except Exception:  # noqa: BLE001  # reported to the test
                outcome = traceback.format_exc()
            sys.stdout.write(json.dumps([function.__name__, outcome]) + "\n")


if __name__ == "__main__":
    main()
