"""Collects `@pytest.mark.scenario(case[, clause])` from the tests and counts the cases of docs/parity.md they cover.

Run by `make parity` (rewrites the generated section and the recorded minimum) and, with `--check`, by `make test`
(changes nothing). Both fail for a mark that names no case or clause and for a count below the recorded minimum. Tests
are parsed, never imported.
"""

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

__all__ = ["Case", "Mark", "Page", "collect", "main", "marks_of", "report"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "parity.md"
TESTS = ROOT / "tests"

GENERATED = "## Covered by\n"
NOTICE = "<!-- written by `make parity`; edits below this line are lost -->\n"
CASE = re.compile(r"^- (?P<id>[A-Z]+-\d{3}) \[(?P<flag>[CUOJ])\] (?P<line>.+)$")
CLAUSE = re.compile(r"^  - (?P<clause>.+)$")
MINIMUM = re.compile(r"^Recorded minimum: (\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """One mark of one test; an empty clause stands for the whole case."""

    case: str
    clause: str
    test: str


@dataclass
class Case:
    """One line of the page, with its clauses if it was split."""

    id: str
    flag: str
    line: str
    clauses: list[str] = field(default_factory=list)

    def tests_by_clause(self, marks: Iterable[Mark]) -> dict[str, list[str]]:
        """Return the tests of each clause ("" for a case that is not split), sorted."""
        tests: dict[str, set[str]] = {clause: set() for clause in self.clauses or [""]}
        for mark in marks:
            whole = mark.clause in ("", self.line)
            for clause in tests if whole else tests.keys() & {mark.clause}:
                tests[clause].add(mark.test)
        return {clause: sorted(found) for clause, found in tests.items()}


class Page:
    """docs/parity.md: its text, its cases and its recorded minimum."""

    def __init__(self, text: str) -> None:
        self.written = text.partition(GENERATED)[0].rstrip() + "\n"
        self.cases: dict[str, Case] = {}
        case: Case | None = None
        for line in self.written.splitlines():
            if match := CASE.match(line):
                case = Case(match["id"], match["flag"], match["line"])
                if case.id in self.cases:
                    raise ValueError(f"{case.id} is there twice")
                self.cases[case.id] = case
            elif case is not None and (match := CLAUSE.match(line)):
                case.clauses.append(match["clause"])
            else:
                case = None
        found = MINIMUM.search(self.written)
        if found is None:
            raise ValueError("the page has no line 'Recorded minimum: N …'")
        self.minimum = int(found[1])

    def problems(self, marks: Iterable[Mark]) -> list[str]:
        """Return a sentence for each mark that names no case or no clause of its case."""
        found = []
        for mark in marks:
            case = self.cases.get(mark.case)
            if case is None:
                found.append(f"{mark.test}: there is no case {mark.case!r}")
            elif mark.clause and mark.clause not in (case.clauses or [case.line]):
                nearest = get_close_matches(mark.clause, case.clauses or [case.line], n=1, cutoff=0.0)[0]
                found.append(f"{mark.test}: {mark.case} has no clause {mark.clause!r}; the nearest is {nearest!r}")
        return found

    def render(self, marks: Iterable[Mark]) -> tuple[str, int]:
        """Return the whole page with its generated section, and the number of covered C cases."""
        by_case: defaultdict[str, list[Mark]] = defaultdict(list)
        for mark in marks:
            by_case[mark.case].append(mark)
        covered, rows = set(), []
        for case in self.cases.values():
            tests = case.tests_by_clause(by_case[case.id])
            if all(tests.values()):
                covered.add(case.id)
            if any(tests.values()):
                rows += [row(case, clause, names) for clause, names in tests.items()]
        core = [case for case in self.cases.values() if case.flag == "C"]
        count = sum(case.id in covered for case in core)
        text = MINIMUM.sub(f"Recorded minimum: {max(self.minimum, count)} ", self.written)
        table = ["| case | clause | tests |", "|---|---|---|", *rows] if rows else []
        parts = [GENERATED, NOTICE, "\n".join(groups(core, covered)), *(["\n".join(table)] if table else [])]
        return text + "\n" + "\n".join(part if part.endswith("\n") else part + "\n" for part in parts), count


def row(case: Case, clause: str, tests: list[str]) -> str:
    """Return one row of the table of tests; names are given from the folder of tests on."""
    names = "<br>".join(f"`{name}`" for name in tests) or "–"
    return f"| {case.id} | {(clause or 'all').replace('|', chr(92) + '|')} | {names} |"


def groups(core: list[Case], covered: set[str]) -> list[str]:
    """Return the table of counts by the case's first letters."""
    total = Counter(case.id.partition("-")[0] for case in core)
    done = Counter(case.id.partition("-")[0] for case in core if case.id in covered)
    return ["| group | C cases | covered |", "|---|---|---|", *(f"| {g} | {total[g]} | {done[g]} |" for g in total)]


def scenario_calls(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (case, clause) of every `….mark.scenario(…)` inside an expression."""
    for call in ast.walk(node):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="scenario"), args=arguments):
                values = [*arguments, *(keyword.value for keyword in call.keywords)]
                case_and_clause = [value.value for value in values if isinstance(value, ast.Constant)]
                if len(case_and_clause) != len(values) or not values:
                    raise ValueError(f"line {call.lineno}: a scenario mark takes plain texts: case[, clause]")
                yield str(case_and_clause[0]), str(case_and_clause[1] or "") if len(values) > 1 else ""


def marks_of(source: str, name: str) -> Iterator[Mark]:
    """Yield the marks of one test file: of functions, of classes and of the module (`pytestmark`).

    A mark may have a name at the top of the module, `pools = pytest.mark.scenario(…)`, and be used by that name.

    Raises:
        ValueError: a mark is not of plain texts, or reaches no test.
    """
    tree = ast.parse(source)
    aliases = aliases_of(tree)

    def calls_of(node: ast.AST) -> Iterator[tuple[str, str]]:
        yield from scenario_calls(node)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                yield from aliases.get(part.id, ())

    def visit(body: list[ast.stmt], prefix: str, inherited: list[tuple[str, str]]) -> Iterator[Mark]:
        own = [call for node in body if is_pytestmark(node) for call in calls_of(node)]
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            calls = [*inherited, *own, *(c for decorator in node.decorator_list for c in calls_of(decorator))]
            if isinstance(node, ast.ClassDef):
                yield from visit(node.body, f"{prefix}::{node.name}", calls)
            elif node.name.startswith("test"):
                yield from (Mark(case, clause, f"{prefix}::{node.name}") for case, clause in calls)

    marks = list(visit(tree.body, name, []))
    if lost := set(scenario_calls(tree)) - {(mark.case, mark.clause) for mark in marks}:
        raise ValueError(f"{name}: no test gets the scenario marks {sorted(lost)}: write them out as decorators")
    yield from marks


def aliases_of(tree: ast.Module) -> dict[str, list[tuple[str, str]]]:
    """Return the (case, clause) pairs behind each name that the module gives to marks."""
    aliases: dict[str, list[tuple[str, str]]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and not is_pytestmark(node) and (calls := list(scenario_calls(node.value))):
            aliases.update((target.id, calls) for target in node.targets if isinstance(target, ast.Name))
    return aliases


def is_pytestmark(node: ast.stmt) -> bool:
    """Tell whether a statement is `pytestmark = …`."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def collect(folder: Path) -> list[Mark]:
    """Return the marks of all test files under a folder, in the order of their paths."""
    marks: list[Mark] = []
    for path in sorted(folder.rglob("test_*.py")):
        marks += marks_of(path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix())
    return marks


def report(page_text: str, marks: list[Mark]) -> tuple[str, list[str], str]:
    """Return the page as it should be, what is wrong (stale pages excepted), and the closing line."""
    page = Page(page_text)
    problems = page.problems(marks)
    text, count = page.render(marks)
    if count < page.minimum:
        problems.append(f"{count} C cases are covered; the recorded minimum is {page.minimum}")
    total = sum(case.flag == "C" for case in page.cases.values())
    return text, problems, f"parity: {count} of {total} [C] cases covered"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the page; the exit code is 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.parity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is not up to date")
    check: bool = parser.parse_args(arguments).check
    before = PAGE.read_text(encoding="utf-8")
    text, problems, closing = report(before, collect(TESTS))
    if check and text != before:
        problems.append("docs/parity.md is not up to date: run `make parity` and commit it")
    if not check and not problems:
        PAGE.write_text(text, encoding="utf-8")
    print(*problems, closing, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
