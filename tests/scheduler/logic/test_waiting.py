import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.scheduler.logic.locality import Locality
from minispark.scheduler.logic.task_set import TaskSet
from tests.scheduler.logic.offers_harness import WAIT_S, OffersHarness

PROCESS, NODE, NO_PREF, RACK, ANY = Locality


def take(harness: OffersHarness, tasks: TaskSet, executor: str, level: Locality = ANY) -> tuple[int, Locality] | None:
    """Take a task and launch it."""
    host = harness.cluster.executors[ExecutorId(executor)].host if executor in harness.cluster.executors else "h1"
    taken = tasks.take_at(level, ExecutorId(executor), host, harness.now)
    if taken is None:
        return None
    tasks.launched(taken[0], TaskId(harness.next_id), ExecutorId(executor), host, harness.now, *taken[1:])
    harness.next_id += 1
    return taken[0], taken[1]


def levels(tasks: TaskSet) -> tuple[Locality, ...]:
    """Return the levels that are valid now."""
    tasks.recompute_levels()
    return tasks.timer.levels


@pytest.mark.scenario("TSM-003")
def test_levels_that_no_live_executor_can_give_are_left_out_so_that_nothing_waits_for_them() -> None:
    harness = OffersHarness(("e1", "h1"))
    tasks = harness.submit([[("h1", "gone")], [("h2", "e2")], []])
    assert levels(tasks) == (NODE, NO_PREF, ANY)
    elsewhere = harness.submit([["h9"]], stage_id=1)
    assert take(harness, elsewhere, "e1") == (0, ANY)


@pytest.mark.scenario("TSM-004")
def test_a_set_waits_at_each_level_before_it_goes_to_the_next() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([[("h1", "e1")], [("h2", "e2")], ["h1", ("h2", "e2")], []])
    assert take(harness, tasks, "e1") == (0, PROCESS)
    assert take(harness, tasks, "e1", PROCESS) is None
    harness.now = WAIT_S
    assert take(harness, tasks, "e1", NODE) == (2, NODE)
    assert take(harness, tasks, "e2", NODE) == (1, PROCESS)
    assert take(harness, tasks, "e2", NODE) is None
    assert take(harness, tasks, "e2", NO_PREF) == (3, PROCESS)


@pytest.mark.scenario("TSM-005")
def test_when_only_tasks_without_preference_are_left_nothing_is_waited_for() -> None:
    harness = OffersHarness(("e1", "h1"), ("e3", "h2"))
    tasks = harness.submit([[("h1", "e1")], [("h2", "e3")], []])
    assert take(harness, tasks, "e1", PROCESS) == (0, PROCESS)
    assert take(harness, tasks, "e3", PROCESS) == (1, PROCESS)
    assert take(harness, tasks, "e3", NODE) is None
    assert take(harness, tasks, "e3", NO_PREF) == (2, PROCESS)


@pytest.mark.scenario("TSM-006")
def test_a_set_that_gave_a_level_up_comes_back_to_it_with_a_near_launch() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e3", "h3"), legacy=True)
    harness.submit([["h1"], ["h2"], ["h2"], ["h3"], ["h2"]])
    assert harness.one("e1") == [0]
    assert harness.one("e1") == []
    harness.now += WAIT_S
    assert harness.one("e1") == [1]
    assert harness.one("e1") == [2]
    assert harness.one("e2") == [4]
    assert harness.one("e2") == []
    harness.now += WAIT_S
    assert harness.one("e2") == [3]


@pytest.mark.scenario("TSM-007")
def test_tasks_that_prefer_a_failed_host_wait_like_others_and_run_elsewhere() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e3", "h3"))
    tasks = harness.submit([["h1"], ["h2"], ["h3"]])
    assert take(harness, tasks, "e1") == (0, NODE)
    assert take(harness, tasks, "e1") is None
    harness.cluster.remove(ExecutorId("e2"))
    assert take(harness, tasks, "e1") is None
    harness.now = 2 * WAIT_S
    assert take(harness, tasks, "e1") == (1, ANY)
    assert take(harness, tasks, "e1") == (2, ANY)
    assert take(harness, tasks, "e1") is None


@pytest.mark.scenario("TSM-008")
def test_the_levels_follow_the_executors_that_come_and_go() -> None:
    harness = OffersHarness(racks={"h2": "rack2"})
    tasks = harness.submit([[("h1", "eA")], [("h1", "eB")], [("h2", "eC")], []])

    assert levels(tasks) == (NO_PREF, ANY)
    harness.add("eD", "h1")
    assert levels(tasks) == (NODE, NO_PREF, ANY)
    harness.add("eC", "h2")
    assert levels(tasks) == (PROCESS, NODE, NO_PREF, RACK, ANY)
    harness.cluster.remove(ExecutorId("eC"))
    assert levels(tasks) == (NODE, NO_PREF, ANY)
    harness.cluster.remove(ExecutorId("eD"))
    assert levels(tasks) == (NO_PREF, ANY)


@pytest.mark.scenario("TSM-009")
def test_an_executor_near_the_data_that_appears_late_is_waited_for() -> None:
    harness = OffersHarness(("e1", "h1"))
    tasks = harness.submit([[("h2", "e2")], [("h2", "e2")]])
    assert take(harness, tasks, "e1") == (0, ANY)
    harness.add("e2", "h2")
    assert take(harness, tasks, "e1") is None
    assert tasks.timer.level == PROCESS
    assert take(harness, tasks, "e2") == (1, PROCESS)


@pytest.mark.scenario("TSM-010")
def test_executors_and_hosts_that_go_away_make_no_level() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h1"))
    tasks = harness.submit([[("h1", "e1")]])
    assert levels(tasks) == (PROCESS, NODE, ANY)
    harness.cluster.decommission(ExecutorId("e1"), "drained", 0.0, False)
    assert levels(tasks) == (NODE, ANY)
    harness.cluster.decommission(ExecutorId("e2"), "drained", 0.0, True)
    assert levels(tasks) == (ANY,)


@pytest.mark.scenario("TSM-011")
def test_a_task_runs_in_the_rack_of_its_data_rather_than_in_another() -> None:
    harness = OffersHarness(("eA", "h1"), ("eB", "h2"), ("eC", "h3"), racks={"h1": "r1", "h2": "r1", "h3": "r2"})
    tasks = harness.submit([[("h1", "eA")], [("h1", "eA")]])
    assert levels(tasks) == (PROCESS, NODE, RACK, ANY)
    harness.now = 3 * WAIT_S
    assert take(harness, tasks, "eC", RACK) is None
    assert take(harness, tasks, "eC", ANY) == (0, ANY)
    assert take(harness, tasks, "eB", RACK) == (1, RACK)


@pytest.mark.scenario("TSM-012")
def test_tasks_without_preference_and_second_attempts_come_after_node_local_ones() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"), ("e3", "h3"))
    tasks = harness.submit([["h1", ("h2", "e2")], ["h1", "h3"], ["h2"], []])
    assert take(harness, tasks, "e1", PROCESS) is None
    assert take(harness, tasks, "e1", NO_PREF) == (0, NODE)
    assert tasks.add_speculatable(next(iter(tasks.running.values())))
    assert take(harness, tasks, "e1", NO_PREF) == (1, NODE)
    assert take(harness, tasks, "e2", PROCESS) == (0, PROCESS)  # the second attempt, on the other executor it prefers
    assert take(harness, tasks, "e2", NO_PREF) == (2, NODE)
    assert take(harness, tasks, "e2", NO_PREF) == (3, PROCESS)


def test_a_second_attempt_never_goes_where_the_first_one_is() -> None:
    harness = OffersHarness(("e1", "h1"), ("e1b", "h1"), ("e2", "h2"), wait_s=0)
    tasks = harness.submit([["h1"]])
    assert take(harness, tasks, "e1") == (0, NODE)
    assert tasks.add_speculatable(next(iter(tasks.running.values())))
    assert not tasks.add_speculatable(next(iter(tasks.running.values())))
    assert take(harness, tasks, "e1b") is None
    assert take(harness, tasks, "e2") == (0, ANY)
    assert not tasks.has_pending()


@pytest.mark.scenario("TSM-013")
def test_node_local_tasks_do_not_wait_when_nobody_prefers_an_executor() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1"], ["h2"], []])
    assert take(harness, tasks, "e1", NODE) == (0, NODE)
    assert take(harness, tasks, "e2", NODE) == (1, NODE)
    assert take(harness, tasks, "e2", NODE) is None
    assert take(harness, tasks, "e1", NO_PREF) == (2, PROCESS)


@pytest.mark.scenario("TSM-014", "4939: node-local right after process-local finished")
def test_node_local_tasks_run_as_soon_as_the_process_local_ones_do() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([["h1"], ["h2"], [("h1", "e1")], [("h2", "e2")]])
    assert take(harness, tasks, "e1") == (2, PROCESS)
    assert take(harness, tasks, "e2") == (3, PROCESS)
    assert take(harness, tasks, "e1") == (0, NODE)
    assert take(harness, tasks, "e2") == (1, NODE)


@pytest.mark.scenario("TSM-014", "no-pref after process-local")
def test_tasks_without_preference_run_as_soon_as_the_process_local_ones_do() -> None:
    harness = OffersHarness(("e1", "h1"), ("e2", "h2"))
    tasks = harness.submit([[], [("h1", "e1")], [("h2", "e2")]])
    assert take(harness, tasks, "e1", PROCESS) == (1, PROCESS)
    assert take(harness, tasks, "e2", PROCESS) == (2, PROCESS)
    assert take(harness, tasks, "e1", NODE) is None
    assert take(harness, tasks, "e1") == (0, PROCESS)


@pytest.mark.scenario("TSM-015")
def test_a_set_goes_on_after_levels_were_added() -> None:
    harness = OffersHarness()
    tasks = harness.submit([[], [("h1", "eA")]])
    assert levels(tasks) == (NO_PREF, ANY)
    harness.now = 2 * WAIT_S
    harness.add("eB", "h2")
    assert take(harness, tasks, "eB", NO_PREF) == (0, PROCESS)
    harness.add("eA", "h1")
    harness.add("eB2", "h2")
    assert levels(tasks) == (PROCESS, NODE, ANY)
    assert take(harness, tasks, "eA") == (1, PROCESS)
