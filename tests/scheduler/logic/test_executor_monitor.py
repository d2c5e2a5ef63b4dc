"""minispark.scheduler.logic.executor_monitor: who has been idle for too long."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, JobId, RddId, ShuffleId, StageId
from minispark.scheduler.logic.executor_monitor import Departures, ExecutorMonitor, MonitorRules

E1, E2, E3 = ExecutorId("1"), ExecutorId("2"), ExecutorId("3")
MAP, OTHER = StageId(1), StageId(2)
SHUFFLE, SECOND = ShuffleId(7), ShuffleId(8)
RDD = RddId(5)
RULES = MonitorRules(idle_s=60.0, cached_s=100.0, shuffle_s=200.0)


def monitor(*executors: ExecutorId, rules: MonitorRules = RULES) -> ExecutorMonitor:
    """Return a monitor of executors that came at 0."""
    made = ExecutorMonitor(rules)
    for executor_id in executors or (E1,):
        made.added(executor_id, 0.0)
    return made


def late(watched: ExecutorMonitor, now: float) -> list[ExecutorId]:
    watched.check()
    return watched.timed_out(now)


def run(watched: ExecutorMonitor, stage_id: StageId, start: float, end: float, executor_id: ExecutorId = E1) -> None:
    """Have a task of a stage run on an executor."""
    watched.task_started(executor_id, start)
    watched.task_ended(executor_id, stage_id, end, succeeded=True)


@pytest.mark.scenario("DYN-012", "monitor: idle timeout")
def test_an_executor_is_idle_from_when_it_came_and_from_its_last_task() -> None:
    watched = monitor()
    assert (late(watched, 59.9), late(watched, 60.0)) == ([], [E1])
    watched.task_started(E1, 60.0)
    assert late(watched, 1000.0) == []
    watched.task_ended(E1, OTHER, 1000.0, succeeded=False)
    assert (late(watched, 1059.9), late(watched, 1060.0)) == ([], [E1])


@pytest.mark.scenario("DYN-012", "running-task count")
def test_an_executor_is_busy_as_long_as_any_task_runs() -> None:
    watched = monitor()
    watched.task_started(E1, 1.0)
    watched.task_started(E1, 2.0)
    watched.task_ended(E1, OTHER, 3.0, succeeded=True)
    assert late(watched, 500.0) == []
    watched.task_ended(E1, OTHER, 500.0, succeeded=True)
    assert late(watched, 560.0) == [E1]


@pytest.mark.scenario("DYN-012", "out-of-order task events")
def test_tasks_may_be_heard_of_before_their_executor_and_ends_before_starts() -> None:
    watched = ExecutorMonitor(RULES)
    watched.task_ended(E2, OTHER, 1.0, succeeded=True)
    assert watched.num_executors == 0
    watched.task_started(E1, 1.0)
    watched.added(E1, 2.0)
    assert (watched.num_executors, late(watched, 500.0)) == (1, [])
    watched.task_ended(E1, OTHER, 500.0, succeeded=True)
    watched.task_ended(E1, OTHER, 501.0, succeeded=True)
    watched.task_started(E1, 502.0)
    assert late(watched, 1000.0) == []


@pytest.mark.scenario("DYN-012", "cached-block timeout")
def test_cached_partitions_keep_an_executor_for_a_time_of_their_own() -> None:
    watched = monitor()
    watched.block_updated(E1, RDD, 0, True, 1.0)
    watched.block_updated(E1, RDD, 1, True, 1.0)
    assert (late(watched, 99.0), late(watched, 100.0)) == ([], [E1])
    watched.block_updated(E1, RDD, 0, False, 101.0)
    watched.block_updated(E1, RDD, 9, False, 101.0)
    assert watched.executors[E1].deadline_s == 100.0
    watched.block_updated(E1, RDD, 1, False, 102.0)
    assert watched.executors[E1].deadline_s == 60.0
    for_ever = monitor(rules=MonitorRules())
    for_ever.block_updated(E1, RDD, 0, True, 1.0)
    assert late(for_ever, 1e9) == []


@pytest.mark.scenario("DYN-012", "per-RDD block tracking")
def test_the_partitions_of_each_rdd_count_until_it_is_persisted_no_more() -> None:
    watched = monitor(E1, E2)
    for rdd_id in (RddId(1), RddId(2)):
        watched.block_updated(E1, rdd_id, 0, True, 0.0)
    watched.block_updated(E2, RddId(1), 0, True, 0.0)
    watched.rdd_removed(RddId(1), 1.0)
    assert late(watched, 60.0) == [E2]
    watched.rdd_removed(RddId(2), 61.0)
    assert late(watched, 61.0) == [E1, E2]


def test_blocks_of_an_executor_that_is_gone_bring_it_back_only_if_it_has_some() -> None:
    watched = ExecutorMonitor(RULES)
    watched.block_updated(E1, RDD, 0, False, 1.0)
    assert watched.num_executors == 0
    watched.block_updated(E1, RDD, 0, True, 1.0)
    assert late(watched, 101.0) == [E1]


@pytest.mark.scenario("DYN-012", "several executors")
@pytest.mark.scenario("DYN-012", "deterministic order")
def test_those_that_are_late_are_named_in_the_order_in_which_they_came() -> None:
    names = [ExecutorId(str(number)) for number in (30, 4, 100, 2)]
    watched = monitor(*names)
    run(watched, OTHER, 10.0, 20.0, names[1])
    assert late(watched, 60.0) == [names[0], names[2], names[3]]
    assert watched.next_deadline_s == 80.0
    assert late(watched, 80.0) == names


@pytest.mark.scenario("DYN-012", "pending removal")
def test_an_executor_that_was_told_to_go_is_not_named_again() -> None:
    watched = monitor(E1, E2, E3)
    watched.killed([E1, ExecutorId("99")])
    watched.decommissioned([E2, ExecutorId("99")])
    assert late(watched, 60.0) == [E3]
    assert (watched.num_executors, watched.num_going) == (3, 2)
    watched.removed(E1, in_order=False)
    assert (watched.num_executors, watched.num_going) == (2, 1)


@pytest.mark.scenario("DYN-012", "shuffle tracking (several executors, concurrent jobs)")
def test_map_outputs_keep_their_executors_while_any_job_may_read_them() -> None:
    watched = monitor(E1, E2)
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 0.0)
    watched.job_started(JobId(2), [(MAP, SHUFFLE), (OTHER, SECOND)], 0.0)
    run(watched, MAP, 0.0, 1.0, E1)
    run(watched, OTHER, 0.0, 1.0, E2)
    watched.job_ended(JobId(1), 2.0)
    assert late(watched, 1e6) == []
    watched.job_ended(JobId(2), 3.0)
    assert (late(watched, 200.9), late(watched, 201.0)) == ([], [E1, E2])
    watched.job_started(JobId(3), [(MAP, SHUFFLE)], 202.0)  # which reads what is there
    assert late(watched, 1e6) == [E2]
    watched.job_ended(JobId(3), 1e6)
    watched.shuffle_forgotten(SHUFFLE, 1e6)
    assert watched.executors[E1].deadline_s == 61.0


def test_the_output_of_a_failed_task_keeps_nobody() -> None:
    watched = monitor()
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 0.0)
    watched.task_started(E1, 0.0)
    watched.task_ended(E1, MAP, 1.0, succeeded=False)
    assert late(watched, 61.0) == [E1]


def test_map_outputs_that_are_handed_over_keep_their_new_executor() -> None:
    watched = monitor(E1, E2)
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 0.0)
    run(watched, MAP, 0.0, 1.0)
    watched.output_moved(E2, SHUFFLE, 2.0)
    watched.output_moved(E3, SHUFFLE, 2.0)
    watched.removed(E1, in_order=True)
    assert late(watched, 1e6) == []
    watched.job_ended(JobId(1), 3.0)
    assert late(watched, 1e6) == [E2]


def test_a_job_that_reads_what_was_there_before_any_job_keeps_its_executor() -> None:
    watched = monitor()
    watched.output_moved(E1, SHUFFLE, 0.0)
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 1.0)
    assert late(watched, 1e6) == []


def test_where_a_service_keeps_map_outputs_they_keep_nobody() -> None:
    watched = monitor(rules=MonitorRules(tracks_shuffles=False))
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 0.0)
    run(watched, MAP, 0.0, 1.0)
    watched.output_moved(E1, SHUFFLE, 1.0)
    assert late(watched, 61.0) == [E1]


@pytest.mark.scenario("DYN-012", "max of shuffle and cache timeouts")
@pytest.mark.parametrize(("cached_s", "shuffle_s"), [(100.0, 200.0), (200.0, 100.0)])
def test_the_longer_time_counts_for_who_has_both(cached_s: float, shuffle_s: float) -> None:
    watched = monitor(rules=MonitorRules(60.0, cached_s, shuffle_s))
    watched.job_started(JobId(1), [(MAP, SHUFFLE)], 0.0)
    run(watched, MAP, 0.0, 0.0)
    watched.job_ended(JobId(1), 0.0)
    watched.block_updated(E1, RDD, 0, True, 0.0)
    assert (late(watched, 199.0), late(watched, 200.0)) == ([], [E1])


@pytest.mark.scenario("DYN-012", "overflow")
def test_a_very_long_time_is_no_time_in_the_past() -> None:
    watched = monitor(rules=MonitorRules(idle_s=1e300))
    run(watched, OTHER, 1e9, 2e9)
    assert late(watched, 1e12) == []
    assert late(monitor(rules=MonitorRules(idle_s=math.inf)), 1e12) == []


@pytest.mark.scenario("DYN-008")
def test_it_is_counted_how_executors_went() -> None:
    names = [ExecutorId(str(number)) for number in range(5)]
    watched = monitor(*names)
    watched.killed(names[:1])
    watched.decommissioned(names[1:4])
    for executor_id in names[:3]:
        watched.removed(executor_id, in_order=executor_id != names[2])
    watched.removed(names[3], in_order=True)
    watched.removed(names[4], in_order=False)
    watched.removed(ExecutorId("99"), in_order=False)
    assert watched.departures == Departures(2, 1, 1, 1)


def take(watched: ExecutorMonitor, kind: str, number: int, now: float) -> None:
    """Have one thing happen."""
    name, shuffle_id = ExecutorId(str(number)), ShuffleId(number)
    actions = {
        "added": lambda: watched.added(name, now),
        "removed": lambda: watched.removed(name, in_order=True),
        "start": lambda: watched.task_started(name, now),
        "end": lambda: watched.task_ended(name, MAP, now, succeeded=True),
        "block": lambda: watched.block_updated(name, RDD, number, True, now),
        "unpersist": lambda: watched.rdd_removed(RDD, now),
        "job": lambda: watched.job_started(JobId(number), [(MAP, shuffle_id)], now),
        "job's end": lambda: watched.job_ended(JobId(number), now),
        "killed": lambda: watched.killed([name]),
        "moved": lambda: watched.output_moved(name, shuffle_id, now),
        "forgotten": lambda: watched.shuffle_forgotten(shuffle_id, now),
    }
    actions[kind]()


KINDS = ["added", "removed", "start", "end", "block", "unpersist", "job", "job's end", "killed", "moved", "forgotten"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.floats(0.0, 50.0)), max_size=40))
def test_what_is_known_agrees_whatever_comes_in_whatever_order(steps: list[tuple[str, int, float]]) -> None:
    watched, now = ExecutorMonitor(RULES), 0.0
    for kind, number, passed_s in steps:
        now += passed_s
        take(watched, kind, number, now)
        expected = [e.executor_id for e in watched.executors.values() if e.deadline_s <= now and not e.is_going]
        assert late(watched, now) == expected
        assert watched.next_deadline_s > now
