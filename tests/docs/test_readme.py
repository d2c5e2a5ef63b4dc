"""The README's example runs as written and prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.parity import ROOT


def block(language: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return str(found)


@pytest.mark.cluster
def test_the_example_runs_as_written(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(block("python"), encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", block("text"))


def test_every_command_that_is_named_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()

    commands = set(re.findall(r"\bmake (demo|test|quick|check|fix|parity|docs|bench|setup|soak)\b", pages))

    assert not {name for name in commands if not re.search(rf"^{name}:", makefile, re.M)}
