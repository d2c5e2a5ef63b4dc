"""tools.parity: marks are read from sources, clauses decide, the recorded minimum holds."""

import pytest

from tools.parity import ROOT as PROJECT
from tools.parity import Mark, collect, marks_of, report

PAGE = """# Parity

Recorded minimum: {minimum} of the C cases are covered.

- AAA-001 [C] one; two
  - one
  - two
- AAA-002 [C] three
- AAA-003 [U] four

## Covered by
old text
"""


def test_a_split_case_is_covered_only_by_all_its_clauses() -> None:
    page = PAGE.format(minimum=0)
    half = [Mark("AAA-001", "one", "test_a.py::test_one")]

    assert report(page, half)[2] == "parity: 0 of 2 [C] cases covered"
    assert report(page, [*half, Mark("AAA-001", "two", "t")])[2] == "parity: 1 of 2 [C] cases covered"


def test_a_mark_without_a_clause_covers_the_whole_case() -> None:
    assert report(PAGE.format(minimum=0), [Mark("AAA-001", "", "t")])[2] == "parity: 1 of 2 [C] cases covered"


def test_cases_that_are_not_core_are_listed_but_not_counted() -> None:
    text, problems, closing = report(PAGE.format(minimum=0), [Mark("AAA-003", "", "test_a.py::test_four")])

    assert not problems
    assert closing == "parity: 0 of 2 [C] cases covered"
    assert "| AAA-003 | all | `test_a.py::test_four` |" in text


def test_an_unknown_case_or_clause_is_a_problem_and_covers_nothing() -> None:
    marks = [Mark("ZZZ-009", "", "t"), Mark("AAA-001", "too", "t")]

    _, problems, closing = report(PAGE.format(minimum=0), marks)

    assert problems == [
        "t: there is no case 'ZZZ-009'",
        "t: AAA-001 has no clause 'too'; the nearest is 'two'",
    ]
    assert closing == "parity: 0 of 2 [C] cases covered"


def test_the_minimum_rises_with_the_count_and_a_lower_count_is_a_problem() -> None:
    marks = [Mark("AAA-002", "", "t")]

    risen, problems, _ = report(PAGE.format(minimum=0), marks)
    assert (problems, "Recorded minimum: 1 of" in risen) == ([], True)

    _, problems, _ = report(risen, [])
    assert problems == ["0 C cases are covered; the recorded minimum is 1"]


def test_a_rewritten_page_is_stable() -> None:
    marks = [Mark("AAA-001", "one", "t")]

    once = report(PAGE.format(minimum=0), marks)[0]

    assert report(once, marks)[0] == once
    assert "old text" not in once


def test_marks_are_found_on_functions_classes_and_modules() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.scenario("AAA-001", "one")]

@pytest.mark.scenario("AAA-002")
@pytest.mark.scenario("AAA-003", clause="x")
def test_a(): ...

@pytest.mark.scenario("AAA-004")
class TestB:
    @pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.scenario("AAA-005"))])
    async def test_c(self, n): ...

def helper(): ...
"""
    found = {(mark.case, mark.clause, mark.test) for mark in marks_of(source, "f.py")}

    assert found == {
        ("AAA-001", "one", "f.py::test_a"),
        ("AAA-002", "", "f.py::test_a"),
        ("AAA-003", "x", "f.py::test_a"),
        ("AAA-001", "one", "f.py::TestB::test_c"),
        ("AAA-004", "", "f.py::TestB::test_c"),
        ("AAA-005", "", "f.py::TestB::test_c"),
    }


def test_a_mark_that_has_a_name_is_found_where_the_name_is_used() -> None:
    source = """
import pytest
pools = pytest.mark.scenario("AAA-001", "one")
CASES = [pytest.param(1, marks=pytest.mark.scenario("AAA-002"))]

@pools
def test_a(): ...

@pytest.mark.parametrize("n", CASES)
def test_b(n): ...

def test_c(): ...
"""
    assert list(marks_of(source, "f.py")) == [
        Mark("AAA-001", "one", "f.py::test_a"),
        Mark("AAA-002", "", "f.py::test_b"),
    ]


def test_a_mark_that_reaches_no_test_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no test gets the scenario marks .*AAA-001"):
        list(marks_of("import pytest\npools = pytest.mark.scenario('AAA-001')\ndef test_a(): ...\n", "f.py"))


def test_a_mark_that_is_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3: a scenario mark takes plain texts"):
        list(marks_of("\nimport pytest\n@pytest.mark.scenario(NAME)\ndef test_a(): ...\n", "f.py"))


def test_all_marks_of_this_project_name_known_cases_and_clauses() -> None:
    page = (PROJECT / "docs" / "parity.md").read_text(encoding="utf-8")

    _, problems, _ = report(page, collect(PROJECT / "tests"))

    assert not [problem for problem in problems if "minimum" not in problem]
