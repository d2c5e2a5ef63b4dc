"""minispark.deploy.logic.app_registration."""

import pytest

from minispark.deploy.logic.app_registration import ROUNDS, AppRegistration, Registered
from minispark.ids import ApplicationId
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef

ONE, TWO = ApplicationId("app-1"), ApplicationId("app-2")
FIRST, SECOND = RecordingRef("first"), RecordingRef("second")


@pytest.fixture
def registration() -> AppRegistration:
    return AppRegistration()


def test_rounds_end_when_there_were_enough(registration: AppRegistration) -> None:
    assert [registration.begin_round() for _ in range(ROUNDS + 1)] == [True] * ROUNDS + [False]
    registration.check()


def test_the_first_answer_gives_the_id_and_the_next_ones_do_not(registration: AppRegistration) -> None:
    assert registration.registered(ONE, FIRST) is Registered.NEW
    assert registration.registered(ONE, FIRST) is Registered.AGAIN
    assert registration.registered(TWO, SECOND) is Registered.TWICE
    assert (registration.app_id, registration.master) == (ONE, FIRST)
    registration.check()


def test_a_new_leader_is_followed_once_there_is_an_id(registration: AppRegistration) -> None:
    assert registration.master_changed(SECOND) is None
    registration.registered(ONE, FIRST)
    assert registration.master_changed(SECOND) == ONE
    assert registration.master is SECOND
    registration.check()


def test_a_lost_leader_is_news_once_until_there_is_another(registration: AppRegistration) -> None:
    registration.registered(ONE, FIRST)
    assert [registration.master_lost(), registration.master_lost()] == [True, False]
    registration.master_changed(SECOND)
    assert registration.master_lost()


def test_a_leader_that_was_lost_may_be_found_again(registration: AppRegistration) -> None:
    here, elsewhere = RpcAddress("here", 7077), RpcAddress("elsewhere", 7077)
    assert not registration.master_found(here)
    registration.registered(ONE, RecordingRef("first", here))
    assert not registration.master_found(here)
    registration.master_lost()
    assert [registration.master_found(elsewhere), registration.master_found(here)] == [False, True]
    assert registration.master_lost()
    registration.end()
    assert not registration.master_found(here)
    registration.check()


def test_the_end_is_news_once(registration: AppRegistration) -> None:
    assert [registration.end(), registration.end()] == [True, False]
