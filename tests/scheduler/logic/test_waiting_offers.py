"""minispark.scheduler.logic.waiting: what an offer takes, what turning one down means, who is refused."""

import math

from minispark.ids import ExecutorId, StageId
from minispark.scheduler.logic.exclusion import ExclusionRules, TaskSetExclusion
from minispark.scheduler.logic.locality import Locality
from minispark.scheduler.logic.task_set import Taken, TaskSet
from tests.scheduler.logic.offers_harness import WAIT_S, OffersHarness
from tests.scheduler.logic.test_waiting import take

PROCESS, NODE, NO_PREF, RACK, ANY = Locality


def offer(harness: OffersHarness, tasks: TaskSet, executor: str) -> Taken | None:
    """Offer an executor without launching what is taken."""
    executor_id = ExecutorId(executor)
    return tasks.take(executor_id, harness.cluster.executors[executor_id].host, harness.now)


def exclude(tasks: TaskSet, index: int, executor: str, host: str) -> None:
    """Have a task leave an executor where it failed, and the whole set with a second task."""
    if tasks.exclusion is None:
        tasks.exclusion = TaskSetExclusion(StageId(0), 0, ExclusionRules(), dry_run=False)
    assert isinstance(tasks.exclusion, TaskSetExclusion)
    tasks.exclusion.failed(index, ExecutorId(executor), host, "boom", 0.0)


# -- what is taken ---------------------------------------------------------------------------------------------------


def test_a_task_of_another_executor_on_the_host_is_waited_for_when_all_prefer_something() -> None:
    harness = OffersHarness(("e1", "h1"), ("e1b", "h1"))
    tasks = harness.submit([[("h1", "e1")]])
    assert offer(harness, tasks, "e1b") is None
    harness.now = WAIT_S
    assert offer(harness, tasks, "e1b") == (0, NODE, False)


def test_tasks_without_preference_do_not_wait_with_the_others_and_leave_them_no_farther() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1"], []])
    assert take(harness, tasks, "e2", NO_PREF) == (1, PROCESS)
    assert offer(harness, tasks, "e2") is None
    harness.now = WAIT_S
    assert offer(harness, tasks, "e2") == (0, ANY, False)


def test_a_failed_task_without_preference_does_not_wait_although_levels_were_made_without_it() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1"], []])
    assert take(harness, tasks, "e2", NO_PREF) == (1, PROCESS)
    tasks.recompute_levels()
    assert tasks.timer.levels == (NODE, ANY)
    tasks.ended(next(iter(tasks.running)))
    tasks.push(1)
    assert offer(harness, tasks, "e2") == (1, PROCESS, False)


def test_an_offer_takes_the_nearest_task_and_then_second_attempts() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), wait_s=0)
    tasks = harness.submit([["h1"], ["h2"]])
    assert take(harness, tasks, "e1") == (0, NODE)
    assert tasks.add_speculatable(next(iter(tasks.running.values())))
    assert offer(harness, tasks, "e1") == (1, ANY, False)
    tasks.pending.strike(1)
    assert offer(harness, tasks, "e1") is None
    assert offer(harness, tasks, "e2") == (0, ANY, True)


def test_what_was_taken_elsewhere_is_not_found_in_its_rack() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e9", "h9"), racks={"h1": "r1", "h2": "r1"})
    tasks = harness.submit([["h1", "h9"], ["h9"]])
    assert take(harness, tasks, "e9") == (0, NODE)
    assert take(harness, tasks, "e2", RACK) is None
    harness.now = 3 * WAIT_S
    assert take(harness, tasks, "e2", RACK) is None
    assert take(harness, tasks, "e2", ANY) == (1, ANY)


def test_the_first_task_is_found_in_the_rack_of_its_data() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), racks={"h1": "r1", "h2": "r1"}, wait_s=0)
    tasks = harness.submit([["h1"]])
    assert take(harness, tasks, "e2", RACK) == (0, RACK)


def test_racks_that_become_known_while_tasks_wait_are_used() -> None:
    racks: dict[str, str] = {}
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e3", "h3"), racks=racks, wait_s=0)
    harness.cluster.rack_of = racks
    tasks = harness.submit([["h1"], ["h1"]])
    assert take(harness, tasks, "e3") == (0, ANY)
    racks.update(h1="r1", h2="r1")
    harness.cluster.racks_changed()
    assert take(harness, tasks, "e2") == (1, RACK)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_task_goes_to_none_of_the_executors_it_left_and_others_do() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h1"), wait_s=0)
    tasks = harness.submit([["h1"], ["h1"]])
    exclude(tasks, 0, "e1", "h1")
    assert take(harness, tasks, "e1") == (1, NODE)
    assert take(harness, tasks, "e1") is None
    assert take(harness, tasks, "e2") == (0, NODE)


def test_nothing_runs_on_an_executor_that_the_whole_set_left() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h1"), wait_s=0)
    tasks = harness.submit([[], [], []])
    exclude(tasks, 0, "e1", "h1")
    exclude(tasks, 1, "e1", "h1")
    assert offer(harness, tasks, "e1") is None
    assert take(harness, tasks, "e1") is None
    assert take(harness, tasks, "e2") == (0, PROCESS)


def test_a_second_attempt_goes_nowhere_that_its_task_left() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e3", "h3"), wait_s=0)
    tasks = harness.submit([[]])
    exclude(tasks, 0, "e2", "h2")
    assert take(harness, tasks, "e1") == (0, PROCESS)
    assert tasks.add_speculatable(next(iter(tasks.running.values())))
    assert take(harness, tasks, "e2") is None
    assert take(harness, tasks, "e3") == (0, PROCESS)


def test_only_a_set_that_wants_no_place_leaves_none_and_repeats_nothing_takes_any_place() -> None:
    harness = OffersHarness(("e1", "h1"))
    plain, choosy, repeating = (
        harness.submit([[]]),
        harness.submit([["h1"]], stage_id=1),
        harness.submit([[]], stage_id=2),
    )
    assert plain.takes_any_place
    assert not choosy.takes_any_place
    take(harness, repeating, "e1")
    repeating.add_speculatable(next(iter(repeating.running.values())))
    assert not repeating.takes_any_place
    exclude(plain, 0, "e1", "h1")
    assert not plain.takes_any_place


# -- turning offers down ---------------------------------------------------------------------------------------------


def waiting_for_h1(*more: str) -> tuple[OffersHarness, TaskSet]:
    """Return a set that prefers h1, and has been offered h2 in vain."""
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1"], ["h1"], *([place] for place in more)])
    assert offer(harness, tasks, "e2") is None
    return harness, tasks


def test_a_set_that_turns_an_offer_down_may_take_what_is_farther_after_its_wait() -> None:
    _, tasks = waiting_for_h1()
    assert tasks.turned_down(1.0) == WAIT_S
    assert tasks.near_until == WAIT_S
    assert tasks.turned_down(WAIT_S) == math.inf


def test_a_set_of_which_nothing_waits_expects_nothing_of_time() -> None:
    harness, tasks = waiting_for_h1()
    for _ in range(2):
        assert take(harness, tasks, "e1") is not None
    assert tasks.turned_down(1.0) == math.inf
    assert tasks.near_until == 0.0


def test_other_hosts_are_asked_all_the_same_while_tasks_wait_that_want_no_place_or_a_second_attempt() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    mixed, repeated = harness.submit([["h1"], []]), harness.submit([["h1"], ["h1"]], stage_id=1)
    for tasks in (mixed, repeated):
        tasks.recompute_levels()
    assert take(harness, repeated, "e1") == (0, NODE)
    assert repeated.add_speculatable(next(iter(repeated.running.values())))
    for tasks in (mixed, repeated):
        assert tasks.turned_down(1.0) == WAIT_S
        assert tasks.near_until == 0.0


def test_that_only_near_hosts_are_asked_ends_when_executors_come_or_tasks_wait_anew() -> None:
    harness, tasks = waiting_for_h1()
    tasks.turned_down(0.0)
    assert offer(harness, tasks, "e2") is None
    assert tasks.near_until == WAIT_S
    harness.add("e3", "h3")
    assert offer(harness, tasks, "e3") is None
    assert tasks.near_until == 0.0
    tasks.turned_down(0.0)
    assert take(harness, tasks, "e1") == (0, NODE)
    tasks.ended(next(iter(tasks.running)))
    tasks.push(0)
    assert tasks.near_until == 0.0


def test_launches_that_use_up_what_was_offered_begin_the_wait_anew() -> None:
    _, tasks = waiting_for_h1()
    tasks.turned_down(0.0)
    tasks.launched_all(2.0, NODE, is_all_free=False)
    assert tasks.timer.expires_s == 2.0 + WAIT_S
    assert tasks.near_until == 0.0


def test_after_a_core_stayed_idle_only_using_up_all_that_is_free_begins_the_wait_anew() -> None:
    _, tasks = waiting_for_h1()
    tasks.no_rejects = False
    tasks.launched_all(1.0, NODE, is_all_free=False)
    assert tasks.timer.expires_s == WAIT_S
    tasks.launched_all(1.0, NODE, is_all_free=True)
    assert tasks.timer.expires_s == 1.0 + WAIT_S
    tasks.launched_all(2.0, NODE, is_all_free=False)
    assert tasks.timer.expires_s == 2.0 + WAIT_S


def test_with_the_legacy_reset_using_up_an_offer_begins_no_wait() -> None:
    harness = OffersHarness(("e1", "h1"), legacy=True)
    tasks = harness.submit([["h1"]])
    tasks.recompute_levels()
    tasks.launched_all(2.0, NODE, is_all_free=True)
    assert tasks.timer.expires_s == WAIT_S
