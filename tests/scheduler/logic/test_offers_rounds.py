"""Rounds over everything that is free: their slices, whom they look at, and what they mean for waits."""

import math

import pytest

from minispark.ids import ExecutorId
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic import offers as module
from minispark.scheduler.logic.locality import Locality
from tests.scheduler.logic.offers_harness import WAIT_S, OffersHarness
from tests.scheduler.logic.test_offers import Refusing

PROCESS, NODE, NO_PREF, RACK, ANY = Locality
TWO = (("e1", "h1"), ("e2", "h2"))


def many(count: int, racks: dict[str, str] | None = None) -> OffersHarness:
    """Return a harness with executors e0, e1 … on hosts of their own, h0, h1 …"""
    return OffersHarness(*((f"e{number}", f"h{number}") for number in range(count)), racks=racks)


def free_cores(harness: OffersHarness) -> list[WorkerOffer]:
    return [WorkerOffer(each.executor_id, each.host, 1) for each in harness.cluster.executors.values()]


# -- slices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spare", "launches"), [(-1, 3), (0, 3), (1, 4)])
def test_a_step_ends_when_what_it_launched_has_used_the_slice_up(
    monkeypatch: pytest.MonkeyPatch, spare: int, launches: int
) -> None:
    monkeypatch.setattr(module, "SLICE_COST", 2 * 20 + 3 * (1 + module.LAUNCH_COST) + spare)
    harness = many(20)
    harness.submit([[]] * 30)
    assert not harness.offers.step(free_cores(harness), 0.0)
    assert len(harness.launched) == launches


def test_a_step_that_only_listed_the_offers_launches_in_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_COST", 2 * 20)
    harness = many(20)
    harness.submit([[]])
    offers = free_cores(harness)
    assert not harness.offers.step(offers, 0.0)
    assert harness.launched == []
    harness.offers.step([], 0.0)
    assert len(harness.launched) == 1


def test_looks_that_launch_nothing_use_up_a_slice_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_COST", 2 * 20 + 10)
    harness = many(20)
    tasks = harness.submit([[]])
    tasks.exclusion = Refusing(tasks=(0,))
    looks: list[str] = []
    harness.offers.exclusion = Noting(looks)
    assert not harness.offers.step(free_cores(harness), 0.0)
    assert len(looks) == 20 + 10  # what is usable is seen once when the round begins


class Noting:
    """An exclusion of the application that refuses nothing, and notes who was asked for."""

    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        self.asked.append(executor_id)
        return False


# -- whom a set is shown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 20])
def test_a_round_gives_a_task_the_executor_on_its_host_among_few_and_among_many(count: int) -> None:
    harness = many(count)
    harness.submit([["h2"], [("h1", "e1")]])
    assert sorted(harness.all()) == [(0, "e2", NODE), (1, "e1", PROCESS)]


@pytest.mark.parametrize("count", [4, 20])
def test_after_the_wait_for_its_host_a_task_goes_to_the_rack_and_nowhere_else(count: int) -> None:
    harness = many(count, racks={"h0": "near", "h1": "near", **{f"h{n}": "far" for n in range(2, count)}})
    harness.submit([["h0"]])
    others = [f"e{number}" for number in range(1, count)]
    assert harness.all(1, *others) == []
    harness.now = WAIT_S
    assert harness.all(1, *others) == [(0, "e1", RACK)]


def test_executors_on_preferred_hosts_are_asked_in_the_order_of_the_round() -> None:
    first = set()
    for seed in range(20):
        harness = OffersHarness(*((f"e{number}", f"h{number}") for number in range(20)), seed=seed)
        harness.submit([["h1"], ["h2"], ["h3"]])
        first.add(harness.all()[0][1])
    assert first == {"e1", "e2", "e3"}


def test_a_second_attempt_is_offered_places_that_no_waiting_task_prefers() -> None:
    harness = many(20)
    tasks = harness.submit([["h1", "h2"], ["h3"], ["h3"]])
    assert [executor for _, executor, _ in harness.all(1, "e1", "e3")] in (["e1", "e3"], ["e3", "e1"])
    assert harness.all(1, "e2") == []
    tasks.add_speculatable(next(task for task in tasks.running.values() if task.host == "h1"))
    assert harness.all(1, "e2", "e4", "e5", "e6", "e7") == [(0, "e2", NODE)]


# -- what a round means for waits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[["h1"]], [["h1"], ["h2"], ["h1"]]], ids=["all tasks placed", "all cores used"])
def test_a_round_that_turns_nothing_down_begins_the_wait_anew(rows: list[list[str]]) -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit(rows)
    harness.now = 1.0
    assert len(harness.all()) == min(len(rows), 2)
    assert (tasks.timer.last_reset_s, tasks.no_rejects) == (1.0, True)


def test_cores_that_stay_free_after_a_round_were_turned_down() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"]] * 6)
    harness.now = 1.0
    assert harness.all() == [(0, "e1", NODE)]
    harness.now = 2.0
    assert harness.one("e1") == [1]
    assert (tasks.timer.last_reset_s, tasks.no_rejects) == (0.0, False)
    assert harness.offers.wake_s == WAIT_S


def test_cores_that_another_set_uses_in_the_same_round_were_not_turned_down() -> None:
    harness = OffersHarness(*TWO)
    choosy = harness.submit([["h1"]] * 6, stage_id=0)
    harness.submit([[]] * 6, stage_id=1)
    harness.now = 1.0
    assert harness.all() == [(0, "e1", NODE), (0, "e2", PROCESS)]
    assert (choosy.timer.last_reset_s, choosy.no_rejects) == (1.0, True)


def test_a_part_of_what_is_free_does_not_begin_the_wait_anew_once_something_was_turned_down() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"]] * 6)
    assert harness.one("e2") == []
    harness.now = 1.0
    harness.offers.serve_all([WorkerOffer(ExecutorId("e1"), "h1", 1)], harness.now)
    assert len(tasks.running) == 1
    assert tasks.timer.last_reset_s == 0.0


def test_after_a_round_a_set_goes_on_at_the_nearest_level_of_its_launches() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"]] * 9)
    harness.now = WAIT_S
    assert [level for _, _, level in harness.all()] == [NODE, ANY]
    assert tasks.timer.level == NODE
    harness.now = 2 * WAIT_S
    assert [level for _, _, level in harness.all(1, "e2")] == [ANY]
    assert tasks.timer.level == ANY  # it got nothing nearer


# -- barrier sets ----------------------------------------------------------------------------------------------------


def test_slots_for_a_barrier_set_are_counted_in_tasks_and_not_in_cores() -> None:
    harness = OffersHarness(("e1", "h1"), task_cpus=2)
    harness.submit([[]] * 3, is_barrier=True)
    assert harness.all(5) == []
    assert harness.offers.wake_s == module.BARRIER_RETRY_S
    assert len(harness.all(6)) == 3


def test_a_barrier_set_that_runs_asks_for_no_further_offers() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[]] * 3, is_barrier=True)
    assert len(harness.all(2)) == 3
    assert harness.all(1) == []
    assert harness.offers.wake_s == math.inf


def test_a_barrier_set_that_waits_for_near_places_says_until_when() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([["h1"], ["h1"]], is_barrier=True)
    harness.now = 1.0
    assert harness.all() == []
    assert harness.offers.wake_s == WAIT_S


def test_tasks_of_a_barrier_set_get_near_places_where_these_suffice() -> None:
    harness = OffersHarness(*TWO, wait_s=0)
    harness.submit([["h1"], ["h1"]], is_barrier=True)
    assert harness.all(2) == [(0, "e1", NODE), (1, "e1", NODE)]
