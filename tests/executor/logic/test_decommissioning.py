from hypothesis import given
from hypothesis import strategies as st

from minispark.executor.logic.decommissioning import Decommissioning, Step


def test_an_executor_that_was_not_told_to_go_stays() -> None:
    state = Decommissioning(migrates=True)

    assert state.attempt_ended(idle=True) is None
    assert state.lingered() is None
    assert not state.begun


def test_an_idle_executor_hands_over_and_leaves_after_a_moment() -> None:
    state = Decommissioning(migrates=True)

    assert state.begin(idle=True) is Step.MIGRATE
    assert state.migrated() is None
    assert state.lingered() is Step.LEAVE


def test_a_second_order_changes_nothing() -> None:
    state = Decommissioning(migrates=False)
    state.begin(idle=False)

    assert state.begin(idle=True) is None
    assert not state.idle


def test_what_runs_ends_first_and_its_blocks_are_handed_over_too() -> None:
    state = Decommissioning(migrates=True)
    state.begin(idle=False)
    state.lingered()

    assert state.migrated() is None
    assert state.attempt_ended(idle=True) is Step.MIGRATE
    assert state.migrated() is Step.LEAVE


def test_an_attempt_that_ends_during_a_round_has_another_one() -> None:
    state = Decommissioning(migrates=True)
    state.begin(idle=False)
    state.lingered()

    assert state.attempt_ended(idle=True) is None
    assert state.migrated() is Step.MIGRATE
    assert state.migrated() is Step.LEAVE


def test_an_attempt_that_came_late_is_waited_for() -> None:
    state = Decommissioning(migrates=False)
    state.begin(idle=True)
    state.attempt_came()

    assert state.lingered() is None
    assert state.attempt_ended(idle=True) is Step.LEAVE


@given(st.lists(st.sampled_from(["came", "ended", "migrated", "lingered"]), max_size=30), st.booleans())
def test_it_leaves_once_and_only_when_nothing_is_left_to_do(events: list[str], migrates: bool) -> None:
    state, running, steps, lingered = Decommissioning(migrates), 1, [Decommissioning(migrates).next()], False
    steps.append(state.begin(idle=False))

    for event in events:
        if event == "came" and not state.left:
            running += 1
            state.attempt_came()
        elif event == "ended" and running:
            running -= 1
            steps.append(state.attempt_ended(not running))
        elif event == "migrated" and state.migrating:
            steps.append(state.migrated())
        elif event == "lingered" and not lingered:
            lingered = True
            steps.append(state.lingered())
        assert (Step.LEAVE in steps) == (not running and lingered and not state.migrating)
    assert steps.count(Step.LEAVE) <= 1
