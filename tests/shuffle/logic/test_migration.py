import pytest

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.shuffle.logic.migration import Migration, Move, Output

ONE: Output = (ShuffleId(0), TaskId(10))
TWO: Output = (ShuffleId(0), TaskId(11))


def peer(number: int) -> BlockManagerId:
    return BlockManagerId(ExecutorId(str(number)), f"host-{number}", 7077, f"/session-{number}")


def migration(*outputs: Output, peers: int = 2) -> Migration[Output]:
    state = Migration[Output](max_failures=3)
    state.found(outputs)
    state.use([peer(number) for number in range(peers)])
    return state


def take(state: Migration[Output]) -> Move[Output]:
    move = state.next()
    assert move is not None
    return move


@pytest.mark.scenario("DEC-004", "migration: nothing to do")
def test_without_outputs_there_is_nothing_to_do() -> None:
    state = migration()

    assert state.next() is None
    assert not state.stayed


@pytest.mark.scenario("DEC-004", "no peers")
def test_without_peers_everything_stays() -> None:
    state = migration(ONE, TWO, peers=0)

    assert state.next() is None
    assert list(state.stayed) == [ONE, TWO]


def test_a_peer_to_be_avoided_gets_nothing_more_also_in_later_rounds() -> None:
    state = migration(ONE, TWO)
    first = take(state)
    state.avoid(first.peer)
    state.failed(first)

    assert [take(state), take(state)] == [Move(TWO, peer(1)), Move(ONE, peer(1))]
    state.use([peer(0)])
    assert state.next() is None


def test_peers_take_turns() -> None:
    state = migration(ONE, TWO)

    assert [take(state), take(state)] == [Move(ONE, peer(0)), Move(TWO, peer(1))]


@pytest.mark.scenario("DEC-004", "removed file not re-added")
def test_what_was_dealt_with_does_not_come_again() -> None:
    state = migration(ONE, TWO)
    state.done(take(state))
    state.missing(take(state))

    assert state.found([ONE, TWO]) == 0
    assert state.next() is None
    assert (list(state.moved), list(state.gone), list(state.stayed)) == ([ONE], [TWO], [])


@pytest.mark.scenario("DEC-004", "I/O failure retried up to limit")
def test_a_transfer_that_fails_is_tried_again_up_to_the_limit() -> None:
    state = migration(ONE)
    tried = []
    for _ in range(3):
        tried.append(take(state))
        state.failed(tried[-1])

    assert [move.peer for move in tried] == [peer(0), peer(1), peer(0)], "each time at the next peer"
    assert state.next() is None
    assert list(state.stayed) == [ONE]


@pytest.mark.scenario("DEC-004", "target itself decommissioned (44126)")
def test_a_peer_that_goes_too_is_asked_no_more_and_counts_for_no_failure() -> None:
    state = migration(ONE, TWO)
    state.peer_leaves(take(state))

    assert [take(state), take(state)] == [Move(TWO, peer(1)), Move(ONE, peer(1))]
    assert state.failures == {ONE: 0, TWO: 0}
    state.use([peer(0), peer(1)])
    assert list(state.peers) == [peer(1)], "also when the driver does not know yet"


@pytest.mark.scenario("DEC-004", "no host available (44547)")
def test_when_all_peers_go_everything_stays() -> None:
    state = migration(ONE, TWO, peers=1)
    state.peer_leaves(take(state))

    assert state.next() is None
    assert sorted(state.stayed) == [ONE, TWO]


@pytest.mark.scenario("DEC-004", "removed block short-circuit")
def test_what_is_gone_when_it_is_sent_is_no_failure() -> None:
    state = migration(ONE)

    state.missing(take(state))

    assert state.next() is None
    assert state.failures[ONE] == 0
    assert not state.stayed
