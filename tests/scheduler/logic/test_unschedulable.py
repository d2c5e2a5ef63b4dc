"""minispark.scheduler.logic.unschedulable: what becomes of a set that no executor may run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, StageId
from minispark.scheduler.logic.exclusion import ExclusionRules, TaskSetExclusion
from minispark.scheduler.logic.health import HealthRules, HealthTracker
from minispark.scheduler.logic.unschedulable import Remedy, UnschedulableSets, is_excluded_everywhere

E1, E2 = ExecutorId("1"), ExecutorId("2")
FIRST, SECOND = (StageId(1), 0), (StageId(2), 1)


def exclusion_of(*failures: tuple[int, ExecutorId, str]) -> TaskSetExclusion:
    exclusion = TaskSetExclusion(StageId(0), 0, ExclusionRules())
    for index, executor_id, host in failures:
        exclusion.failed(index, executor_id, host, "boom", 0.0)
    return exclusion


def test_a_task_is_excluded_everywhere_when_it_failed_on_every_executor() -> None:
    executors = {"a": [E1], "b": [E2]}
    exclusion = exclusion_of((0, E1, "a"))
    assert not is_excluded_everywhere(0, executors, exclusion, None)
    exclusion.failed(0, E2, "b", "boom", 0.0)
    assert is_excluded_everywhere(0, executors, exclusion, None)
    assert not is_excluded_everywhere(1, executors, exclusion, None)


def test_the_set_and_the_application_exclude_too() -> None:
    health = HealthTracker(HealthRules())
    failed = exclusion_of((0, E1, "a"), (1, E1, "a"))
    health.task_set_succeeded(failed.by_executor, 0.0)
    assert is_excluded_everywhere(5, {"a": [E1]}, failed, None)
    assert is_excluded_everywhere(5, {"a": [E1]}, exclusion_of(), health)
    assert not is_excluded_everywhere(5, {"a": [E1], "b": [E2]}, failed, health)


def test_without_executors_a_task_waits_for_the_first() -> None:
    assert not is_excluded_everywhere(0, {}, exclusion_of((0, E1, "a")), None)
    assert not is_excluded_everywhere(0, {"a": []}, exclusion_of((0, E1, "a")), None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20))
def test_everywhere_means_on_each_executor(failures: list[tuple[int, int]]) -> None:
    executors: dict[str, list[ExecutorId]] = {f"host{host}": [] for host in range(3)}
    for number in range(6):
        executors[f"host{number % 3}"].append(ExecutorId(str(number)))
    exclusion = exclusion_of(*[(index, ExecutorId(str(number)), f"host{number % 3}") for index, number in failures])
    for index in range(4):
        usable = [
            executor_id
            for host, on_host in executors.items()
            for executor_id in on_host
            if not exclusion.refuses(executor_id, host) and not exclusion.refuses_task(index, executor_id, host)
        ]
        assert is_excluded_everywhere(index, executors, exclusion, None) == (not usable)


def test_an_idle_executor_is_replaced_once_and_the_set_is_given_up_after_the_timeout() -> None:
    sets = UnschedulableSets(120.0)
    verdict = sets.found(FIRST, E1, 10.0)
    assert (verdict.remedy, verdict.executor_id, verdict.starts_timer) == (Remedy.REPLACE, E1, True)
    for idle in (E1, None):
        again = sets.found(FIRST, idle, 20.0)
        assert again.remedy is Remedy.WAIT
        assert not again.starts_timer
    assert not sets.has_expired(FIRST, 129.0)
    assert sets.has_expired(FIRST, 130.0)
    assert not sets.has_expired(FIRST, 131.0), "it was forgotten"


def test_with_nothing_idle_a_set_is_given_up_at_once_unless_executors_can_be_added() -> None:
    assert UnschedulableSets(120.0).found(FIRST, None, 0.0).remedy is Remedy.GIVE_UP
    dynamic = UnschedulableSets(120.0, dynamic_allocation=True)
    verdict = dynamic.found(FIRST, None, 0.0)
    assert (verdict.remedy, verdict.starts_timer) == (Remedy.ASK_FOR_MORE, True)
    assert dynamic.found(FIRST, None, 5.0).remedy is Remedy.WAIT
    assert dynamic.has_expired(FIRST, 120.0)


@pytest.mark.scenario("TSI-023", "timers of all sets cleared on any launch")
def test_a_launch_of_any_set_lets_all_wait_on_without_a_deadline() -> None:
    sets = UnschedulableSets(120.0)
    sets.found(FIRST, E1, 0.0)
    sets.found(SECOND, E1, 1.0)
    assert sets.launched() == [FIRST, SECOND]
    assert sets.launched() == []
    assert not sets.has_expired(FIRST, 1e9)
    assert not sets.has_expired(SECOND, 1e9)


def test_a_timer_of_before_does_not_end_a_later_wait() -> None:
    sets = UnschedulableSets(120.0)
    sets.found(FIRST, E1, 0.0)
    sets.launched()
    sets.found(FIRST, E1, 100.0)
    assert not sets.has_expired(FIRST, 120.0)
    assert sets.has_expired(FIRST, 220.0)


def test_a_set_that_has_ended_is_forgotten() -> None:
    sets = UnschedulableSets(120.0)
    sets.found(FIRST, E1, 0.0)
    sets.forget(FIRST)
    sets.forget(FIRST)
    assert sets.expires_s == {}
