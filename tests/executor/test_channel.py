"""Tests of the runner's end of the conversation."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from minispark.errors import ProtocolError
from minispark.executor.channel import RunnerChannel
from minispark.messages.runner import Binary, RunnerAnswer, RunnerReady


@pytest.fixture
def ends() -> Iterator[tuple[RunnerChannel, RunnerChannel]]:
    here, there = socket.socketpair()
    first, second = RunnerChannel(here, 1 << 20), RunnerChannel(there, 1 << 20)
    yield first, second
    first.close()
    second.close()


def test_messages_come_in_their_order(ends: tuple[RunnerChannel, RunnerChannel]) -> None:
    first, second = ends
    for number in range(3):
        first.send(RunnerReady(number, 1))

    assert [second.receive().incarnation for _ in range(3)] == [0, 1, 2]


def test_a_message_that_is_not_all_here_is_kept(ends: tuple[RunnerChannel, RunnerChannel]) -> None:
    first, second = ends
    data = os.urandom(900_000)
    sender = threading.Thread(target=first.send, args=(RunnerAnswer(1, 1, Binary(data)),))
    sender.start()
    message = None

    while message is None:
        second.wait(1000)
        try:
            message = second.receive()
        except BlockingIOError:
            continue

    sender.join()
    assert message.answer.data == data


def test_receiving_never_blocks(ends: tuple[RunnerChannel, RunnerChannel]) -> None:
    with pytest.raises(BlockingIOError):
        ends[1].receive()


def test_waiting_ends_when_a_watched_descriptor_can_be_read(ends: tuple[RunnerChannel, RunnerChannel]) -> None:
    read, write = os.pipe()
    ends[1].watch(read)
    os.write(write, b"x")

    ends[1].wait()

    assert os.read(read, 1) == b"x"
    os.close(read)
    os.close(write)


def test_the_end_of_the_executor_is_an_error(ends: tuple[RunnerChannel, RunnerChannel]) -> None:
    first, second = ends
    first.close()

    with pytest.raises(EOFError):
        second.receive()


def test_a_message_above_the_bound_is_refused_before_anything_is_sent(
    ends: tuple[RunnerChannel, RunnerChannel],
) -> None:
    first, second = ends

    with pytest.raises(ProtocolError, match=r"RunnerAnswer takes .*minispark\.rpc\.message\.maxSize"):
        first.send(RunnerAnswer(1, 1, Binary(bytes(1 << 20))))

    first.send(RunnerReady(1, 1))
    assert second.receive() == RunnerReady(1, 1)
