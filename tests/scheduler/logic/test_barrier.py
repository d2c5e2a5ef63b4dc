from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, StageId, TaskId
from minispark.messages.coordination import RequestToSync, SyncKind
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import TaskEndReason, TaskKilled
from minispark.scheduler.logic.barrier import BarrierSyncs, Failed, Synced
from minispark.testing.builders import result_success

STAGE = StageId(7)
TIMEOUT_S = 10.0

Syncs = BarrierSyncs[str]
Answer = Synced[str] | Failed[str] | None


def request(
    partition: int, epoch: int = 0, *, kind: SyncKind = "barrier", message: str = "", attempt: int = 0
) -> RequestToSync:
    return RequestToSync(STAGE, attempt, TaskId(100 + partition), partition, epoch, kind, message)


def ended(partition: int, reason: TaskEndReason, attempt: int = 0) -> TaskEnded:
    executor, host = ExecutorId("driver"), "localhost"
    return TaskEnded(STAGE, attempt, TaskId(100 + partition), partition, 0, partition, executor, host, 0, 0.0, reason)


@contextmanager
def syncs(num_tasks: int = 3) -> Iterator[Syncs]:
    """Give the table with one attempt of a stage, which ends afterwards."""
    table = Syncs(TIMEOUT_S)
    table.attempt_started(STAGE, 0, num_tasks)
    yield table
    table.check()
    table.attempt_ended(STAGE, 0)
    table.assert_empty()


def come(table: Syncs, partition: int, epoch: int = 0, kind: SyncKind = "barrier", message: str = "") -> Answer:
    answer = table.request(request(partition, epoch, kind=kind, message=message), f"task {partition}", now=0.0)
    table.check()
    return answer


def failed(answer: Answer) -> Failed[str]:
    assert isinstance(answer, Failed)
    return answer


@pytest.mark.scenario("BAR-001", "barrier() is a global sync")
def test_nobody_goes_on_before_all_have_come() -> None:
    with syncs(3) as table:
        assert come(table, 2) is None
        assert come(table, 0) is None
        assert come(table, 1) == Synced(["task 2", "task 0", "task 1"], ("", "", ""))


@pytest.mark.scenario("BAR-001", "several barrier() calls in one task")
def test_a_task_may_sync_many_times() -> None:
    with syncs(2) as table:
        for epoch in range(5):
            assert come(table, 0, epoch) is None
            assert isinstance(come(table, 1, epoch), Synced)


@pytest.mark.scenario("BAR-002", "allGather returns all messages in partition order")
def test_messages_are_in_the_order_of_partitions_whoever_came_first() -> None:
    with syncs(3) as table:
        assert come(table, 2, kind="all_gather", message="c") is None
        assert come(table, 0, kind="all_gather", message="a") is None
        answer = come(table, 1, kind="all_gather", message="b")
        assert answer == Synced(["task 2", "task 0", "task 1"], ("a", "b", "c"))


@pytest.mark.scenario("BAR-003")
def test_different_calls_in_one_sync_fail_all_who_wait_and_all_who_come() -> None:
    with syncs(3) as table:
        assert come(table, 0) is None
        answer = failed(come(table, 1, kind="all_gather", message="hello"))
        assert answer.waiters == ["task 0", "task 1"]
        assert (
            answer.error == "tasks of stage 7.0 called barrier() and all_gather() in one sync; all must call the same"
        )
        late = failed(come(table, 2))
        assert (late.waiters, late.error) == (["task 2"], answer.error)


@pytest.mark.scenario("BAR-004")
def test_kinds_of_syncs_may_follow_each_other_in_any_order() -> None:
    with syncs(2) as table:
        kinds: list[SyncKind] = ["barrier", "all_gather", "barrier", "barrier", "all_gather"]
        for epoch, kind in enumerate(kinds):
            message = "m" if kind == "all_gather" else ""
            assert come(table, 0, epoch, kind, message) is None
            assert come(table, 1, epoch, kind, message) == Synced(["task 0", "task 1"], (message, message))


@pytest.mark.scenario("BAR-005", "barrier timeout → error")
@pytest.mark.scenario("BAR-005", "a task that never calls")
def test_a_sync_that_takes_too_long_fails_those_who_wait_and_says_who_did_not_come() -> None:
    with syncs(3) as table:
        table.request(request(2), "task 2", now=1.0)
        table.request(request(0), "task 0", now=5.0)
        assert table.next_deadline() == 11.0
        assert table.expire(10.9) == []
        (answer,) = table.expire(11.0)
        assert answer.waiters == ["task 2", "task 0"]
        assert answer.error == (
            "sync 0 of stage 7.0 took more than 10 s (minispark.barrier.sync.timeout): 1 of 3 tasks did not come, "
            "as that of partition 1"
        )
        assert table.next_deadline() is None
        assert failed(come(table, 1)).error == answer.error


@pytest.mark.scenario("BAR-005", "unequal number of calls → error")
def test_who_waits_for_a_task_that_has_ended_well_fails_at_once() -> None:
    with syncs(2) as table:
        come(table, 0)
        come(table, 1)
        assert come(table, 0, epoch=1) is None
        answer = table.task_ended(ended(1, result_success()))
        assert failed(answer).waiters == ["task 0"]
        assert failed(answer).error == (
            "tasks of stage 7.0 called barrier() unequal numbers of times: the task of partition 1 ended after "
            "1 syncs, others wait for another"
        )


@pytest.mark.scenario("BAR-005", "unequal number of calls → error")
def test_who_comes_after_a_fellow_has_ended_well_fails_at_once() -> None:
    with syncs(2) as table:
        assert table.task_ended(ended(1, result_success())) is None
        assert "unequal numbers of times" in failed(come(table, 0)).error


def test_a_failed_task_leaves_it_to_the_scheduler_to_end_the_others() -> None:
    with syncs(2) as table:
        come(table, 0)
        assert table.task_ended(ended(1, TaskKilled("test"))) is None
        assert failed(table.attempt_ended(STAGE, 0)) == Failed(["task 0"], "stage 7.0 has ended")


@pytest.mark.scenario("BAR-009", "coordinator state removed at stage completion")
def test_an_attempt_that_ended_is_forgotten_and_its_tasks_are_refused() -> None:
    with syncs(2) as table:
        table.attempt_started(STAGE, 1, 2)
        assert table.request(request(0, attempt=1), "new", now=0.0) is None
        assert table.attempt_ended(STAGE, 0) is None
        assert list(table.attempts) == [(STAGE, 1)]
        assert failed(come(table, 0)).error == "stage 7.0 does not run any more; task 100 outlived its kill"
        assert failed(table.attempt_ended(STAGE, 1)).waiters == ["new"]
        assert table.task_ended(ended(0, result_success(), attempt=1)) is None


@pytest.mark.scenario("BAR-009", "request with a stale epoch refused")
def test_a_request_for_a_sync_that_is_over_is_refused_and_harms_nobody() -> None:
    with syncs(2) as table:
        come(table, 0)
        come(table, 1)
        assert come(table, 0, epoch=1) is None
        stale = failed(come(table, 1, epoch=0))
        assert stale.waiters == ["task 1"]
        assert stale.error == "task 101 asked for sync 0 of stage 7.0, which is at sync 1; it outlived its kill"
        assert isinstance(come(table, 1, epoch=1), Synced)


def test_two_of_one_partition_cannot_wait_in_one_sync() -> None:
    with syncs(2) as table:
        come(table, 0)
        assert failed(come(table, 0)).error == "partition 0 of stage 7.0 waits already in sync 0"
        assert isinstance(come(table, 1), Synced)


def test_a_task_alone_never_waits() -> None:
    with syncs(1) as table:
        assert come(table, 0, kind="all_gather", message="me") == Synced(["task 0"], ("me",))


@given(st.integers(1, 5), st.data())
def test_in_any_order_of_arrival_all_get_what_all_said(num_tasks: int, data: st.DataObject) -> None:
    with syncs(num_tasks) as table:
        for epoch in range(3):
            answers = [
                come(table, partition, epoch, "all_gather", f"{partition}.{epoch}")
                for partition in data.draw(st.permutations(range(num_tasks)))
            ]
            assert answers[:-1] == [None] * (num_tasks - 1)
            assert isinstance(answers[-1], Synced)
            assert answers[-1].messages == tuple(f"{partition}.{epoch}" for partition in range(num_tasks))
