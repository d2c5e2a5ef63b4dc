import pytest

from minispark.scheduler.logic.locality import DelayTimer, Locality, LocalityWaits

PROCESS, NODE, NO_PREF, RACK, ANY = Locality
SOME = [1, 1, 1, 1, 1]


def timer(*levels: Locality) -> DelayTimer:
    made = DelayTimer(LocalityWaits(1.0, 2.0, 4.0))
    made.change_levels((*levels, ANY))
    return made


@pytest.mark.scenario("TSM-004")
def test_each_level_is_waited_for_in_turn_and_waits_add_up() -> None:
    delay = timer(PROCESS, NODE, RACK)
    reached = [delay.allowed(now, SOME) for now in (0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0)]
    assert reached == [PROCESS, PROCESS, NODE, NODE, RACK, RACK, ANY]


def test_who_was_not_asked_for_long_has_waited_for_several_levels() -> None:
    delay = timer(PROCESS, NODE, RACK)
    assert delay.allowed(3.5, SOME) == RACK
    assert delay.expires_s == 7.0


def test_a_level_that_nobody_wants_is_passed_at_once_and_the_next_wait_begins_then() -> None:
    delay = timer(PROCESS, NODE)
    assert delay.allowed(0.5, [0, 1, 0, 1, 1]) == NODE
    assert delay.expires_s == 2.5


@pytest.mark.scenario("TSM-005")
def test_tasks_without_preference_are_never_waited_for() -> None:
    assert timer(NO_PREF).allowed(0.0, [0, 0, 3, 0, 3]) == ANY


def test_a_reset_goes_to_the_level_of_the_launch_and_begins_the_wait_anew() -> None:
    delay = timer(PROCESS, NODE)
    assert delay.allowed(10.0, SOME) == ANY
    delay.reset(10.0, NODE)
    assert delay.allowed(11.9, SOME) == NODE
    assert delay.allowed(12.0, SOME) == ANY


@pytest.mark.scenario("TSM-009")
def test_a_set_goes_to_the_nearest_level_that_appeared() -> None:
    delay = timer(PROCESS, NODE)
    assert delay.allowed(10.0, SOME) == ANY
    delay.change_levels((PROCESS, NODE, RACK, ANY))
    assert delay.level == RACK
    fresh = timer()
    fresh.change_levels((NODE, RACK, ANY))
    assert fresh.level == NODE


def test_a_level_that_goes_leaves_the_set_at_the_next_one() -> None:
    delay = timer(PROCESS, NODE)
    delay.change_levels((NODE, ANY))
    assert delay.level == NODE


def test_who_wants_no_level_may_run_anywhere_at_once() -> None:
    delay = DelayTimer(LocalityWaits(), 5.0)
    assert delay.allowed(5.0, SOME) == ANY
    assert delay.expires_s == 5.0


@pytest.mark.parametrize("level", [PROCESS, NODE, RACK])
def test_unless_said_otherwise_a_set_waits_three_seconds_at_each_level(level: Locality) -> None:
    delay = DelayTimer(LocalityWaits())
    delay.change_levels((level, ANY))
    assert delay.allowed(2.9, SOME) == level
    assert delay.allowed(3.0, SOME) == ANY


def test_a_set_stays_at_its_level_when_a_nearer_one_goes() -> None:
    delay = timer(PROCESS, NODE)
    assert delay.allowed(1.0, SOME) == NODE
    delay.change_levels((NODE, ANY))
    assert delay.allowed(2.9, SOME) == NODE
    assert delay.allowed(3.0, SOME) == ANY
