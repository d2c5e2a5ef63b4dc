"""Mutation tests of the scheduler's machines: change one thing in a module, and see whether its tests notice.

`python -m tools.mutants` (and `make mutants`) tries a sample of all mutations of `minispark/scheduler/logic`, drawn
with a seed, within a time; `python -m tools.mutants pool lineage --all` tries all of two modules. It prints who
survived, and exits with 1 if fewer than four in five were killed. A mutant runs in a fork of this process, which has
loaded pytest and everything that the machines stand on, but not the machines.
"""

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType

from tools.mutations import Mutation, mutations_of

__all__ = ["Outcome", "files_that_test", "main"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "minispark.scheduler.logic"
LOGIC = ROOT / "minispark" / "scheduler" / "logic"
TESTS = ROOT / "tests" / "scheduler" / "logic"
FLOOR = 0.8
WARM = (
    "pytest", "hypothesis", "_pytest.assertion.rewrite", "minispark.rpc.logic.codec", "minispark.messages.scheduler",
    "minispark.messages.listener", "minispark.conf", "minispark.shuffle.logic.map_outputs",
    "minispark.testing.builders",
)  # fmt: skip


class MutantLoader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed tree."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name = name
        self.code = code

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Say that this module is loaded here."""
        return importlib.machinery.ModuleSpec(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed module."""
        exec(self.code, module.__dict__)


@dataclass
class Outcome:
    """What became of a module's mutants.

    Attributes:
        module: its name.
        killed: how many were noticed.
        survivors: those that were not.
    """

    module: str
    killed: int = 0
    survivors: list[Mutation] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many were tried."""
        return self.killed + len(self.survivors)

    @property
    def score(self) -> float:
        """The share that was killed; 1 if none was tried."""
        return self.killed / self.tried if self.tried else 1.0


@dataclass
class Child:
    """A fork that runs a mutant's tests."""

    pid: int
    module: str
    mutation: Mutation
    deadline_s: float


def files_that_test(module: str) -> list[Path]:
    """Return the test files of a module: test_NAME.py and its further subjects, test_NAME_SUBJECT.py."""
    modules = {path.stem for path in LOGIC.glob("*.py")}
    found = []
    for path in sorted(TESTS.glob("test_*.py")):
        words = path.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        if next((name for name in names if name in modules), None) == module:
            found.append(path)
    return found


def files_that_use(module: str) -> list[Path]:
    """Return the test files of the machines that import a module: what it decides shows in theirs, too."""
    found: dict[Path, None] = {}
    for path in sorted(LOGIC.glob("*.py")):
        if path.stem != module and f"{PACKAGE}.{module} import" in path.read_text(encoding="utf-8"):
            found.update(dict.fromkeys(files_that_test(path.stem)))
    return [path for path in found if path not in files_that_test(module)]


def run_tests(module: str, tree: ast.Module | None) -> int:
    """Run a module's tests, and then those of the machines that use it, over a changed module, in this fork.

    Returns:
        pytest's exit code: 0 if nothing was noticed.
    """
    if tree is not None:
        name = f"{PACKAGE}.{module}"
        code = compile(tree, str(LOGIC / f"{module}.py"), "exec", dont_inherit=True)
        sys.meta_path.insert(0, MutantLoader(name, code))
    pytest = importlib.import_module("pytest")
    # That hypothesis is loaded already is warned of, and no error here.
    options = "-x -q --no-header --tb=no -p no:cacheprovider -p no:xdist -o filterwarnings="
    for files in (files_that_test(module), files_that_use(module)):
        exit_code = int(pytest.main([*options.split(), *map(str, files)])) if files else 0
        if exit_code:
            return exit_code
    return 0


def fork(module: str, tree: ast.Module | None) -> int:
    """Start a fork that runs a module's tests and exits with pytest's code; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        os._exit(run_tests(module, tree))
    finally:
        os._exit(99)


def wait(pid: int, timeout_s: float) -> int | None:
    """Wait for a fork's exit code (negative: a signal); None if it takes longer, then it is killed."""
    watch = os.pidfd_open(pid)
    try:
        if not select.select([watch], [], [], timeout_s)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(watch)


class Trial:
    """Runs mutants, as many at a time as there are processors.

    Args:
        jobs: how many at a time.
        deadline_s: when no more is begun, on the monotonic clock.
    """

    def __init__(self, jobs: int, deadline_s: float) -> None:
        self.jobs = jobs
        self.deadline_s = deadline_s
        self.outcomes: dict[str, Outcome] = {}
        self.children: list[Child] = []

    def baseline(self, module: str) -> float:
        """Run a module's tests unchanged; return how long they took.

        Raises:
            SystemExit: they fail as they are.
        """
        start = time.monotonic()
        if wait(fork(module, None), 300.0) != 0:
            raise SystemExit(f"the tests of {module} fail without any mutation")
        return time.monotonic() - start

    def run(self, work: Sequence[tuple[str, Mutation]], usual_s: dict[str, float]) -> None:
        """Try mutants until all were or the time is up."""
        for module, mutation in work:
            if time.monotonic() > self.deadline_s:
                break
            if len(self.children) >= self.jobs:
                self.finish_one()
            allowed_s = 5.0 + 5.0 * usual_s[module]
            pid = fork(module, mutation.changed())
            self.children.append(Child(pid, module, mutation, time.monotonic() + allowed_s))
        while self.children:
            self.finish_one()

    def finish_one(self) -> None:
        """Wait for the oldest fork, and note what became of its mutant: killed, too, if it never ends."""
        child = self.children.pop(0)
        code = wait(child.pid, max(child.deadline_s - time.monotonic(), 0.1))
        outcome = self.outcomes.setdefault(child.module, Outcome(child.module))
        if code == 0:
            outcome.survivors.append(child.mutation)
        else:
            outcome.killed += 1


def modules_with_tests() -> list[str]:
    """Return the machines that have tests of their own."""
    return [
        path.stem for path in sorted(LOGIC.glob("*.py")) if path.stem != "__init__" and files_that_test(path.stem)
    ]


def sample(modules: Sequence[str], count: int, seed: int) -> list[tuple[str, Mutation]]:
    """Draw so many mutations of all modules' together (0: all), in an order drawn by lot."""
    everything = [
        (module, mutation)
        for module in modules
        for mutation in mutations_of((LOGIC / f"{module}.py").read_text(encoding="utf-8"))
    ]
    random.Random(seed).shuffle(everything)
    return everything[:count] if count else everything


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of the result."""
    for outcome in outcomes:
        for mutation in sorted(outcome.survivors, key=lambda each: each.line):
            yield f"survived  {outcome.module}.py:{mutation.line}: {mutation.before}  →  {mutation.after}"
    for outcome in outcomes:
        yield f"{outcome.module:16} {outcome.killed:4} of {outcome.tried:4} killed  {outcome.score:6.1%}"
    killed, tried = sum(outcome.killed for outcome in outcomes), sum(outcome.tried for outcome in outcomes)
    yield f"{'together':16} {killed:4} of {tried:4} killed  {killed / max(tried, 1):6.1%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants and print what became of them; return 1 if too many survived."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="machines of minispark/scheduler/logic; default: all with tests")
    parser.add_argument("--sample", type=int, default=400, help="how many mutations to draw")
    parser.add_argument("--all", action="store_true", help="try all of them")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds after which none is begun")
    options = parser.parse_args(arguments)
    modules = options.modules or modules_with_tests()
    strangers = [module for module in modules if not files_that_test(module)]
    if strangers:
        parser.error(f"no machine with tests of its own: {', '.join(strangers)}")
    os.environ["MINISPARK_FROZEN_RECORDS"] = "1"
    os.chdir(ROOT)
    for name in WARM:
        importlib.import_module(name)
    trial = Trial(len(os.sched_getaffinity(0)), time.monotonic() + options.budget)
    usual_s = {module: trial.baseline(module) for module in modules}
    trial.run(sample(modules, 0 if options.all else options.sample, options.seed), usual_s)
    outcomes = [trial.outcomes[module] for module in modules if module in trial.outcomes]
    sys.stdout.write("".join(f"{line}\n" for line in report(outcomes)))
    killed, tried = sum(outcome.killed for outcome in outcomes), sum(outcome.tried for outcome in outcomes)
    return 1 if killed < FLOOR * tried else 0


if __name__ == "__main__":
    sys.exit(main())
