"""`minispark worker`: what is refused before it starts; how it runs is tested with whole clusters."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from minispark.cli.exits import Exit
from minispark.cli.main import main
from minispark.cli.worker import RunningWorker, memory_of, options_of
from minispark.conf import SparkConf
from minispark.rpc.logic.address import RpcAddress


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["http://x"], "is not the address of a master"), (["a:1", "--memory", "much"], "--memory much is not a size"),
     (["a:1", "--memory", "0"], "--memory 0 is not a size"),
     (["a:1", "--host", "10.1.2.3"], "10.1.2.3 without a secret would let anybody in"),
     (["a:1", "--conf", "minispark.ssl.keyFile=/k"], "certificateFile is needed too")],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINISPARK_SECRET", raising=False)

    result = CliRunner().invoke(main, ["worker", *arguments])

    assert result.exit_code == 2
    assert problem in result.output
    assert len(result.output.splitlines()) == 1


def test_options_are_what_the_worker_offers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = options_of(SparkConf(environment={}), "a,b:1", "0.0.0.0", 5, "gamma", 3, "2g", None)

    assert options.masters == (RpcAddress("a", 7077), RpcAddress("b", 1))
    assert (options.host, options.port, options.advertised_host) == ("0.0.0.0", 5, "gamma")
    assert (options.cores, options.memory_bytes) == (3, 2 << 30)
    assert isinstance(options.directory, Path)
    assert options.directory.is_relative_to(tmp_path / ".minispark" / "work")


def test_memory_that_is_not_said_is_left_to_the_worker() -> None:
    assert memory_of(None) == 0


@pytest.mark.parametrize(
    ("reason", "code"),
    [("", Exit.DONE), ("no master answers; tried a:1", Exit.NO_MASTER), ("the disk is gone", Exit.FAILED)],
)
def test_the_end_of_a_worker_has_a_code_that_means_something(reason: str, code: Exit) -> None:
    class Process:
        title = "worker"

        async def ended(self) -> str:
            return reason

    process: Any = Process()

    assert asyncio.run(RunningWorker(process).ended()).code is code
