"""The README's example runs as written and prints what the README says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
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


@pytest.mark.cluster
def test_the_four_commands_make_a_cluster(tmp_path: Path) -> None:
    """They run as written but for the port, which may be taken here; status is told of it by the environment."""
    lines = [line.removeprefix("$ ") for line in block("console").splitlines()]
    port = free_port()
    master, worker, submit, status = (line.replace("7077", str(port)) for line in lines)
    bin_directory = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": bin_directory}
    environment["MINISPARK_MASTER"] = f"minispark://localhost:{port}"
    environment.pop("MINISPARK_SECRET", None)
    daemons = []
    try:
        for line in (f"{master} --port {port}", worker):
            argv = shlex.split(line)
            daemons.append(subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
            assert daemons[-1].stderr is not None
            assert any("is ready" in said for said in daemons[-1].stderr)
        ran, shown = (
            subprocess.run(
                shlex.split(line), cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100
            )
            for line in (submit, status)
        )
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.communicate(timeout=30)

    assert (ran.returncode, shown.returncode) == (0, 0), ran.stderr + shown.stderr
    assert re.search(r"WORKERS \(1\)", shown.stdout)
    assert re.search(r"word count +FINISHED", shown.stdout)
    assert [daemon.returncode for daemon in daemons] == [0, 0]


def test_every_command_that_is_named_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()

    commands = set(re.findall(r"\bmake (demo|test|quick|check|fix|parity|docs|bench|setup|soak)\b", pages))

    assert not {name for name in commands if not re.search(rf"^{name}:", makefile, re.M)}
