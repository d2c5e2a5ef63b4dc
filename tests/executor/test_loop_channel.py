"""Tests of the executor's end of the conversation, over real sockets."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from minispark.executor.channel import RunnerChannel
from minispark.executor.loop_channel import LoopChannel
from minispark.messages.runner import Binary, RunnerAnswer, RunnerReady
from minispark.rpc.logic.frames import BUFFER_SIZE


class Ends:
    """Both ends of one conversation, and what the executor's end was told."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        self.messages: list[Any] = []
        self.reasons: list[str] = []
        self.changed = asyncio.Event()
        self.runner = RunnerChannel(there, 1 << 26)
        self.link = there
        self.executor = LoopChannel(
            asyncio.get_running_loop(), here, 1 << 26, bytearray(BUFFER_SIZE), self.on_message, self.on_end
        )

    def on_message(self, message: Any) -> None:
        self.messages.append(message)
        self.changed.set()

    def on_end(self, reason: str) -> None:
        self.reasons.append(reason)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def receive(runner: RunnerChannel) -> Any:
    """Wait for a message, as runners do."""
    while True:
        runner.wait()
        with contextlib.suppress(BlockingIOError):
            return runner.receive()


def converse(scenario: Callable[[Ends], Awaitable[None]]) -> None:
    async def run() -> None:
        ends = Ends()
        await scenario(ends)
        ends.executor.close()
        ends.runner.close()

    asyncio.run(run())


def test_messages_come_in_their_order() -> None:
    async def scenario(ends: Ends) -> None:
        for number in range(100):
            ends.runner.send(RunnerReady(number, 1))

        await ends.until(lambda: len(ends.messages) == 100)

        assert [message.incarnation for message in ends.messages] == list(range(100))

    converse(scenario)


def test_a_large_message_is_sent_as_the_runner_reads_and_keeps_the_order() -> None:
    async def scenario(ends: Ends) -> None:
        data = os.urandom(5_000_000)
        ends.executor.send(RunnerAnswer(1, 1, Binary(data)))
        ends.executor.send(RunnerAnswer(1, 2, Binary(b"after")))
        assert ends.executor.backlog

        first = await asyncio.to_thread(receive, ends.runner)
        second = await asyncio.to_thread(receive, ends.runner)

        assert first.answer.data == data
        assert second.ask_id == 2
        assert not ends.executor.backlog

    converse(scenario)


def test_a_large_message_is_received_in_turns() -> None:
    async def scenario(ends: Ends) -> None:
        data = os.urandom(5_000_000)
        sending = asyncio.create_task(asyncio.to_thread(ends.runner.send, RunnerAnswer(1, 1, Binary(data))))

        await ends.until(lambda: ends.messages)
        await sending

        assert ends.messages[0].answer.data == data

    converse(scenario)


def test_the_end_of_the_runner_is_told_once_after_all_it_said() -> None:
    async def scenario(ends: Ends) -> None:
        ends.runner.send(RunnerReady(1, 1))
        ends.runner.close()

        ends.executor.drain()
        ends.executor.drain()
        ends.executor.send(RunnerReady(2, 2))

        assert ends.messages == [RunnerReady(1, 1)]
        assert ends.reasons == ["its end of the conversation was closed"]

    converse(scenario)


def test_what_is_no_message_ends_the_conversation() -> None:
    async def scenario(ends: Ends) -> None:
        ends.link.sendall(b"print to the wrong place\n")

        await ends.until(lambda: ends.reasons)

        assert "is over the bound" in ends.reasons[0]

    converse(scenario)


def test_a_close_with_a_backlog_tells_nothing() -> None:
    async def scenario(ends: Ends) -> None:
        ends.executor.send(RunnerAnswer(1, 1, Binary(bytes(5_000_000))))

        ends.executor.close()

        assert ends.reasons == []
        assert not ends.executor.backlog

    converse(scenario)
