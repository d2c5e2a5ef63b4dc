from minispark.ids import StageId
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.scheduler.logic.commits import OutputCommits
from minispark.scheduler.output_commit import OutputCommitCoordinator
from minispark.testing.fakes import RecordingContext


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
