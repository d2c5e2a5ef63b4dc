import pytest

from minispark.executor.logic.preparation import IDLE_TTL_S, MAX_HOLDINGS, Preparation
from minispark.ids import BinaryId, ShuffleId, TaskId
from minispark.messages.cluster import FetchBinary
from minispark.messages.runner import Binary, MapOutputs
from minispark.messages.shuffle import GetMapOutputStatuses
from tests.executor.attempts import task

ASK_BINARY = FetchBinary(BinaryId(1))
ASK_OUTPUTS = GetMapOutputStatuses(ShuffleId(4))


def prepared_with(*numbers: int, max_bytes: int = 100) -> Preparation:
    """Return a preparation in which attempts have their binary, of 10 bytes each."""
    preparation = Preparation(max_bytes)
    for number in numbers:
        for request in preparation.launch(task(number, binary_id=number), float(number)) or ():
            preparation.arrived(request, Binary(b"x" * 10), float(number))
    return preparation


def test_an_attempt_starts_when_all_it_needs_is_here() -> None:
    preparation, attempt = Preparation(100), task(1, shuffle_ids=[4], epoch=2)
    assert preparation.launch(attempt, 0.0) == [ASK_BINARY, ASK_OUTPUTS]

    assert preparation.arrived(ASK_OUTPUTS, MapOutputs(2, b"outputs"), 0.0).prepared == []
    assert preparation.arrived(ASK_BINARY, Binary(b"binary"), 0.0).prepared == [attempt]

    assert preparation.binary(BinaryId(1)) == Binary(b"binary")
    assert preparation.map_outputs(ShuffleId(4), 2) == MapOutputs(2, b"outputs")
    assert preparation.map_outputs(ShuffleId(4), 3) is None
    preparation.check()


def test_everything_is_asked_for_once() -> None:
    preparation = Preparation(100)
    first, second = task(1), task(2)

    assert [preparation.launch(attempt, 0.0) for attempt in (first, second)] == [[ASK_BINARY], []]
    assert preparation.arrived(ASK_BINARY, Binary(b""), 0.0).prepared == [first, second]
    assert preparation.launch(task(3), 0.0) is None
    preparation.check()


def test_map_outputs_that_are_too_old_are_asked_for_again() -> None:
    preparation = prepared_with(1)
    preparation.launch(task(2, shuffle_ids=[4], epoch=1), 0.0)
    later = task(3, shuffle_ids=[4], epoch=2)
    assert preparation.launch(later, 0.0) == []

    first = preparation.arrived(ASK_OUTPUTS, MapOutputs(1, b"old"), 0.0)
    second = preparation.arrived(ASK_OUTPUTS, MapOutputs(2, b"new"), 0.0)

    assert [attempt.task_id for attempt in first.prepared] == [2]
    assert first.requests == [ASK_OUTPUTS]
    assert second.prepared == [later]
    preparation.check()


def test_an_attempt_that_the_answer_is_too_old_for_fails() -> None:
    preparation = prepared_with(1)
    attempt = task(2, shuffle_ids=[4], epoch=5)
    preparation.launch(attempt, 0.0)

    arrived = preparation.arrived(ASK_OUTPUTS, MapOutputs(1, b"old"), 0.0)

    assert (arrived.prepared, arrived.failed, arrived.requests) == ([], [attempt], [])


def test_newer_map_outputs_take_the_place_of_older_ones() -> None:
    preparation = prepared_with(1)
    for epoch in (1, 2):
        preparation.launch(task(10 + epoch, shuffle_ids=[4], epoch=epoch), 0.0)
        preparation.arrived(ASK_OUTPUTS, MapOutputs(epoch, bytes(epoch)), 0.0)
        preparation.check()

    for number in (11, 12):
        preparation.end(TaskId(number), 0.0)
    preparation.check()


def test_all_who_wait_hear_that_there_is_no_answer() -> None:
    preparation = Preparation(100)
    attempts = [task(number) for number in (1, 2, 3)]
    for attempt in attempts:
        preparation.launch(attempt, 0.0)
    preparation.end(TaskId(2), 0.0)

    assert preparation.failed(ASK_BINARY) == [attempts[0], attempts[2]]
    assert preparation.launch(task(4), 0.0) == [ASK_BINARY]


def test_an_attempt_that_ended_meanwhile_is_not_started() -> None:
    preparation = Preparation(100)
    preparation.launch(task(1), 0.0)

    preparation.end(TaskId(1), 0.0)

    assert preparation.arrived(ASK_BINARY, Binary(b"x"), 0.0).prepared == []
    preparation.check()
    preparation.assert_empty()


def test_a_shuffle_that_is_read_twice_is_needed_once() -> None:
    preparation = prepared_with(1)

    assert preparation.launch(task(2, binary_id=1, shuffle_ids=[4, 4]), 0.0) == [ASK_OUTPUTS]
    arrived = preparation.arrived(ASK_OUTPUTS, MapOutputs(0, b""), 0.0)

    assert len(arrived.prepared) == 1
    preparation.end(TaskId(2), 0.0)
    preparation.check()


def test_beyond_the_bound_the_one_used_longest_ago_is_dropped() -> None:
    preparation = prepared_with(1, 2, 3, max_bytes=30)
    for number in (2, 1, 3):
        preparation.end(TaskId(number), 10.0 - number)

    preparation.launch(task(4, binary_id=4), 10.0)
    preparation.arrived(FetchBinary(BinaryId(4)), Binary(b"x" * 10), 10.0)

    assert preparation.binary(BinaryId(3)) is None
    assert None not in [preparation.binary(BinaryId(number)) for number in (1, 2, 4)]
    preparation.check()


def test_of_many_small_jobs_only_the_latest_binaries_are_kept() -> None:
    preparation = Preparation(max_bytes=1 << 30)
    for number in range(2 * MAX_HOLDINGS):
        requests = preparation.launch(task(number, binary_id=number), float(number))
        assert requests is not None
        (request,) = requests
        preparation.arrived(request, Binary(b"x"), float(number))
        preparation.end(TaskId(number), float(number))
        assert len(preparation.holdings) <= MAX_HOLDINGS

    assert preparation.binary(BinaryId(2 * MAX_HOLDINGS - 2)) is not None
    preparation.check()


def test_what_an_attempt_uses_is_never_dropped() -> None:
    preparation = prepared_with(1, 2, max_bytes=10)

    preparation.expire(10 * IDLE_TTL_S)

    assert None not in [preparation.binary(BinaryId(number)) for number in (1, 2)]
    preparation.check()


def test_what_none_has_used_for_long_is_dropped() -> None:
    preparation = prepared_with(1, 2)
    preparation.end(TaskId(1), 5.0)
    preparation.end(TaskId(2), 6.0)

    preparation.expire(5.5 + IDLE_TTL_S)

    assert preparation.binary(BinaryId(1)) is None
    assert preparation.binary(BinaryId(2)) is not None
    preparation.check()


def test_what_is_left_is_named() -> None:
    preparation = prepared_with(7)

    assert preparation.task(TaskId(7)).task_id == 7
    with pytest.raises(AssertionError, match=r"attempts are left: \[7\]"):
        preparation.assert_empty()
