"""minispark.deploy.logic.registration."""

import random

import pytest

from minispark.deploy.logic.registration import MAX_ATTEMPTS, Attempt, Registration
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef

HERE, THERE = RpcAddress("a", 7077), RpcAddress("b", 7077)


@pytest.fixture
def registration() -> Registration:
    return Registration((HERE, THERE), random.Random(1))


def attempts(registration: Registration) -> list[Attempt]:
    """Let nobody answer until the worker gives up."""
    made = [registration.begin()]
    while made[-1] is not None:
        made.append(registration.next())
    return [attempt for attempt in made if attempt is not None]


def test_six_attempts_come_soon_and_ten_late_and_then_the_worker_gives_up(registration: Registration) -> None:
    made = attempts(registration)

    assert len(made) == 1 + MAX_ATTEMPTS
    assert {attempt.masters for attempt in made} == {(HERE, THERE)}
    assert [attempt.wait_s for attempt in made] == [made[0].wait_s] * 6 + [made[-1].wait_s] * 11
    registration.check()


@pytest.mark.parametrize("seed", range(20))
def test_waits_are_drawn_around_ten_seconds_and_around_a_minute(seed: int) -> None:
    registration = Registration((HERE,), random.Random(seed))

    assert 5 <= registration.first_interval_s <= 15
    assert 30 <= registration.later_interval_s <= 90


def test_workers_draw_different_waits() -> None:
    assert len({Registration((HERE,), random.Random(seed)).later_interval_s for seed in range(20)}) > 10


def test_looking_for_a_master_twice_is_one_search(registration: Registration) -> None:
    assert registration.begin() is not None
    assert registration.begin() is None


def test_a_search_begins_anew_after_a_registration(registration: Registration) -> None:
    registration.begin()
    registration.next()
    registration.accepted(RecordingRef(address=HERE))
    registration.check()

    assert registration.registered
    assert registration.begin() is not None
    assert (registration.registered, registration.attempts) == (False, 0)
    registration.check()


def test_a_leader_whose_own_address_is_another_one_is_asked_too(registration: Registration) -> None:
    other = RpcAddress("c", 7077)
    registration.accepted(RecordingRef(address=other))

    attempt = registration.begin()

    assert attempt is not None
    assert attempt.masters == (HERE, THERE, other)
    assert registration.is_leader(other)
    assert not registration.is_leader(HERE)
