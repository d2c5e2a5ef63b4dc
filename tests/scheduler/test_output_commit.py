"""The rest of the cases of OutputCommitCoordinatorSuite; most are in tests/scheduler/logic/test_commits.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark import SparkContext, driver
from minispark.ids import StageId
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.rdd.ports import TaskContext
from minispark.scheduler.logic.commits import OutputCommits
from minispark.scheduler.output_commit import OutputCommitCoordinator
from minispark.testing.fakes import RecordingContext
from tests.contexts import run_inline

SUITE = pytest.mark.scenario("HIS-006", "OutputCommitCoordinator")


def ask(endpoint: OutputCommitCoordinator, attempt: int) -> list[object]:
    context = RecordingContext()
    endpoint.receive(AskPermissionToCommit(StageId(1), 0, 0, attempt), context)
    return list(context.replies)


def test_each_question_is_answered_from_the_table() -> None:
    commits = OutputCommits()
    endpoint = OutputCommitCoordinator(commits)
    assert ask(endpoint, 0) == [PermissionToCommit(False)]
    commits.attempt_started(StageId(1), 0, 1)
    assert ask(endpoint, 0) == [PermissionToCommit(True)]
    assert ask(endpoint, 1) == [PermissionToCommit(False)]


@SUITE
def test_a_task_whose_commit_fails_is_tried_again_and_the_next_attempt_may_commit(tmp_path: Path) -> None:
    def commit(context: TaskContext, records: Iterator[int]) -> None:
        context.request_commit()
        if context.attempt_number == 0:
            raise OSError("the commit failed")
        (tmp_path / str(context.partition_id)).touch()

    async def scenario(sc: SparkContext) -> None:
        await sc.run_job(sc.parallelize([1, 2], 2), commit)

    run_inline(scenario, "local[2,2]")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


class Stingy(OutputCommits):
    """Denies a number of times."""

    denials = 10

    def may_commit(self, asked: AskPermissionToCommit) -> bool:
        self.denials -= 1
        return self.denials < 0 and super().may_commit(asked)


@SUITE
def test_a_job_does_not_end_while_all_commits_are_denied_and_denials_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "OutputCommits", Stingy)

    async def scenario(sc: SparkContext) -> int:
        await sc.parallelize([1], 1).save_as_text_file(tmp_path / "out")
        return sc.driver.scheduler.launcher.next_task_id

    assert run_inline(scenario, "local") == 11
    assert (tmp_path / "out" / "part-00000").read_text() == "1\n"
