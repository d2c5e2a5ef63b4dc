import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark.executor import task_files
from minispark.executor.task_files import require_files
from minispark.ids import BinaryId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.distribution import FILES_VERSION
from minispark.messages.runner import FilesReady, NeedFiles, RunnerReply, RunnerRequest
from minispark.messages.task import TaskDescription
from minispark.rdd.spark_files import SparkFiles, set_root


def needing(version: int) -> TaskDescription:
    return TaskDescription(
        TaskId(0), 0, ExecutorId(""), JobId(0), StageId(0), 0, 0, 0, BinaryId(0), 0, 1, (),
        {FILES_VERSION: str(version)}, b"",
    )  # fmt: skip


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunnerRequest]]:
    monkeypatch.setattr(task_files, "in_place", [0])
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield []
    set_root(None)


def test_the_files_of_a_version_are_asked_for_once(tmp_path: Path, asked: list[RunnerRequest]) -> None:
    (tmp_path / "name").touch()

    def answer(request: RunnerRequest) -> RunnerReply:
        asked.append(request)
        return FilesReady(5, str(tmp_path), (str(tmp_path / "modules"),))

    require_files(needing(3), answer)
    require_files(needing(3), answer)
    require_files(needing(5), answer)

    assert asked == [NeedFiles(3)]
    assert SparkFiles.get("name") == str(tmp_path / "name")
    assert str(tmp_path / "modules") in sys.path
    require_files(needing(6), answer)
    assert asked[1:] == [NeedFiles(6)]
