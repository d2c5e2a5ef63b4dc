"""`minispark master`: what is refused before it starts; how it runs is tested with whole clusters."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from minispark.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["--host", "10.1.2.3"], "10.1.2.3 without a secret would let anybody in"),
     (["--host", "0.0.0.0"], "0.0.0.0 without a secret would let anybody in"),
     (["--conf", "minispark.worker.timeout=soon"], "a duration"),
     (["--conf", "minispark.authenticate.secretFile=/nowhere/secret"], "cannot read /nowhere/secret")],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINISPARK_SECRET", raising=False)

    result = CliRunner().invoke(main, ["master", *arguments])

    assert result.exit_code == 2
    assert problem in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert CliRunner().invoke(main, ["master", "--port", port]).exit_code == 2
