"""Tests of the poll that all runners are behind."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable

from minispark.executor.runner_poll import RunnerPoll


def with_poll(scenario: Callable[[RunnerPoll], Awaitable[None]], now: Callable[[], float] = time.monotonic) -> None:
    async def run() -> None:
        poll = RunnerPoll(asyncio.get_running_loop(), now)
        await scenario(poll)
        poll.close()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_comes_while_something_is_taken_is_taken_in_the_same_turn() -> None:
    async def scenario(poll: RunnerPoll) -> None:
        (a, to_a), (b, to_b) = socket.socketpair(), socket.socketpair()
        taken: list[bytes] = []
        turns: list[bytes] = []

        def take_a() -> None:
            taken.append(a.recv(10))
            asyncio.get_running_loop().call_soon(turns.append, b"the next turn")
            to_b.send(b"meanwhile")

        done = asyncio.Event()
        poll.add_reader(a.fileno(), take_a)

        def take_b() -> None:
            taken.append(b.recv(10))
            turns.append(b"taken")
            done.set()

        poll.add_reader(b.fileno(), take_b)
        to_a.send(b"first")
        await done.wait()

        assert taken == [b"first", b"meanwhile"]
        assert turns[0] == b"taken"
        for each in (a, b):
            poll.remove_reader(each.fileno())
        for each in (a, b, to_a, to_b):
            each.close()

    with_poll(scenario)


def test_a_turn_ends_after_a_millisecond_and_goes_on_in_the_next() -> None:
    clock = iter(number / 2000 for number in range(1000))

    async def scenario(poll: RunnerPoll) -> None:
        ours, theirs = socket.socketpair()
        taken: list[int] = []
        others: list[int] = []
        done = asyncio.Event()

        def take_one() -> None:
            ours.recv(1)
            taken.append(len(others))
            if len(taken) == 6:
                done.set()

        def count_turns() -> None:
            others.append(1)
            asyncio.get_running_loop().call_soon(count_turns)

        poll.add_reader(ours.fileno(), take_one)
        theirs.send(b"abcdef")
        count_turns()
        await done.wait()

        assert taken[0] == taken[1] < taken[-1]  # several a turn, and not all in one
        poll.remove_reader(ours.fileno())
        ours.close()
        theirs.close()

    with_poll(scenario, lambda: next(clock))


def test_who_was_removed_is_not_called_although_it_was_ready() -> None:
    async def scenario(poll: RunnerPoll) -> None:
        (a, to_a), (b, to_b) = socket.socketpair(), socket.socketpair()
        called: list[str] = []

        def take(name: str, other: socket.socket) -> None:
            called.append(name)
            poll.remove_reader(a.fileno())
            poll.remove_reader(b.fileno())

        poll.add_reader(a.fileno(), lambda: take("a", b))
        poll.add_reader(b.fileno(), lambda: take("b", a))
        to_a.send(b"x")
        to_b.send(b"x")
        poll.on_ready()

        assert len(called) == 1
        for each in (a, b, to_a, to_b):
            each.close()

    with_poll(scenario)


def test_an_error_of_one_leaves_the_others_for_the_next_turn() -> None:
    async def scenario(poll: RunnerPoll) -> None:
        (a, to_a), (b, to_b) = socket.socketpair(), socket.socketpair()
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context["exception"]))
        done = asyncio.Event()

        def fail() -> None:
            a.recv(1)
            to_b.send(b"y")
            raise ZeroDivisionError

        poll.add_reader(a.fileno(), fail)

        def take() -> None:
            b.recv(1)
            done.set()

        poll.add_reader(b.fileno(), take)
        to_a.send(b"x")
        await done.wait()

        assert [type(error) for error in errors] == [ZeroDivisionError]
        for each in (a, b):
            poll.remove_reader(each.fileno())
        for each in (a, b, to_a, to_b):
            each.close()

    with_poll(scenario)
