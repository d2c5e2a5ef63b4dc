import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.logic.fetches import AskState, Fetches, RetryRules

RULES = RetryRules(max_bytes=100, wait_s=0.1, max_time_s=3.0)
ROOM = 64


def fetches(*requests: tuple[int, int]) -> Fetches:
    return Fetches(requests, RULES)


def consume(state: Fetches, number: int, size_bytes: int) -> None:
    """Let a request arrive, and the reader read it."""
    state.arrived(number, size_bytes)
    assert state.lend() == number
    state.consumed(number)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@pytest.mark.scenario("DIS-002", "map output larger than in-flight limit")
def test_a_request_over_the_limit_goes_alone() -> None:
    state = fetches((0, 500), (1, 10))

    assert state.due(0.0, ROOM) == [0]

    consume(state, 0, 500)
    assert state.due(0.0, ROOM) == [1]


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_bytes_asked_for_and_not_consumed_stay_under_the_limit() -> None:
    state = fetches((0, 40), (1, 40), (2, 40))

    assert state.due(0.0, ROOM) == [0, 1]

    state.arrived(0, 40)
    assert state.due(0.0, ROOM) == [], "what has arrived is not consumed"
    assert state.lend() == 0
    assert state.due(0.0, ROOM) == [], "nor is what the reader reads"
    state.consumed(0)
    assert state.due(0.0, ROOM) == [2]


def test_what_arrives_counts_with_its_true_size() -> None:
    state = fetches((0, 40), (1, 60), (2, 10))
    assert state.due(0.0, ROOM) == [0, 1]

    state.arrived(0, 45)

    assert state.in_flight == 105
    assert state.due(0.0, ROOM) == []


def test_peers_take_turns() -> None:
    state = fetches((0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (2, 1))

    assert state.due(0.0, ROOM) == [0, 3, 5, 1, 4, 2]


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_no_more_are_sent_than_there_is_room() -> None:
    state = fetches((0, 1), (1, 1), (2, 1))

    assert state.due(0.0, 2) == [0, 1]
    assert state.due(0.0, 0) == []
    assert state.due(0.0, 1) == [2]


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_failed_request_is_asked_again_ever_later() -> None:
    state = fetches((0, 1))
    now, waits = 5.0, []
    for _ in range(4):
        assert state.due(now, ROOM) == [0]
        state.broke(0, "it broke", now, is_gone=False)
        assert state.due(now, ROOM) == [], "not at once"
        wake_at = state.wake_at()
        assert wake_at is not None
        waits.append(wake_at - now)
        now = wake_at

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8])


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_request_that_fails_for_too_long_is_given_up() -> None:
    state = fetches((0, 1), (1, 1))
    now = 0.0
    while state.problem is None:
        assert 0 in state.due(now, ROOM)
        state.broke(0, "it broke", now, is_gone=False)
        now = state.wake_at() or now

    assert now <= RULES.max_time_s
    assert state.problem.number == 0
    assert state.problem.text == "it broke, tried 5 times"
    assert not state.problem.only_this_output
    assert state.wake_at() is None


def test_a_peer_that_is_gone_is_given_up_at_once() -> None:
    state = fetches((0, 1), (1, 200))
    assert state.due(0.0, ROOM) == [0]

    state.broke(0, "nobody listens", 0.0, is_gone=True)

    assert state.problem is not None
    assert state.problem.text == "nobody listens"
    assert state.due(9.0, ROOM) == [], "nothing more is asked"


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@pytest.mark.scenario("SHF-006")
def test_damaged_bytes_are_asked_for_once_more() -> None:
    state = fetches((0, 1))
    assert state.due(0.0, ROOM) == [0]

    state.damaged(0, 0, "wrong checksum")

    assert state.problem is None
    assert state.due(0.0, ROOM) == [0], "at once"
    consume(state, 0, 1)
    assert state.left == 0


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@pytest.mark.scenario("SHF-006")
def test_bytes_that_are_damaged_twice_are_given_up_and_named() -> None:
    state = fetches((0, 1))
    for _ in range(2):
        assert state.due(0.0, ROOM) == [0]
        state.damaged(0, 3, "wrong checksum")

    assert state.problem is not None
    assert (state.problem.position, state.problem.text) == (3, "wrong checksum, twice")
    assert state.problem.only_this_output


def test_a_block_that_the_peer_does_not_have_is_given_up_at_once() -> None:
    state = fetches((0, 1), (1, 1))
    assert state.due(0.0, ROOM) == [0, 1]

    state.unserved(1, 2, "no such file", only_this_output=True)
    state.unserved(0, 0, "neither", only_this_output=False)

    assert state.problem is not None
    assert (state.problem.number, state.problem.position) == (1, 2), "the first problem counts"


@given(seed=st.integers(0, 1 << 32), sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 150)), max_size=12))
def test_in_any_order_of_events_all_is_consumed_once(seed: int, sizes: list[tuple[int, int]]) -> None:
    chance, now = random.Random(seed), 0.0
    state = Fetches(sizes, RetryRules(100, 0.1, 1e9))
    consumed: list[int] = []
    asked: set[int] = set()
    while state.left:
        asked.update(state.due(now, chance.randrange(1, 4)))
        state.check()
        if asked and chance.random() < 0.6:
            number = chance.choice(sorted(asked))
            asked.remove(number)
            if chance.random() < 0.3:
                state.broke(number, "it broke", now, is_gone=False)
            else:
                state.arrived(number, sizes[number][1])
        elif (lent := state.lend()) is not None:
            state.consumed(lent)
            consumed.append(lent)
        now += chance.choice((0.0, 0.5, 1e6))
        alone = sum(ask.state is not AskState.WAITING and ask.state is not AskState.CONSUMED for ask in state.asks)
        assert state.in_flight <= 100 or alone == 1

    assert sorted(consumed) == list(range(len(sizes)))
