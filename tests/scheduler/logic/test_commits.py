"""The cases of OutputCommitCoordinatorSuite are here and in tests/scheduler/test_output_commit.py."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, JobId, StageId, TaskId
from minispark.messages.coordination import AskPermissionToCommit
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import (
    ExecutorLostFailure,
    TaskCommitDenied,
    TaskEndReason,
    TaskKilled,
)
from minispark.scheduler.logic.commits import OutputCommits
from minispark.testing.builders import LineageBuilder, exception_failure, fetch_failed, result_success, submit_job
from tests.scheduler.logic.dag_harness import dag

SUITE = pytest.mark.scenario("HIS-006", "OutputCommitCoordinator")
STAGE = StageId(1)
LOST = ExecutorLostFailure(ExecutorId("0"), True, "gone")


def asked(attempt: int, *, stage_attempt: int = 1, partition: int = 2) -> AskPermissionToCommit:
    return AskPermissionToCommit(STAGE, stage_attempt, partition, attempt)


def ended(attempt: int, reason: TaskEndReason, *, stage_attempt: int = 1, partition: int = 2) -> TaskEnded:
    host = "localhost"
    return TaskEnded(
        STAGE, stage_attempt, TaskId(0), partition, attempt, partition, ExecutorId("0"), host, 0, 0.0, reason
    )


@contextmanager
def commits() -> Iterator[OutputCommits]:
    """Give the table with one stage that runs; it ends afterwards."""
    table = OutputCommits()
    table.attempt_started(STAGE, 1, 3)
    yield table
    table.check()
    table.attempt_ended(STAGE, 1, True)
    table.assert_empty()


@SUITE
def test_only_one_of_two_attempts_may_commit() -> None:
    with commits() as table:
        assert table.may_commit(asked(0))
        assert not table.may_commit(asked(1))
        assert table.may_commit(asked(1, partition=0))


def test_who_asks_twice_gets_the_same_answer() -> None:
    with commits() as table:
        assert [table.may_commit(asked(0)) for _ in range(2)] == [True, True]
        assert [table.may_commit(asked(1)) for _ in range(2)] == [False, False]


@SUITE
@pytest.mark.parametrize("reason", [TaskKilled("test"), LOST, exception_failure(), fetch_failed(0, 0)])
def test_only_the_failure_of_the_permitted_attempt_lets_another_commit(reason: TaskEndReason) -> None:
    with commits() as table:
        assert table.may_commit(asked(3))
        table.task_ended(ended(100, reason))
        assert not table.may_commit(asked(101))
        table.task_ended(ended(3, reason))
        assert table.may_commit(asked(102))
        assert not table.may_commit(asked(103))


@SUITE
def test_an_attempt_that_failed_may_not_commit() -> None:
    with commits() as table:
        table.task_ended(ended(0, LOST))
        assert not table.may_commit(asked(0))
        assert table.may_commit(asked(1))


@SUITE
def test_attempts_of_different_attempts_of_the_stage_compete_and_are_told_apart() -> None:
    with commits() as table:
        assert table.may_commit(asked(1, stage_attempt=1))
        assert not table.may_commit(asked(1, stage_attempt=2))
        table.task_ended(ended(1, LOST, stage_attempt=1))
        assert not table.may_commit(asked(1, stage_attempt=1))
        assert table.may_commit(asked(1, stage_attempt=2))


@pytest.mark.parametrize("reason", [result_success(), TaskCommitDenied(JobId(0), 2, 0)])
def test_a_success_and_a_denial_take_nothing_back(reason: TaskEndReason) -> None:
    with commits() as table:
        assert table.may_commit(asked(0))
        table.task_ended(ended(0, reason))
        assert not table.may_commit(asked(1))


def test_nobody_commits_for_a_stage_that_does_not_run() -> None:
    table = OutputCommits()
    assert not table.may_commit(asked(0))
    table.task_ended(ended(0, LOST))
    table.assert_empty()


def test_what_was_permitted_holds_while_the_stage_will_be_retried() -> None:
    table = OutputCommits()
    table.attempt_started(STAGE, 1, 3)
    assert table.may_commit(asked(0))
    table.attempt_ended(STAGE, 1, False)
    table.attempt_started(STAGE, 2, 3)
    assert not table.may_commit(asked(0, stage_attempt=2))
    table.stage_gone(STAGE)
    table.assert_empty()


@SUITE
def test_nothing_is_left_of_a_stage_also_of_one_that_was_retried() -> None:
    table = OutputCommits()
    with dag() as harness:
        harness.state.watchers.add(table)
        build = LineageBuilder()
        build.shuffled(build.source(1), 1)
        harness.submit(submit_job(1, build.lineage()))
        assert list(table.stages) == [0]
        harness.end_all_maps(harness.last)
        assert list(table.stages) == [1]
        harness.end(harness.last, 0, fetch_failed(0, 0))
        assert list(table.stages) == [1]
        harness.resubmit()
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
    table.assert_empty()


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed"]), st.integers(0, 3)), max_size=30))
def test_in_any_history_no_two_attempts_that_have_not_failed_may_commit(history: list[tuple[str, int]]) -> None:
    with commits() as table:
        holder: int | None = None
        for what, attempt in history:
            if what == "ask" and table.may_commit(asked(attempt)):
                assert holder in (None, attempt)
                holder = attempt
            elif what != "ask":
                table.task_ended(ended(attempt, LOST if what == "fail" else result_success()))
                holder = None if holder == attempt and what == "fail" else holder
            table.check()
