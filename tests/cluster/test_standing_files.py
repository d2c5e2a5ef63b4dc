"""A program whose file server stands still ends all the same: its threads are in calls that nothing can stop."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, logging, sys

from minispark import SparkConf, SparkContext
from tests.stub_files import stub_files

logging.basicConfig(level=logging.WARNING, format="%(message)s")

async def main(server):
    conf = SparkConf({"minispark.executor.stopDeadline": "500ms"})
    async with SparkContext("local[1]", conf=conf) as sc:
        assert await sc.range(10).sum() == 45
        server.stands = True
        waiting = [
            asyncio.create_task(sc.text_file("stub://bob:secret@host/in").collect()),
            asyncio.create_task(sc.range(3).save_as_text_file("stub://bob:secret@host/out")),
        ]
        for _ in waiting:
            await asyncio.to_thread(server.standing.acquire)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    print([type(result).__name__ for result in results])

with stub_files() as server:
    asyncio.run(main(server))
    sys.stdout.flush()
"""


@pytest.mark.cluster
def test_a_program_ends_although_its_file_server_stands(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    ended = subprocess.run(
        [sys.executable, str(program)],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "not answered for" in ended.stderr
    assert "left at stub://bob:…@host/out could not be removed within 0.5 s" in ended.stderr
    assert (ended.returncode, ended.stdout) == (0, "['JobCancelled', 'JobCancelled']\n"), ended.stderr
