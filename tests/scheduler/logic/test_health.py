"""minispark.scheduler.logic.health: what the application leaves, and for how long."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, StageId
from minispark.messages.listener import Excluded, Unexcluded
from minispark.scheduler.logic.exclusion import ExclusionRules, TaskSetExclusion
from minispark.scheduler.logic.health import (
    HealthAction,
    HealthRules,
    HealthTracker,
    RemoveExecutor,
    RemoveExecutorsOnHost,
)

E1, E2, E3, E4 = (ExecutorId(name) for name in ("1", "2", "3", "4"))
NOBODY = ExecutorId("")
HOUR = 3600.0
RULES = HealthRules()


class Application:
    """A health tracker, and task sets that fail where they are told and then succeed."""

    def __init__(self, rules: HealthRules = RULES) -> None:
        self.health = HealthTracker(rules)
        self.now = 0.0

    def failures(self, executor: ExecutorId, host: str, tasks: int) -> TaskSetExclusion:
        exclusion = TaskSetExclusion(StageId(0), 0, ExclusionRules())
        for index in range(tasks):
            exclusion.failed(index, executor, host, "boom", self.now)
        return exclusion

    def succeed(self, exclusion: TaskSetExclusion) -> list[HealthAction]:
        actions = self.health.task_set_succeeded(exclusion.by_executor, self.now)
        self.health.check()
        return actions

    def fail_and_succeed(self, executor: ExecutorId, host: str = "a", tasks: int = 1) -> list[HealthAction]:
        return self.succeed(self.failures(executor, host, tasks))

    def lift(self) -> list[Unexcluded]:
        events = self.health.lift_expired(self.now)
        self.health.check()
        return events

    def excluded(self) -> set[str]:
        return set(self.health.executors) | set(self.health.hosts)


def test_old_failures_of_an_executor_that_never_fails_again_are_not_kept() -> None:
    application = Application()
    application.fail_and_succeed(E1)
    application.now = 2 * HOUR
    application.fail_and_succeed(E2)
    assert list(application.health.failures) == [E2]


@pytest.mark.scenario("HT-001")
def test_a_failure_in_each_of_several_sets_that_succeed_adds_up() -> None:
    application = Application()
    assert application.fail_and_succeed(E1) == []
    assert application.succeed(application.failures(E1, "a", 0)) == []
    assert application.excluded() == set()
    assert application.fail_and_succeed(E1) == [Excluded(0.0, E1, "a", 2)]
    application.succeed(application.failures(E1, "a", 0))
    assert application.fail_and_succeed(E1) == []
    assert application.excluded() == {E1}


@pytest.mark.scenario("HT-001")
@pytest.mark.scenario("HT-002")
def test_only_the_failures_of_sets_that_succeed_count() -> None:
    application = Application()
    failed_sets = [application.failures(E1, "a", 4) for _ in range(20)]
    assert all(exclusion.refuses(E1, "a") for exclusion in failed_sets)
    assert application.excluded() == set()
    assert application.succeed(failed_sets[0]) == [Excluded(0.0, E1, "a", 4)]
    assert application.excluded() == {E1}


@pytest.mark.scenario("HT-003")
def test_executors_and_hosts_are_used_again_after_the_timeout_and_start_anew() -> None:
    application = Application()
    assert application.fail_and_succeed(E1, tasks=4) == [Excluded(0.0, E1, "a", 4)]
    assert application.health.excluded_hosts() == ()
    assert application.fail_and_succeed(E2, tasks=4) == [Excluded(0.0, E2, "a", 4), Excluded(0.0, NOBODY, "a", 2)]
    assert application.health.excluded_hosts() == ("a",)
    assert application.health.refuses(E3, "a")
    application.now = HOUR
    assert application.lift() == []
    application.now = HOUR + 1
    later = HOUR + 1
    assert application.lift() == [
        Unexcluded(later, E1, "a"),
        Unexcluded(later, E2, "a"),
        Unexcluded(later, NOBODY, "a"),
    ]
    assert application.health.excludes_nothing()
    assert application.fail_and_succeed(E1) == []
    assert application.excluded() == set()


@pytest.mark.scenario("HT-004")
def test_executors_that_die_count_for_their_host_until_they_expire() -> None:
    application = Application()
    dying = application.failures(E1, "a", 4)
    application.health.executor_removed(E1)
    assert application.succeed(dying) == [Excluded(0.0, E1, "a", 4)]
    application.now = HOUR / 2
    dying = application.failures(E2, "a", 4)
    application.health.executor_removed(E2)
    assert Excluded(HOUR / 2, NOBODY, "a", 2) in application.succeed(dying)
    assert application.excluded() == {E1, E2, "a"}
    application.now = HOUR + 1
    assert application.lift() == [Unexcluded(HOUR + 1, E1, "a")]
    assert application.excluded() == {E2, "a"}
    application.now = HOUR * 1.5 + 1
    assert {event.executor_id for event in application.lift()} == {E2, NOBODY}
    assert application.excluded() == set()


def test_failures_of_an_executor_that_is_gone_are_forgotten() -> None:
    application = Application()
    application.fail_and_succeed(E1)
    application.health.executor_removed(E1)
    assert application.fail_and_succeed(E1) == []
    assert application.excluded() == set()


@pytest.mark.scenario("HT-005", "failures expire with time")
def test_failures_far_apart_do_not_add_up_and_failures_close_together_do() -> None:
    application = Application()
    application.fail_and_succeed(E1)
    application.fail_and_succeed(E2, "b")
    application.now = HOUR + 1
    assert application.lift() == []
    assert application.fail_and_succeed(E1) == []
    application.now = 2 * HOUR
    assert application.fail_and_succeed(E1) == [Excluded(2 * HOUR, E1, "a", 2)]
    assert application.health.next_expiry_s == 3 * HOUR
    application.now = 3 * HOUR - 1
    assert application.fail_and_succeed(E3, "c", tasks=2) == [Excluded(3 * HOUR - 1, E3, "c", 2)]
    assert application.health.next_expiry_s == 3 * HOUR
    application.now = 3 * HOUR + 1
    assert application.lift() == [Unexcluded(3 * HOUR + 1, E1, "a")]
    assert application.excluded() == {E3}
    application.fail_and_succeed(E4, "d")
    application.now = 4 * HOUR
    assert application.lift() == [Unexcluded(4 * HOUR, E3, "c")]
    assert application.health.next_expiry_s == math.inf


@pytest.mark.scenario("HT-005", "long-running sets use failure time")
def test_a_failure_counts_from_when_it_happened_not_from_when_its_set_was_done() -> None:
    application = Application()
    early = application.failures(E1, "a", 1)
    application.now = 5 * HOUR
    late = application.failures(E1, "a", 1)
    application.now += 1
    assert application.succeed(late) == []
    application.now += 1
    assert application.succeed(early) == []
    assert application.excluded() == set()


@pytest.mark.scenario("HT-006")
def test_a_host_is_excluded_for_executors_of_its_own_only() -> None:
    application = Application()
    assert application.fail_and_succeed(E1, "a", 2) == [Excluded(0.0, E1, "a", 2)]
    assert application.fail_and_succeed(E2, "b", 2) == [Excluded(0.0, E2, "b", 2)]
    assert application.health.excluded_hosts() == ()
    assert application.fail_and_succeed(E3, "a", 2) == [Excluded(0.0, E3, "a", 2), Excluded(0.0, NOBODY, "a", 2)]
    assert application.health.excluded_hosts() == ("a",)


@pytest.mark.scenario("HT-008", "exclusion kills executors / nodes if configured")
def test_what_is_excluded_is_killed_only_if_configured() -> None:
    silent = Application()
    quiet = silent.fail_and_succeed(E1, tasks=4) + silent.fail_and_succeed(E2, tasks=4)
    assert all(isinstance(action, Excluded) for action in quiet)
    application = Application(replace(RULES, kill=True))
    _, kill = application.fail_and_succeed(E1, tasks=4)
    assert isinstance(kill, RemoveExecutor)
    assert (kill.executor_id, kill.decommission) == (E1, False)
    assert "minispark.excludeOnFailure.killExcludedExecutors" in kill.reason
    actions = application.fail_and_succeed(E2, tasks=4)
    kinds = [type(action) for action in actions]
    assert kinds == [Excluded, RemoveExecutor, Excluded, RemoveExecutorsOnHost], "first excluded, then killed"
    last = actions[-1]
    assert isinstance(last, RemoveExecutorsOnHost)
    assert (last.host, last.decommission) == ("a", False)


@pytest.mark.scenario("HT-008", "decommission variant")
def test_what_is_excluded_is_decommissioned_if_configured() -> None:
    application = Application(replace(RULES, kill=True, decommission=True, failed_tasks_per_executor=1))
    actions = application.fail_and_succeed(E1) + application.fail_and_succeed(E2)
    orders = [action for action in actions if not isinstance(action, Excluded)]
    assert [type(order) for order in orders] == [RemoveExecutor, RemoveExecutor, RemoveExecutorsOnHost]
    assert all(order.decommission for order in orders)


@pytest.mark.scenario("HT-008", "fetch-failure variant")
def test_one_fetch_failure_excludes_the_executor_or_with_a_shuffle_service_the_host() -> None:
    off = Application()
    assert off.health.fetch_failed(E1, "a", 0.0) == []
    quiet = Application(replace(RULES, fetch_failure=True))
    assert quiet.health.fetch_failed(E1, "a", 0.0) == [Excluded(0.0, E1, "a", 1)]
    killing = Application(replace(RULES, fetch_failure=True, kill=True))
    actions = killing.health.fetch_failed(E1, "a", 1.0)
    assert [type(action) for action in actions] == [Excluded, RemoveExecutor]
    assert killing.health.fetch_failed(E1, "a", 2.0) == []
    assert killing.health.excluded_hosts() == ()
    assert killing.health.next_expiry_s == HOUR + 1.0
    killing.health.rules = replace(killing.health.rules, shuffle_service=True)
    actions = killing.health.fetch_failed(E2, "a", 2.0)
    assert actions[0] == Excluded(2.0, NOBODY, "a", 1)
    assert [type(action) for action in actions] == [Excluded, RemoveExecutorsOnHost]
    assert killing.health.fetch_failed(E2, "a", 3.0) == []
    assert E2 not in killing.health.executors
    assert killing.health.hosts == {"a": HOUR + 2.0}
    assert killing.health.next_expiry_s == HOUR + 1.0
    killing.health.check()


def test_an_exclusion_lasts_until_its_time_is_over_and_not_less() -> None:
    application = Application(replace(RULES, failed_executors_per_node=1))
    application.fail_and_succeed(E1, "a", tasks=2)
    application.now = 1.0
    application.fail_and_succeed(E2, "b", tasks=2)
    application.now = HOUR + 1.0
    assert [(event.executor_id, event.host) for event in application.lift()] == [(E1, "a"), (NOBODY, "a")]
    assert application.excluded() == {E2, "b"}
    assert application.health.next_expiry_s == HOUR + 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.floats(0, HOUR)), max_size=30))
def test_all_exclusions_expire(history: list[tuple[int, int, float]]) -> None:
    application = Application()
    for executor, tasks, pause in history:
        application.fail_and_succeed(ExecutorId(str(executor)), f"host{executor % 2}", tasks)
        application.now += pause
        application.lift()
    application.now += HOUR + 1
    application.lift()
    assert application.health.excludes_nothing()
    assert application.health.excluded_on_host == {}
