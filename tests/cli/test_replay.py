import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minispark.cli.main import main
from minispark.scheduler.logic.dag import DagState
from tests.scheduler.journals import write_journal


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def test_each_message_is_printed_with_what_was_decided(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    result = replay(tmp_path / "j")
    assert result.exit_code == 0
    assert "DAGScheduler: JobSubmitted(job_id=0" in result.output
    assert re.search(r"\n    launch 0 on exec-\d: task 0.0 in stage 0.0, partition 0\n", result.output)
    assert result.output.endswith("decisions: all as recorded\n")


def test_a_part_can_be_printed(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    lines = replay(tmp_path / "j", "--from", 8, "--until", 9).output.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("#")] == ["#8", "#9"]
    assert lines[-1].startswith("10 messages")
    assert len(replay(tmp_path / "j", "--quiet").output.splitlines()) == 1


def test_a_different_decision_is_told_by_text_and_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(tmp_path / "j")
    monkeypatch.setattr(DagState, "submit_job", lambda state, submitted: None)
    result = replay(tmp_path / "j")
    assert result.exit_code == 1
    assert "DIFFERENT: 1 decisions were recorded" in result.output
    assert "of them were decided on DIFFERENTLY than recorded" in result.output


def test_a_file_that_is_no_journal_is_told_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("hello")
    for path, complaint in ((tmp_path / "j", "not a scheduler's journal"), (tmp_path / "x", "No such file")):
        result = replay(path)
        assert result.exit_code == 2
        assert complaint in result.stderr
        assert not result.stdout
