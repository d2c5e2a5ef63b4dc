import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId
from minispark.messages.task import TaskKilled
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic import offers as module
from minispark.scheduler.logic.locality import Locality
from tests.scheduler.logic.offers_harness import WAIT_S, OffersHarness

PROCESS, NODE, NO_PREF, RACK, ANY = Locality
TWO = (("e1", "h1"), ("e2", "h2"))


class Refusing:
    """An exclusion that refuses some executors for the whole set, and some tasks anywhere."""

    def __init__(self, *executor_ids: str, tasks: tuple[int, ...] = ()) -> None:
        self.executor_ids = executor_ids
        self.tasks = tasks

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        return executor_id in self.executor_ids

    def refuses_task(self, index: int, executor_id: ExecutorId, host: str) -> bool:
        return index in self.tasks

    def has_failures(self) -> bool:
        return True


@pytest.mark.scenario("TSM-002")
def test_tasks_without_preferences_go_to_all_that_is_offered_in_turn() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[], [], []])
    launched = harness.all(2)
    assert sorted(index for index, _, _ in launched) == [0, 1, 2]
    assert {executor for _, executor, _ in launched[:2]} == {"e1", "e2"}


@pytest.mark.scenario("TSI-001")
def test_the_same_executor_is_not_always_the_first() -> None:
    harness = OffersHarness(*TWO)
    first = []
    for stage_id in range(100):
        harness.submit([[]], stage_id=stage_id)
        first.append(harness.all()[0][1])
    counts = Counter(first)
    assert min(counts["e1"], counts["e2"]) > 20


def test_the_order_by_chance_is_that_of_the_seed() -> None:
    def order(seed: int) -> list[str]:
        harness = OffersHarness(*((f"e{number}", "h1") for number in range(20)), seed=seed)
        harness.submit([[]] * 20)
        return [executor for _, executor, _ in harness.all()]

    assert order(1) == order(1) != order(2)


@pytest.mark.scenario("TSI-002")
def test_no_more_is_launched_than_the_cores_of_tasks_that_take_several() -> None:
    harness = OffersHarness(("e1", "h1"), task_cpus=2)
    harness.submit([[]] * 5)
    assert harness.one("e1", 5) == [0, 1]
    assert harness.one("e1", 1) == []


@pytest.mark.scenario("TSI-003")
def test_parts_of_what_is_free_begin_the_wait_anew_as_long_as_nothing_was_turned_down() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[("h1", "e1")]] * 4)
    assert harness.one("e1") == [0]
    harness.now = 2.0
    assert harness.one("e1") == [1]
    harness.now = 4.0  # longer than the wait after the first launch, shorter after the second
    assert harness.one("e2") == []
    harness.now = 5.0
    assert harness.one("e2") == []  # the node is not near enough yet for another host
    harness.now = 2.0 + 2 * WAIT_S
    assert harness.one("e2") == [2]


@pytest.mark.scenario("TSI-004")
def test_using_up_everything_begins_the_wait_anew() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"]] * 4)
    assert harness.one("e2") == []
    harness.now = 2.0
    assert harness.one("e1", is_all_free=True) == [0]
    assert (tasks.timer.last_reset_s, tasks.no_rejects) == (2.0, True)
    harness.now = 4.0
    assert harness.one("e2") == []
    harness.now = 2.0 + WAIT_S
    assert harness.one("e2") == [1]


@pytest.mark.scenario("TSI-005")
def test_a_set_without_preferences_does_not_take_the_place_for_which_another_waits_in_vain() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    choosy = harness.submit([[("h1", "e1")], [("h1", "e1")]], stage_id=0)
    plain = harness.submit([[]] * 20, stage_id=1)
    assert harness.one("e1") == [0]
    assert len(choosy.running) == 1
    for _ in range(6):  # what the first set turns down, the second takes, again and again
        harness.now += 1.0
        harness.one("e2")
    assert len(plain.running) == 5
    assert len(choosy.running) == 2  # its wait went on all the time


@pytest.mark.scenario("TSI-006")
def test_parts_count_again_after_everything_was_used_up() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"]] * 6)
    assert harness.one("e2") == []
    harness.now = 1.0
    assert harness.one("e1") == [0]
    assert tasks.timer.last_reset_s == 0.0
    assert harness.one("e1", is_all_free=True) == [1]
    assert tasks.timer.last_reset_s == 1.0
    harness.now = 2.0
    assert harness.one("e1") == [2]
    assert tasks.timer.last_reset_s == 2.0


@pytest.mark.scenario("TSI-007")
def test_after_anything_was_turned_down_parts_do_not_begin_the_wait_anew() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([["h1"]] * 6)
    assert harness.one("e1") == [0]
    harness.now = 1.0
    assert harness.one("e2") == []
    harness.now = 2.9
    assert harness.one("e1") == [1]
    harness.now = WAIT_S
    assert harness.one("e2") == [2]


def test_a_core_that_another_set_uses_was_not_turned_down_in_vain() -> None:
    harness = OffersHarness(*TWO)
    choosy = harness.submit([["h1"]] * 6, stage_id=0)
    harness.submit([[]] * 20, stage_id=1)
    assert harness.one("e1") == [0]
    for _ in range(3):  # a busy cluster: cores that it lets pass are used, so its own launch starts the wait anew
        harness.now += WAIT_S - 1
        assert len(harness.one("e2")) == 1
        harness.one("e1")
    assert (len(choosy.running), choosy.timer.last_reset_s) == (4, harness.now)


@pytest.mark.scenario("TSI-008", "locality still used for bulk offers when waits are 0")
def test_without_waits_a_round_still_gives_each_task_the_nearest_place() -> None:
    harness = OffersHarness(("e1", "h1"), ("e1b", "h1"), ("e2", "h2"), ("e3", "h3"), wait_s=0)
    harness.submit([[("h1", "e1")], [("h1", "e1")], ["h2"], ["h9"]])
    assert sorted(harness.all()) == [(0, "e1", PROCESS), (1, "e1b", NODE), (2, "e2", NODE), (3, "e3", ANY)]


@pytest.mark.scenario("TSI-008", "with waits 0 any level accepted at once")
def test_without_waits_any_place_is_taken_at_once() -> None:
    harness = OffersHarness(*TWO, wait_s=0)
    harness.submit([[("h1", "e1")], [("h1", "e1")]])
    assert harness.one("e2", 2) == [0, 1]


@pytest.mark.scenario("TSI-009")
def test_an_executor_added_to_a_known_host_changes_the_levels() -> None:
    harness = OffersHarness(("e0", "h0"))
    harness.submit([[("h0", "e1")], [("h0", "e1")]])
    assert harness.all() == [(0, "e0", NODE)]
    harness.add("e1", "h0")
    assert harness.all(1, "e0") == []
    assert harness.all(1, "e1") == [(1, "e1", PROCESS)]


def test_a_set_that_turned_an_offer_down_says_when_it_would_take_it() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([["h1"]])
    harness.now = 1.0
    assert harness.one("e2") == []
    harness.offers.wake_s = math.inf
    assert harness.one("e2") == []  # the second time without a look at its tasks
    assert harness.offers.wake_s == WAIT_S


def test_a_core_that_stays_free_was_turned_down_even_if_the_set_was_not_asked_again() -> None:
    harness = OffersHarness(*TWO)
    choosy = harness.submit([["h1"]] * 2, stage_id=0)
    harness.submit([[]], stage_id=1)
    assert len(harness.one("e2")) == 1  # the other set's
    assert choosy.no_rejects
    assert harness.one("e2") == []
    assert not choosy.no_rejects


def test_after_an_offer_a_set_goes_on_at_the_nearest_level_of_its_launches() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"], ["h2"], ["h1"], ["h1"], ["h1"]])
    harness.now = WAIT_S
    assert harness.one("e2", 2) == [1, 0]
    assert tasks.timer.level == NODE
    harness.now = 2 * WAIT_S
    assert len(harness.one("e2")) == 1
    assert tasks.timer.level == ANY  # it got nothing nearer


def test_by_the_legacy_rule_too_a_set_goes_on_at_the_level_of_its_last_launch() -> None:
    harness = OffersHarness(*TWO, legacy=True)
    tasks = harness.submit([["h1"]] * 3)
    harness.now = WAIT_S
    assert harness.one("e2") == [0]
    assert (tasks.timer.level, tasks.timer.last_reset_s) == (ANY, WAIT_S)
    assert harness.one("e1") == [1]
    assert tasks.timer.level == NODE


def test_the_legacy_rule_begins_the_wait_anew_with_every_launch() -> None:
    harness = OffersHarness(*TWO, legacy=True)
    harness.submit([["h1"]] * 9)
    for second in range(6):
        harness.now = second * 2.0
        assert harness.one("e2") == []
        assert harness.one("e1") == [second]


def test_who_the_application_has_left_gets_nothing() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[], []])
    harness.offers.exclusion = Refusing("e1")
    assert harness.one("e1") == []
    assert [executor for _, executor, _ in harness.all(1)] == ["e2"]


def test_a_set_that_has_left_an_executor_does_not_wait_for_it() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"], ["h2"]])
    tasks.exclusion = Refusing("e1", tasks=(1,))
    assert harness.one("e1") == []
    assert harness.offers.wake_s == math.inf
    harness.now = WAIT_S
    assert harness.one("e2") == [0]
    assert tasks.has_pending()


# -- rounds in slices ------------------------------------------------------------------------------------------------


def test_a_large_round_goes_over_several_steps_and_sees_what_happens_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SLICE_COST", 5 * module.LAUNCH_COST)
    harness = OffersHarness(*((f"e{number}", "h1") for number in range(20)))
    harness.submit([[]] * 30)
    offers = [WorkerOffer(executor.executor_id, "h1", 1) for executor in harness.cluster.executors.values()]
    assert not harness.offers.step(offers, 0.0)
    assert len(harness.launched) == 5
    gone = next(offer for offer in offers if offer.cores)
    harness.cluster.remove(gone.executor_id)
    while not harness.offers.step([], 0.0):
        harness.check()
    assert len(harness.launched) == 19
    assert gone.cores == 1


# -- barrier stages --------------------------------------------------------------------------------------------------


@pytest.mark.scenario("TSI-029", "not scheduled with fewer slots than tasks")
def test_a_barrier_set_does_not_run_in_part() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[]] * 3, is_barrier=True)
    assert harness.all(1) == []
    assert harness.offers.wake_s == module.BARRIER_RETRY_S


@pytest.mark.scenario("TSI-029", "launched together otherwise")
def test_a_barrier_set_runs_as_a_whole() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[]] * 3, is_barrier=True)
    assert len(harness.all(2)) == 3
    assert harness.together == [[0, 1, 2]]


@pytest.mark.scenario("TSI-030")
def test_slots_that_a_set_before_took_are_not_counted_for_a_barrier_set() -> None:
    harness = OffersHarness(*TWO)
    harness.submit([[], []], stage_id=0)
    harness.submit([[], [], []], stage_id=1, is_barrier=True)
    assert len(harness.all(2)) == 2
    assert harness.together == []


@pytest.mark.scenario("TSI-031")
def test_a_barrier_set_starts_nothing_more_after_a_failure() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([[], []], is_barrier=True)
    harness.all(1)
    tasks.failed(next(iter(tasks.running)), TaskKilled("moved"))
    assert tasks.is_zombie
    assert not tasks.has_pending()


@pytest.mark.scenario("TSI-032", "24818: delay scheduling for barrier sets")
@pytest.mark.scenario("TSI-032", "resources of partially filled barrier set given back")
def test_a_barrier_set_that_waits_for_near_places_gives_back_what_it_could_have() -> None:
    harness = OffersHarness(*TWO)
    tasks = harness.submit([["h1"], ["h1"]], stage_id=0, is_barrier=True)
    harness.submit([[]], stage_id=1)
    assert harness.all(1) == [(0, harness.launched[0][1], PROCESS)]  # the other set's task
    assert len(tasks.running) == 0
    assert tasks.pending.waiting[ANY] == 2
    harness.now = WAIT_S
    assert sorted(locality for _, _, locality in harness.all(1)) == [NODE, ANY]
    assert harness.together == [[0, 1]]


def test_a_barrier_set_that_waits_keeps_no_more_of_its_tasks_with_each_offer() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1", "h3"], ["h1", "h3"], ["h1", "h3"]], is_barrier=True)
    kept = {host: bytes(stack) for host, stack in tasks.pending.hosts.items()}
    for _ in range(5):
        harness.all(2)
    assert harness.together == []
    assert {host: bytes(stack) for host, stack in tasks.pending.hosts.items()} == kept


# -- the decisions are those of the plain loops ----------------------------------------------------------------------

PLACE = st.sampled_from(["h0", "h1", "h2", ("h0", "e0"), ("h1", "e1"), "h9"])
ROWS = st.lists(st.lists(PLACE, max_size=2, unique=True), min_size=1, max_size=6)


@given(
    ROWS, st.sampled_from([4, 16]), st.integers(1, 2), st.sampled_from([0.0, 2.9, 3.0, 6.0, 9.0]), st.integers(0, 5)
)
def test_a_round_launches_what_the_plain_loops_over_levels_and_offers_do(
    rows: list[list[str | tuple[str, str]]], count: int, cores: int, now: float, seed: int
) -> None:
    executors = [(f"e{number}", f"h{number % 3}") for number in range(count)]
    racks = {"h0": "r0", "h1": "r0", "h2": "r1"}
    quick = OffersHarness(*executors, racks=racks, seed=seed)
    plain = OffersHarness(*executors, racks=racks, seed=seed)
    quick.submit(rows)
    tasks = plain.submit(rows)
    quick.now = plain.now = now
    offers = [WorkerOffer(ExecutorId(name), host, cores) for name, host in executors]
    plain.offers.shuffle(offers)
    tasks.recompute_levels()
    for level in tasks.timer.levels:
        while sum(launch_one(plain, offer, level) for offer in offers):
            pass
    assert quick.all(cores) == plain.launched


def launch_one(harness: OffersHarness, offer: WorkerOffer, level: Locality) -> bool:
    """Let one offer take one task, as the plain loops do."""
    (tasks,) = harness.tree.sorted()
    taken = tasks.take_at(level, offer.executor_id, offer.host, harness.now) if offer.cores else None
    return taken is not None and harness.launch(tasks, offer, taken)
