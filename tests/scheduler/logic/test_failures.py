from dataclasses import replace

import pytest

from minispark.ids import ExecutorId, JobId
from minispark.messages.task import ExecutorLostFailure, RunnerLost, TaskCommitDenied, TaskKilled, TaskResultLost
from minispark.scheduler.logic.failures import counts_as_failure, failure_text, is_final
from minispark.testing.builders import exception_failure, fetch_failed

LOST = ExecutorLostFailure(ExecutorId("e1"), True, "killed")


def test_each_failure_can_be_put_into_a_line() -> None:
    assert failure_text(exception_failure("boom")) == "ValueError: boom"
    assert failure_text(LOST) == "executor e1 lost: killed"
    assert failure_text(TaskKilled("enough")) == "killed: enough"
    assert failure_text(TaskResultLost()) == "TaskResultLost"
    assert failure_text(RunnerLost(None, 9, "")) == "its runner process ended with signal 9"
    assert failure_text(TaskCommitDenied(JobId(0), 3, 0)) == "another attempt committed partition 3"


def test_what_is_not_the_tasks_doing_does_not_count() -> None:
    assert counts_as_failure(exception_failure())
    assert counts_as_failure(LOST)
    assert not counts_as_failure(replace(LOST, exit_caused_by_app=False))
    assert not counts_as_failure(TaskKilled("enough"))
    assert not counts_as_failure(fetch_failed(0, 0))


@pytest.mark.parametrize(
    "name", ["minispark.errors.PicklingError", "minispark.errors.OutputExists", "FileExistsError"]
)
def test_what_would_happen_again_is_final(name: str) -> None:
    assert is_final(replace(exception_failure(), class_name=name))
    assert not is_final(exception_failure())
