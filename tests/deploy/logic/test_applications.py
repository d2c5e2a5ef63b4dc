"""Applications: registered once, given up when their executors do nothing but fail, cleaned up after."""

import re

import pytest

from minispark.ids import ApplicationId, ExecutorId
from minispark.messages.deploy import (
    ApplicationFinished,
    ApplicationRemoved,
    ExecutorStateChanged,
    ExecutorUpdated,
    KillExecutor,
    KillExecutors,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    UnregisterApplication,
)
from minispark.messages.deploy_values import Acknowledged, ApplicationState, ExecutorState
from minispark.testing.fakes import RecordingRef
from tests.deploy.logic.cluster_harness import ClusterHarness, describe_app


def killed(master: ClusterHarness, worker: str = "w1") -> list[int]:
    return [order.number for order in master.ref(worker).of(KillExecutor)]


def fail(master: ClusterHarness, app_id: ApplicationId, number: int) -> float:
    """Have an executor fail, and let the pause after it pass; return how long it was."""
    master.executor_is(app_id, number, ExecutorState.EXITED, 1)
    return master.pause()


def test_an_application_is_told_its_id_and_is_on_disk() -> None:
    master = ClusterHarness()

    first, second = master.app("a1"), master.app("a2")

    assert re.fullmatch(r"app-\d{14}-0000", first)
    assert re.fullmatch(r"app-\d{14}-0001", second)
    assert list(master.records()) == [f"app_{first}", f"app_{second}"]


def test_one_that_asks_again_has_the_same_id() -> None:
    master = ClusterHarness()

    assert master.app("a1") == master.app("a1")
    assert len(master.ref("a1").of(RegisteredApplication)) == 2


def test_another_program_at_the_same_address_replaces_the_one_before() -> None:
    master = ClusterHarness()
    before = master.app("a1", describe_app(realm="one"))

    after = master.app("a1", describe_app(realm="two"))

    assert list(master.cluster.apps) == [after]
    assert list(master.records()) == [f"app_{after}"]
    assert [app.app_id for app in master.cluster.completed_apps] == [before]


def test_one_whose_end_nobody_could_see_is_refused() -> None:
    master, ref = ClusterHarness(), RecordingRef("AppClient", None)

    master.tell(RegisterApplication(describe_app(), ref))

    assert "does not listen" in ref.of(ApplicationRemoved)[0].text
    assert not master.cluster.apps


@pytest.mark.parametrize("end", ["unregister", "disconnect"])
def test_an_application_that_ends_takes_its_executors_and_its_record_with_it(end: str) -> None:
    master = ClusterHarness()
    master.worker("w1")
    master.worker("w2")
    app_id = master.app("a1")
    if end == "unregister":
        master.tell(UnregisterApplication(app_id))
    else:
        master.disconnect("a1")

    assert killed(master, "w1") + killed(master, "w2") == [0, 1]
    assert [len(master.ref(name).of(ApplicationFinished)) for name in ("w1", "w2")] == [1, 1]
    assert f"app_{app_id}" not in master.records()
    assert bool(master.ref("a1").of(ApplicationRemoved)) == (end == "disconnect")
    assert [app.state for app in master.cluster.completed_apps] == [ApplicationState.FINISHED]


def test_one_whose_connection_broke_is_told_that_it_has_lost_its_executors_in_case_it_lives() -> None:
    master = ClusterHarness()
    master.app("a1")

    master.disconnect("a1")

    assert "the connection to" in master.ref("a1").of(ApplicationRemoved)[0].text


def test_an_end_that_is_told_twice_is_one() -> None:
    master = ClusterHarness()
    app_id = master.app("a1")
    master.tell(UnregisterApplication(app_id))

    assert master.tell(UnregisterApplication(app_id)) == []
    assert master.disconnect("a1") == []


def test_its_state_is_told_to_the_application_and_a_stranger_is_no_error() -> None:
    master = ClusterHarness()
    master.worker("w1")
    app_id = master.app("a1")
    master.tell(ExecutorStateChanged(app_id, 0, ExecutorState.FAILED, "no memory", 137))
    reply = master.answer(ExecutorStateChanged(app_id, 77, ExecutorState.FAILED))

    (update,) = master.ref("a1").of(ExecutorUpdated)
    assert (update.number, update.state, update.text, update.exit_code) == (0, ExecutorState.FAILED, "no memory", 137)
    assert reply == Acknowledged()


@pytest.mark.scenario("MST-004")
def test_an_application_whose_executors_keep_failing_is_given_up_unless_one_ran_meanwhile() -> None:
    master = ClusterHarness(max_executor_retries=3)
    master.worker("w1")
    app_id = master.app("a1")
    for number in range(2):
        fail(master, app_id, number)
    master.executor_is(app_id, 2, ExecutorState.RUNNING)
    for number in range(2, 4):
        fail(master, app_id, number)
    assert app_id in master.cluster.apps  # two in a row, then two more

    master.tell(ExecutorStateChanged(app_id, 4, ExecutorState.EXITED, "exit code 1\nno module named x", 1))

    assert master.allotted("a1") == [0, 1, 2, 3, 4]
    text = master.ref("a1").of(ApplicationRemoved)[0].text
    assert text.startswith("3 executors failed in a row")
    assert text.endswith("the last, executor 4: exit code 1\nno module named x")
    assert [app.state for app in master.cluster.completed_apps] == [ApplicationState.FAILED]


def test_one_that_has_a_running_executor_is_not_given_up_and_a_clean_exit_is_no_failure() -> None:
    master = ClusterHarness(max_executor_retries=1)
    master.worker("w1", cores=2)
    app_id = master.app("a1", describe_app(per_executor=1))
    master.executor_is(app_id, 0, ExecutorState.RUNNING)

    fail(master, app_id, 1)
    master.executor_is(app_id, 0, ExecutorState.EXITED, 0)

    assert app_id in master.cluster.apps
    assert master.allotted("a1") == [0, 1, 2, 3]


def test_each_failure_in_a_row_makes_the_pause_before_the_next_executor_longer_up_to_a_bound() -> None:
    master = ClusterHarness(max_executor_retries=-1)
    master.worker("w1")
    app_id = master.app("a1")

    pauses = [fail(master, app_id, number) for number in range(9)]
    master.executor_is(app_id, 9, ExecutorState.RUNNING)
    again = fail(master, app_id, 9)

    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert again == 0.05


def test_a_timer_that_comes_a_little_early_ends_the_pause_too() -> None:
    master = ClusterHarness()
    master.worker("w1")
    app_id = master.app("a1")

    master.executor_is(app_id, 0, ExecutorState.EXITED, 1)
    master.pause(early_s=0.001)

    assert master.allotted("a1") == [0, 1]


def test_nothing_else_that_happens_shortens_the_pause_and_others_need_not_wait() -> None:
    master = ClusterHarness()
    master.worker("w1")
    app_id = master.app("a1", describe_app(max_cores=2, per_executor=2, realm="a1"))

    master.executor_is(app_id, 0, ExecutorState.EXITED, 1)
    master.app("a2", describe_app(max_cores=2, per_executor=2, realm="a2"))
    master.worker("w2")

    assert (master.allotted("a1"), master.allotted("a2")) == ([0], [0])
    master.pause()
    assert master.allotted("a1") == [0, 1]


def test_any_number_may_fail_where_retries_are_unbounded() -> None:
    master = ClusterHarness(max_executor_retries=-1)
    master.worker("w1")
    app_id = master.app("a1")
    for number in range(50):
        fail(master, app_id, number)

    assert app_id in master.cluster.apps


def test_an_application_gets_as_many_executors_as_it_wants_and_none_is_ended_for_wanting_fewer() -> None:
    master = ClusterHarness()
    master.worker("w1", cores=4)
    app_id = master.app("a1", describe_app(per_executor=1, limit=0))
    for total in (0, 2, 2, 3, 1):
        assert master.answer(RequestExecutors(app_id, total)) == Acknowledged()

    assert master.allotted("a1") == [0, 1, 2]
    assert killed(master) == []


def test_executors_are_ended_at_the_applications_wish_and_others_may_take_their_place() -> None:
    master = ClusterHarness()
    master.worker("w1", cores=3)
    app_id = master.app("a1", describe_app(per_executor=1))
    wish = KillExecutors(app_id, (ExecutorId("0"), ExecutorId("2"), ExecutorId("9"), ExecutorId("driver")))

    assert master.answer(wish) == Acknowledged(count=2)
    assert killed(master) == [0, 2]
    assert master.allotted("a1") == [0, 1, 2, 3, 4]
    assert len(master.warnings) == 2


def test_wishes_of_a_stranger_have_no_effect() -> None:
    master, stranger = ClusterHarness(), ApplicationId("app-1")

    for wish in (RequestExecutors(stranger, 3), KillExecutors(stranger, (ExecutorId("0"),))):
        reply = master.answer(wish)
        assert isinstance(reply, Acknowledged)
        assert not reply.done


def test_ended_applications_are_forgotten_some_day() -> None:
    master = ClusterHarness(retained_applications=20)
    ids = [master.app(f"a{number}") for number in range(25)]
    for app_id in ids:
        master.tell(UnregisterApplication(app_id))

    assert [app.app_id for app in master.cluster.completed_apps] == ids[6:]
