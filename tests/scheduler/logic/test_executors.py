from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import (
    ExecutorDecommission,
    ExecutorExited,
    ExecutorKilled,
    ExecutorLossReason,
    ExecutorProcessLost,
    LossReasonPending,
)
from minispark.scheduler.logic.executors import (
    MAX_REMEMBERED,
    Decommission,
    ExecutorTable,
    Loss,
    RequestTimes,
    exit_reason,
    loss_of,
)

ONE, TWO, THREE = ExecutorId("1"), ExecutorId("2"), ExecutorId("3")
LOST = ExecutorProcessLost("the line was cut")


def table(*executor_ids: ExecutorId, cores: int = 4, task_cpus: int = 1) -> ExecutorTable:
    """Return a table of executors that can take tasks."""
    made = ExecutorTable(task_cpus)
    for executor_id in executor_ids:
        assert made.register(executor_id, f"host-{executor_id}", cores) is not None
        assert made.launched(executor_id) is not None
    return made


def run(table: ExecutorTable, executor_id: ExecutorId, task_id: int, cpus: int = 1) -> None:
    """Launch a task as the scheduler does."""
    table.executors[executor_id].offer.cores -= cpus
    table.task_launched(executor_id, TaskId(task_id), cpus)
    table.check()


def test_an_executor_is_offered_once_it_has_launched() -> None:
    made = ExecutorTable()
    assert made.register(ONE, "host", 4) is not None
    assert made.free_offers() == []
    assert made.launched(ONE) is not None
    assert [offer.cores for offer in made.free_offers()] == [4]
    assert made.launched(ONE) is None
    assert made.launched(TWO) is None


def test_an_id_is_given_once_also_after_its_executor_is_gone() -> None:
    made = table(ONE)
    assert made.register(ONE, "elsewhere", 4) is None
    made.remove(ONE, LOST)
    assert made.register(ONE, "elsewhere", 4) is None


def test_the_cores_of_an_ended_task_come_back_once() -> None:
    made = table(ONE)
    run(made, ONE, 7, cpus=3)
    offer = made.task_ended(ONE, TaskId(7))
    assert offer is not None
    assert made.task_ended(ONE, TaskId(7)) is None
    assert made.task_ended(TWO, TaskId(7)) is None
    assert offer.cores == 4
    made.check()


Leave = Callable[[ExecutorTable], object]


@pytest.mark.parametrize(
    "leave",
    [
        lambda table: table.loss_pending(ONE),
        lambda table: table.kill([ONE], force=True, replace=True),
        lambda table: table.decommission(ONE, Decommission("maintenance")),
    ],
)
def test_who_leaves_is_offered_no_more_not_even_what_its_tasks_free(leave: Leave) -> None:
    made = table(ONE, TWO)
    run(made, ONE, 7)
    leave(made)
    assert [offer.executor_id for offer in made.free_offers()] == [TWO]
    assert made.task_ended(ONE, TaskId(7)) is None
    assert made.executors[ONE].offer.cores == 0
    assert made.max_concurrent_tasks == 4
    made.check()


def test_the_most_tasks_at_once_count_whole_tasks_of_each_executor_busy_or_not() -> None:
    made = table(ONE, TWO, cores=5, task_cpus=2)
    run(made, ONE, 1, cpus=2)
    assert made.max_concurrent_tasks == 4
    assert made.total_cores == 10


def test_a_silent_executor_is_news_once() -> None:
    made = table(ONE)
    assert made.loss_pending(ONE)
    assert not made.loss_pending(ONE)
    assert not made.loss_pending(TWO)


# -- killing ---------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("SDA-002")
def test_an_executor_is_killed_once() -> None:
    made = table(ONE, TWO)
    assert made.kill([ONE], force=False, replace=False) == [ONE]
    assert made.want_fewer(1, 0.0) == 1
    assert made.kill([ONE], force=False, replace=False) == []
    assert made.target == 1


@pytest.mark.scenario("SDA-004")
def test_busy_executors_are_killed_by_force_alone() -> None:
    made = table(ONE, TWO)
    run(made, ONE, 7)
    assert made.kill([ONE, TWO, THREE], force=False, replace=False) == [TWO]
    assert made.kill([ONE], force=True, replace=False) == [ONE]


@pytest.mark.scenario("CGB-004", "executor request decreased/adjusted")
def test_kills_and_requests_change_how_many_are_wanted() -> None:
    made = table(ONE, TWO)
    assert made.current_target == 2
    assert made.request_more(3, 0.0) == 5
    made.kill([ONE], force=True, replace=False)
    assert made.want_fewer(1, 1.0) == 4
    assert made.request_total(1, 2.0) == 1
    assert made.want_fewer(4, 3.0) == 0


def test_of_as_many_as_there_are_the_killed_are_wanted_no_more() -> None:
    made = table(ONE, TWO, THREE)
    killed = made.kill([ONE, TWO], force=True, replace=False)
    assert made.want_fewer(len(killed), 0.0) == 1


# -- going -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "reason", "loss"),
    [
        (lambda _: None, LOST, Loss("the line was cut", True)),
        (lambda made: made.kill([ONE], force=True, replace=False), LOST, Loss("the driver had it ended", False)),
        (lambda made: made.kill([ONE], force=True, replace=True), LOST, Loss("the driver had it ended", False)),
        (
            lambda made: made.kill([ONE], force=True, replace=True, count_failures=True),
            LOST,
            Loss("the line was cut", True),
        ),
        (
            lambda made: made.decommission(ONE, Decommission("maintenance", "host-1")),
            LOST,
            Loss("it was decommissioned: maintenance", False, True),
        ),
        (
            lambda made: (
                made.decommission(ONE, Decommission("maintenance")),
                made.kill([ONE], force=True, replace=False),
            ),
            LOST,
            Loss("the driver had it ended", False),
        ),
    ],
)
def test_an_order_goes_before_a_decommission_and_that_before_the_given_reason(
    before: Leave, reason: ExecutorLossReason, loss: Loss
) -> None:
    made = table(ONE)
    before(made)
    removed = made.remove(ONE, reason)
    assert removed is not None
    assert removed[1] == loss
    assert made.remove(ONE, reason) is None


def test_a_decommissioned_executor_that_lost_its_host_says_so() -> None:
    made = table(ONE)
    made.decommission(ONE, Decommission("maintenance"))
    removed = made.remove(ONE, ExecutorProcessLost("worker lost", "host-1", caused_by_app=False))
    assert removed is not None
    assert removed[1].worker_lost


@pytest.mark.parametrize(
    ("reason", "in_order"),
    [
        (ExecutorDecommission("done"), True),
        (ExecutorExited(0, False, ""), True),
        (ExecutorExited(1, False, ""), False),
        (LOST, False),
    ],
)
def test_a_decommissioned_executor_left_in_order_if_it_said_so_or_exited_with_0(
    reason: ExecutorLossReason, in_order: bool
) -> None:
    made = table(ONE)
    made.decommission(ONE, Decommission("maintenance"))
    removed = made.remove(ONE, reason)
    assert removed is not None
    assert removed[1].in_order == in_order


def test_a_decommission_is_news_once_unless_the_host_goes_too() -> None:
    made = table(ONE)
    assert made.decommission(ONE, Decommission("maintenance"))
    assert not made.decommission(ONE, Decommission("maintenance"))
    assert made.decommission(ONE, Decommission("maintenance", "host-1"))
    assert not made.decommission(ONE, Decommission("maintenance", "host-1"))


@pytest.mark.scenario("CGB-006")
def test_a_decommission_before_the_registration_is_kept_for_it() -> None:
    made, order = ExecutorTable(), Decommission("maintenance")
    assert not made.decommission(ONE, order)
    assert made.register(ONE, "host", 4) is not None
    assert made.early_decommission(ONE) == order
    assert made.decommission(ONE, order)
    assert made.launched(ONE) is None
    assert made.free_offers() == []
    assert made.early_decommission(ONE) is None


def test_decommissions_of_executors_that_never_come_are_forgotten() -> None:
    made = ExecutorTable()
    for number in range(MAX_REMEMBERED + 5):
        made.decommission(ExecutorId(str(number)), Decommission("maintenance"))
    assert len(made.early_decommissions) == MAX_REMEMBERED
    assert ExecutorId("4") not in made.early_decommissions


def test_as_long_as_nobody_says_as_many_are_wanted_as_stay_or_are_replaced() -> None:
    made = table(ONE, TWO, THREE)
    made.kill([ONE], force=True, replace=True)
    made.kill([TWO], force=True, replace=False)
    assert made.current_target == 2
    made.decommission(THREE, Decommission("maintenance"))
    assert made.current_target == 1
    assert [made.is_killed(each) for each in (ONE, TWO, THREE, ExecutorId("4"))] == [True, True, False, False]


def test_the_executors_of_a_host_are_found() -> None:
    made = table(ONE, TWO)
    assert made.on_host("host-2") == [TWO]
    assert made.on_host("host-3") == []


# -- reasons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [53, 56, 58])
def test_ends_that_no_task_brought_about_do_not_count_as_the_applications(code: int) -> None:
    reason = exit_reason(code, "gone", "")
    assert isinstance(reason, ExecutorExited)
    assert not reason.caused_by_app
    assert not loss_of(reason).caused_by_app


def test_other_ends_count_and_a_lost_host_does_not() -> None:
    assert exit_reason(1, "gone", "") == ExecutorExited(1, True, "gone")
    assert exit_reason(None, "gone", "") == ExecutorProcessLost("gone", "", caused_by_app=True)
    assert exit_reason(None, "gone", "host-1") == ExecutorProcessLost("gone", "host-1", caused_by_app=False)


@pytest.mark.parametrize(
    ("reason", "loss"),
    [
        (ExecutorExited(1, True, "oops"), Loss("it ended with exit code 1: oops", True)),
        (ExecutorExited(-9, True, ""), Loss("it ended with signal 9", True)),
        (ExecutorKilled(), Loss("the driver had it ended", False)),
        (LossReasonPending(), Loss("it does not answer", False)),
        (ExecutorProcessLost("gone", "host-1", False), Loss("gone", False, True)),
        (ExecutorDecommission(), Loss("it was decommissioned", False)),
    ],
)
def test_a_loss_says_what_happened_and_whose_fault_it_was(reason: ExecutorLossReason, loss: Loss) -> None:
    assert loss_of(reason) == loss


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("CGB-004", "request timestamps queue")
def test_executors_that_come_belong_to_the_oldest_requests() -> None:
    times = RequestTimes()
    times.changed(2, 10.0)
    times.changed(1, 20.0)
    assert [times.registered() for _ in range(4)] == [10.0, 10.0, 20.0, None]


@pytest.mark.scenario("CGB-004", "request timestamps queue")
def test_requests_that_are_taken_back_are_the_oldest_ones() -> None:
    times = RequestTimes()
    times.changed(3, 10.0)
    times.changed(2, 20.0)
    times.changed(-4, 30.0)
    assert list(times.open) == [(1, 20.0)]
    times.changed(-9, 40.0)
    assert times.registered() is None


# -- any order -------------------------------------------------------------------------------------------------------

names = st.sampled_from([ONE, TWO, THREE])


@given(st.lists(st.tuples(st.integers(0, 7), names, st.integers(0, 5)), max_size=40))
def test_no_order_of_events_loses_a_core(events: list[tuple[int, ExecutorId, int]]) -> None:
    made = ExecutorTable()
    for kind, name, number in events:
        match kind:
            case 0:
                made.register(name, "host", 2)
            case 1:
                made.launched(name)
            case 2 if (
                name in made.executors
                and made.executors[name].offer.cores
                and TaskId(number) not in made.executors[name].running
            ):
                run(made, name, number)
            case 3:
                made.task_ended(name, TaskId(number))
            case 4:
                made.loss_pending(name)
            case 5:
                made.kill([name], force=number > 2, replace=number % 2 == 0)
            case 6:
                made.decommission(name, Decommission("go"))
            case 7 if number == 0:
                made.remove(name, LOST)
        made.check()
