"""The machine of a peer's line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import OutboxOverflow, RpcError
from minispark.rpc.logic.outbox import Outbox, OutboxState


def test_the_first_message_asks_for_the_connection_and_all_wait_for_it() -> None:
    outbox = Outbox("peer", 100)

    assert [outbox.add((b"a", [])), outbox.add((b"b", [b"cd"]))] == [True, False]
    assert outbox.size_bytes == 4
    assert outbox.connected() == [(b"a", []), (b"b", [b"cd"])]
    assert (outbox.state, outbox.size_bytes) == (OutboxState.UP, 0)


def test_a_failure_drops_all_and_lets_nothing_in() -> None:
    outbox = Outbox("peer", 100)
    outbox.add((b"a", []))

    assert outbox.fail() == 1
    with pytest.raises(RpcError, match="the line to peer is down"):
        outbox.add((b"b", []))


def test_more_than_the_limit_waiting_lets_no_more_in() -> None:
    outbox = Outbox("peer", 10)
    outbox.add((b"x" * 11, []))

    with pytest.raises(OutboxOverflow, match="peer does not read: 11 bytes wait for it"):
        outbox.add((b"y", []))


@given(st.lists(st.sampled_from(["add", "connect", "fail"]) | st.integers(0, 30), max_size=20))
def test_the_invariants_hold_whatever_happens(steps: list[str | int]) -> None:
    outbox = Outbox("peer", 50)
    for step in steps:
        try:
            if step == "connect" and outbox.state is OutboxState.CONNECTING:
                outbox.connected()
            elif step == "fail":
                outbox.fail()
            elif outbox.state is not OutboxState.UP:
                outbox.add((b"x" * (step if isinstance(step, int) else 1), []))
        except RpcError:
            assert outbox.state is OutboxState.DOWN or outbox.size_bytes > 50
        outbox.check()
