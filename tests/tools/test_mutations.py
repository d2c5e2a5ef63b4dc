from textwrap import dedent

import pytest

from tools.mutations import mutations_of


def changes(source: str) -> list[tuple[str, str]]:
    return [(mutation.before, mutation.after) for mutation in mutations_of(dedent(source))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", [("a < b", "a <= b")]),
        ("a is b", [("a is b", "a is not b")]),
        ("x = a in b", [("a in b", "a not in b")]),
        ("x = a and b", [("a and b", "a or b")]),
        ("x = not a", [("not a", "a")]),
        ("x = a + b", [("a + b", "a - b")]),
        ("x = 3", [("3", "4"), ("3", "2")]),
        ("x = True", [("True", "False")]),
        ("x.y = a", [("x.y = a", "pass")]),
        ("x += a", [("x += a", "pass")]),
        ("raise error", [("raise error", "pass")]),
        ("if a: x = b", [("a", "not a")]),
    ],
)
def test_one_place_is_changed(source: str, expected: list[tuple[str, str]]) -> None:
    found = changes(source)
    assert [each for each in found if each not in [(source, "pass")] or each in expected] == expected


def test_each_mutation_is_a_whole_module_and_leaves_the_others_alone() -> None:
    first, *_, last = mutations_of("x = 1\ny = a < b\n")
    names: dict[str, int] = {"a": 1, "b": 1}
    for mutation, expected in ((first, (2, False)), (last, (1, True))):
        exec(compile(mutation.changed(), "mutant", "exec"), names)
        assert (names["x"], names["y"]) == expected
    assert (first.line, last.line) == (1, 2)


@pytest.mark.parametrize(
    "source",
    [
        "assert a < b",
        "def check(self): x.y = 1 < 2",
        "def assert_empty(self): x.y = 1",
        "__slots__ = (1, 2)",
        "@dataclass(slots=True)\nclass A: pass",
        "class A(Protocol):\n    def f(self, x=1): ...",
        "def f(x: Literal[1]) -> Literal[2]: return x",
        "'a docstring'",
        "x = f'{a + 1} tasks'",
        "import a",
    ],
)
def test_what_no_test_of_decisions_notices_is_left_alone(source: str) -> None:
    assert changes(source) == []
