"""`minispark run`: several processes of one command on loopback; a program that knows nothing of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from minispark.cli.main import main

PROGRAM = """
import asyncio, sys
from minispark import SparkContext

async def main():
    async with SparkContext() as sc:
        print(sc.app_name, sys.argv[1:], await sc.parallelize(range(100), 4).map(lambda n: n * n).sum(), flush=True)

asyncio.run(main())
sys.exit(7)
"""


def start(tmp_path: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    (tmp_path / "app.py").write_text(PROGRAM)
    clean = {name: value for name, value in os.environ.items() if name != "MINISPARK_SECRET"}
    return subprocess.Popen(
        [sys.executable, "-m", "minispark", "run", "--host", "127.0.0.1", "--cores", "1", "--memory", "1536m",
         *arguments, "--", str(tmp_path / "app.py"), "x", "--help"],
        env={**clean, "HOME": str(tmp_path), **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.cluster
def test_all_nodes_end_with_the_programs_exit_code(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0"}
    nodes = [start(tmp_path, "--nnodes", "2", "--timeout", "30", SLURM_PROCID=str(rank), **job) for rank in range(2)]

    said = [node.communicate(timeout=60) for node in nodes]

    assert [node.returncode for node in nodes] == [7, 7], said
    assert said[0][0] == "app.py ['x', '--help'] 328350\n"
    assert said[1][0] == ""
    assert not (tmp_path / ".minispark" / "run" / "job-17-0").exists()


@pytest.mark.cluster
def test_a_node_that_waits_alone_gives_up_in_one_line(tmp_path: Path) -> None:
    node = start(tmp_path, "--nnodes", "2", "--rank", "1", "--rendezvous", str(tmp_path / "meet"), "--timeout", "1")

    _, log = node.communicate(timeout=60)

    assert node.returncode == 4
    assert log == f"minispark run: rank 0 did not come within 1 s: nothing in {tmp_path}/meet\n"


def test_without_a_launcher_the_place_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"):
        monkeypatch.delenv(name, raising=False)

    result = CliRunner().invoke(main, ["run", "--nnodes", "2", "--", __file__])

    assert result.exit_code == 2
    assert "where do the nodes meet? --rendezvous DIR" in result.output


def test_a_rank_beyond_the_nodes_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["run", "--nnodes", "2", "--rank", "2", "--rendezvous", str(tmp_path / "meet"), "--", __file__]
    )

    assert result.exit_code == 2
    assert "rank 2 is none of --nnodes 2" in result.output
