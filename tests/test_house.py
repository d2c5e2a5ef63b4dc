"""The rules of the house that no linter knows: sizes, the mirror of modules and tests, façades, reasons."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minispark"
TESTS = ROOT / "tests"
MAX_LINES = 500

# Modules without a test file of their own. Messages have none either: they are values, checked by the golden bytes.
NO_TEST_OF_THEIR_OWN = {
    "clock.py": "a protocol",
    "errors.py": "a tree of exceptions; each is tested where it is raised",
    "ids.py": "names of integers",
    "deploy/logic/effects.py": "values that the machine in membership.py returns",
    "rdd/dependency.py": "values; tested where stages are cut",
    "rdd/ports.py": "protocols",
    "rpc/endpoint.py": "the contract; tested through env.py and dispatcher.py, which call it",
    "executor/runners.py": "protocols; tested through each pool",
    "executor/backend_process.py": "an executor process; tested by outcome in cluster/test_executor_processes.py",
    "executor/runner_main.py": "the loop of a runner process; tested by outcome through process_pool.py",
    "rdd/rdd.py": "brings the classes of methods together; each is tested by its subject",
    "rpc/ref.py": "a protocol",
    "scheduler/backend.py": "a protocol",
    "storage/logic/block_effects.py": "values that the machine in node_blocks.py returns",
    "scheduler/logic/effects.py": "values that the machine in dag.py returns",
    "scheduler/logic/job.py": "values that the machine in dag.py keeps",
    "testing/builders.py": "fills in what tests leave out; wrong values fail those tests",
}
# Folders of tests that mirror something else, or that test several rooms together.
OTHER_TESTS = ("cluster", "sim", "docs", "examples", "benchmarks", "tools", "test_house.py")
ASSERTING = {"raises", "warns", "fail", "check"}  # of pytest; `check` is what machines call their invariants
ASSERTING_NAMES = ("assert_", "expect_")
PROJECT_FILES = ("*.py", "*.md", "*.toml", "*.yml", "*.yaml", "*.sh", "Makefile", ".ci/*", ".gitignore")


def sources(*folders: str) -> list[Path]:
    """Return the Python files under folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def project_files() -> Iterator[tuple[Path, str]]:
    """Yield the text files that belong to the project; folders that hold thousands of others are not entered."""
    hidden = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", "__pycache__"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - hidden)
        for path in (Path(folder, name) for name in sorted(names)):
            if any(path.relative_to(ROOT).match(pattern) for pattern in PROJECT_FILES):
                yield path, path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_the_wall() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources("minispark", "tests")}

    assert not {name: lines for name, lines in lengths.items() if lines > MAX_LINES}


def test_every_module_has_its_test_file() -> None:
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    modules = {name for name in modules if not name.startswith("messages/")} - NO_TEST_OF_THEIR_OWN.keys()

    missing = sorted(name for name in modules if not mirror_of(name).exists())

    assert not missing, f"a test file, or a reason in NO_TEST_OF_THEIR_OWN, is needed for {', '.join(missing)}"


def test_every_exception_from_the_mirror_is_still_needed() -> None:
    assert not {name for name in NO_TEST_OF_THEIR_OWN if mirror_of(name).exists()}


def test_every_test_file_is_named_for_a_module() -> None:
    stray = []
    for path in TESTS.rglob("test_*.py"):
        place = path.relative_to(TESTS)
        module = PACKAGE / place.with_name(place.name.removeprefix("test_"))
        # test_pair_joins.py is a second file about pair.py: one subject of it.
        candidates = [module.with_suffix(""), *part_names(module.with_suffix(""))]
        if place.parts[0] not in OTHER_TESTS and not any(c.with_suffix(".py").exists() for c in candidates):
            stray.append(place.as_posix())

    assert not stray


def test_every_exception_for_other_tests_is_still_needed() -> None:
    assert not {name for name in OTHER_TESTS if not (TESTS / name).exists()}


def test_every_test_asserts_something() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno}: {node.name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not asserts(node)
    ]

    assert not silent, "assert, or call a helper whose name begins with assert_ or expect_: " + ", ".join(silent)


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in TESTS.rglob("test_*.py")}

    assert not {name_of(folder) for folder in folders if not (folder / "__init__.py").exists()}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=name_of)
def test_an_init_holds_names_only(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.FunctionDef(name="__getattr__"):
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper() or name.startswith("_"):
                pass
            case _:
                pytest.fail(f"{name_of(path)}:{node.lineno}: an __init__ holds names only")


def test_every_module_says_what_it_is() -> None:
    modules = sources("minispark", "benchmarks", "examples", "tools")

    silent = [name_of(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]

    assert not silent


def test_every_receive_answers_or_refuses_all_messages() -> None:
    """One that passes a message over lets its asker wait until the timeout."""
    silent = [
        f"{name_of(path)}:{match.lineno}"
        for path in sources("minispark")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.name == "receive"
        for match in function.body
        if isinstance(match, ast.Match) and ast.unparse(match.cases[-1].pattern) != "_"
    ]
    assert silent == []


def test_every_exception_from_the_checks_names_its_rule_and_reason() -> None:
    bare = []
    for path in sources("minispark", "tests", "benchmarks", "examples", "tools"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            _, _, comment = line.partition("# " + "noqa")
            if comment and not re.match(r": [A-Z]+\d+(, ?[A-Z]+\d+)* *[^\s\w].{3,}", comment):
                bare.append(f"{name_of(path)}:{number}: noqa needs its rule and a reason: {comment}")
            _, _, comment = line.partition("# type" + ": ignore")
            if comment and not re.match(r"\[[a-z-]+(, ?[a-z-]+)*\]", comment):
                bare.append(f"{name_of(path)}:{number}: an ignored type error needs its code")

    assert not bare


def test_every_rule_switched_off_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    tables = re.findall(
        r"^(?:ignore = \[\n(.*?)^\]|\[tool\.ruff\.lint\.per-file-ignores\]\n(.*?)\n\n)", text, re.M | re.S
    )
    entries = [line for pair in tables for block in pair for line in block.splitlines() if line.strip()]

    assert entries
    assert not [line for line in entries if not re.search(r"#\s+\S+", line)]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    personal = re.compile(rf"{re.escape(str(ROOT))}/|/root/|/home/(?!user\b|me\b)\w+/|index[-_]url|pip\.conf", re.I)

    found = [
        f"{name_of(path)}: {match[0]}"
        for path, text in project_files()
        if path != Path(__file__).resolve() and (match := personal.search(text))
    ]

    assert not found


def test_every_decision_has_its_number_and_three_parts() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]

    assert all(after > before for before, after in pairwise(numbers))
    for page in pages:
        headings = re.findall(r"^\*\*(\w+)\.\*\*", page.read_text(), re.M)
        assert headings == ["Context", "Decision", "Consequences"], page.name


def test_nothing_that_was_made_by_running_is_kept() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout

    assert not re.findall(r"^.*(?:__pycache__|\.pyc|\.egg-info|\.log)\b.*$", tracked, re.M)


def asserts(test: ast.FunctionDef) -> bool:
    """Tell whether a test asserts anything, itself or by a helper that says so by its name."""
    for node in ast.walk(test):
        match node:
            case ast.Assert():
                return True
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                if name in ASSERTING or name.startswith(ASSERTING_NAMES):
                    return True
    return False


def mirror_of(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


def part_names(module: Path) -> Iterator[Path]:
    """Yield the names that a module's name begins with: pair_joins → pair."""
    words = module.name.split("_")
    for count in range(len(words) - 1, 0, -1):
        if name := "_".join(words[:count]):  # empty of __main__
            yield module.with_name(name)
