"""`python -m benchmarks`: every benchmark runs, in its quick form, and prints what is promised."""

import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import NAMES
from tools.parity import ROOT

KEYS = {"benchmark", "value", "unit", "better", "limit", "ratio", "details"}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.cluster
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_one_json_line_and_nothing_else(name: str) -> None:
    ended = run(name, "--json", "--quick")

    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    result = json.loads(line)
    assert result.keys() >= KEYS
    assert result["benchmark"] == name
    assert result["value"] > 0
    assert {"ratio_spread", "ratio_tuned", "cpu_ratio", "commit"} <= result["details"].keys()


@pytest.mark.cluster
@pytest.mark.parametrize("arguments", [(), ("--uvloop",)])
def test_the_loop_can_be_chosen_and_is_told(arguments: tuple[str, ...]) -> None:
    ended = run("tasks", "--json", "--quick", *arguments)

    assert json.loads(ended.stdout)["details"]["loop"] == ("uvloop" if arguments else "asyncio")


@pytest.mark.cluster
def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    ended = run("wordcuont")

    assert ended.returncode == 2
    assert "there is no benchmark 'wordcuont'; there are startup, job_latency" in ended.stderr
