import re
import subprocess
import sys

import pytest

from tools import mutants
from tools.mutants import Outcome, Trial, files_that_test, files_that_use, report, sample
from tools.mutations import mutations_of

(FLIP,) = mutations_of("\n" * 6 + "a < b")[1:]


def test_the_tests_of_a_module_are_those_named_for_it() -> None:
    assert "test_pool.py" in [path.name for path in files_that_test("pool")]
    assert all(path.name.startswith("test_stages") for path in files_that_test("stages"))
    assert "test_stages.py" not in [path.name for path in files_that_test("stage")]


def test_those_who_use_a_module_test_it_too() -> None:
    assert "test_dag.py" in [path.name for path in files_that_use("stages")]
    assert not set(files_that_use("stages")) & set(files_that_test("stages"))


def test_equal_seeds_draw_equal_mutants() -> None:
    drawn = [[(name, m.line, m.after) for name, m in sample(["pool"], 5, seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(sample(["pool"], 0, 1)) > 20


def test_survivors_are_named_and_shares_counted() -> None:
    lines = list(report([Outcome("pool", 3, [FLIP]), Outcome("dag", 4)]))
    assert lines[0] == "survived  pool.py:7: a < b  →  a <= b"
    assert lines[1].split() == ["pool", "3", "of", "4", "killed", "75.0%"]
    assert lines[3].split() == ["together", "7", "of", "8", "killed", "87.5%"]


def test_a_fork_that_never_ends_is_killed_and_counts_as_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "wait", lambda pid, timeout_s: None if pid == 1 else 0)
    trial = Trial(1, 0.0)
    trial.children = [mutants.Child(pid, "pool", FLIP, 0.0) for pid in (1, 2)]
    trial.finish_one()
    trial.finish_one()
    assert (trial.outcomes["pool"].killed, trial.outcomes["pool"].survivors) == (1, [FLIP])


@pytest.mark.cluster
def test_mutants_run_in_forks_and_their_deaths_are_counted() -> None:
    command = [sys.executable, "-m", "tools.mutants", "master_url", "--sample", "4"]
    done = subprocess.run(command, cwd=mutants.ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode in (0, 1), done.stderr
    assert re.search(r"master_url +\d of +4 killed", done.stdout)


def test_a_module_without_tests_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        mutants.main(["effects"])
    assert "no machine with tests of its own: effects" in capsys.readouterr().err
