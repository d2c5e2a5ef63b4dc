"""minispark.scheduler.logic.exclusion: what a task set leaves."""

import pytest

from minispark.ids import ExecutorId, StageId
from minispark.messages.listener import Excluded
from minispark.scheduler.logic.exclusion import ExclusionRules, TaskSetExclusion

E1, E2, E3, E4 = (ExecutorId(name) for name in ("1", "2", "3", "4"))


def make(*, dry_run: bool = False, **rules: int) -> TaskSetExclusion:
    return TaskSetExclusion(StageId(7), 1, ExclusionRules(**rules), dry_run=dry_run)


def fail(exclusion: TaskSetExclusion, index: int, executor: ExecutorId, host: str = "a") -> list[Excluded]:
    return exclusion.failed(index, executor, host, "boom", 5.0)


@pytest.mark.scenario("HT-009", "per-set: tasks, executors, nodes")
def test_a_task_leaves_its_executor_then_its_host_then_the_set_leaves_executor_and_host() -> None:
    exclusion = make()
    assert fail(exclusion, 0, E1) == []
    assert exclusion.refuses_task(0, E1, "a")
    assert not exclusion.refuses_task(0, E2, "a")
    assert not exclusion.refuses_task(1, E1, "a")
    assert fail(exclusion, 1, E1) == [Excluded(5.0, E1, "a", 2, StageId(7), 1)]
    assert exclusion.refuses(E1, "a")
    assert not exclusion.refuses(E2, "a")
    assert fail(exclusion, 0, E2) == []
    assert exclusion.refuses_task(0, E3, "a"), "two failures of a task on a host"
    assert not exclusion.refuses_task(1, E3, "a")
    last = fail(exclusion, 1, E2)
    assert last == [
        Excluded(5.0, E2, "a", 2, StageId(7), 1),
        Excluded(5.0, ExecutorId(""), "a", 2, StageId(7), 1),
    ]
    assert exclusion.refuses(E3, "a")
    assert not exclusion.refuses(E3, "b")


@pytest.mark.scenario("HT-009", "several failures of one task on one executor count once")
def test_an_executor_is_left_for_different_tasks_not_for_many_failures_of_one() -> None:
    exclusion = make(task_attempts_per_executor=4, stage_failed_tasks_per_executor=2)
    for _ in range(3):
        assert fail(exclusion, 0, E1) == []
    assert not exclusion.refuses(E1, "a")
    assert not exclusion.refuses_task(0, E1, "b"), "three of four attempts are forgiven"
    fail(exclusion, 0, E1)
    assert exclusion.refuses_task(0, E1, "b")
    fail(exclusion, 1, E1)
    assert exclusion.refuses(E1, "a")


@pytest.mark.scenario("HT-009", "node excluded only when all excluded executors are on it")
def test_executors_that_were_left_on_different_hosts_do_not_add_up() -> None:
    exclusion = make()
    for executor, host in ((E1, "a"), (E2, "b")):
        fail(exclusion, 0, executor, host)
        fail(exclusion, 1, executor, host)
    assert exclusion.refuses(E1, "a")
    assert exclusion.refuses(E2, "b")
    assert not exclusion.refuses(E3, "a")
    assert not exclusion.refuses(E3, "b")
    fail(exclusion, 0, E3, "a")
    fail(exclusion, 1, E3, "a")
    assert exclusion.refuses(E4, "a")
    assert not exclusion.refuses(E4, "b")


def test_attempts_of_a_task_on_a_host_are_counted_over_its_executors() -> None:
    exclusion = make(task_attempts_per_executor=3, task_attempts_per_node=3)
    fail(exclusion, 0, E1)
    fail(exclusion, 0, E1)
    assert not exclusion.refuses_task(0, E2, "a")
    fail(exclusion, 0, E2)
    assert exclusion.refuses_task(0, E3, "a")
    assert not exclusion.refuses_task(0, E3, "b")


def test_an_executor_is_left_only_once() -> None:
    exclusion = make()
    events = [event for index in range(4) for event in fail(exclusion, index, E1)]
    assert [event.executor_id for event in events] == [E1]


def test_a_dry_run_counts_for_the_application_and_refuses_nothing() -> None:
    exclusion = make(dry_run=True)
    assert not exclusion.has_failures()
    for index in range(3):
        assert fail(exclusion, index, E1) == []
        assert fail(exclusion, index, E2) == []
    assert not exclusion.refuses(E1, "a")
    assert not exclusion.refuses_task(0, E1, "a")
    assert exclusion.has_failures()
    assert exclusion.by_executor[E1].tasks == {0: (1, 5.0), 1: (1, 5.0), 2: (1, 5.0)}
    assert exclusion.last_failure == "boom"
