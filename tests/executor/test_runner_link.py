"""Tests of the executor's ends of what it shares with a runner."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from minispark.executor.channel import RunnerChannel
from minispark.executor.runner_link import RunnerLink
from minispark.executor.shared_page import SharedPage
from minispark.ids import TaskId
from minispark.messages.runner import KillAnswered, RunnerReady
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.logic.frames import BUFFER_SIZE
from minispark.rpc.world import SystemWorld

TASK = TaskId(7)


class Runner:
    """Plays the runner on its descriptors."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        link, control, page = fds
        self.channel = RunnerChannel(socket.socket(fileno=link), 1 << 20)
        self.control = socket.socket(fileno=control)
        self.page = SharedPage(page)
        os.close(page)

    def close(self) -> None:
        self.channel.close()
        self.control.close()
        self.page.close()


class Heard:
    """What a link passed on."""

    def __init__(self) -> None:
        self.things: list[Any] = []
        self.changed = asyncio.Event()

    def hear(self, thing: Any) -> None:
        self.things.append(thing)
        self.changed.set()

    async def something(self) -> list[Any]:
        async with asyncio.timeout(60):
            await self.changed.wait()
        return self.things


def linked(scenario: Callable[[RunnerLink, Runner, Heard], Awaitable[None]]) -> None:
    async def run() -> None:
        heard = Heard()
        loop = asyncio.get_running_loop()
        link = RunnerLink(SystemWorld(), loop, 3, 1 << 20, bytearray(BUFFER_SIZE), heard.hear, heard.hear)
        runner = Runner(link.take_fds())
        await scenario(link, runner, heard)
        link.close()
        runner.close()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


def test_conversation_and_page_reach_the_runner_and_back() -> None:
    async def scenario(link: RunnerLink, runner: Runner, heard: Heard) -> None:
        link.send(RunnerReady(3, 1))
        assert runner.channel.receive() == RunnerReady(3, 1)

        runner.channel.send(RunnerReady(3, 2))
        runner.page.begin(TASK)

        assert await heard.something() == [RunnerReady(3, 2)]
        assert link.page.task_id == TASK

    linked(scenario)


def test_a_kill_goes_by_the_control_socket_and_its_answer_comes_back() -> None:
    async def scenario(link: RunnerLink, runner: Runner, heard: Heard) -> None:
        link.send_kill(TASK, True, "enough" * 10_000)

        kill = decode(runner.control.recv(10_000))
        assert (kill.incarnation, kill.task_id, kill.interrupt) == (3, TASK, True)
        assert kill.reason.startswith("enough")

        runner.control.send(encode(KillAnswered(3, TASK))[0])
        assert await heard.something() == [KillAnswered(3, TASK)]

    linked(scenario)


def test_the_end_of_the_runner_is_heard_once() -> None:
    async def scenario(link: RunnerLink, runner: Runner, heard: Heard) -> None:
        runner.channel.send(RunnerReady(3, 2))
        runner.channel.close()
        runner.control.close()

        link.on_control()
        link.drain()
        link.drain()
        link.send_kill(TASK, True, "too late")

        assert heard.things == [RunnerReady(3, 2), "its end of the conversation was closed"]

    linked(scenario)


def test_a_link_whose_descriptors_nobody_took_closes_them() -> None:
    async def scenario(link: RunnerLink, runner: Runner, heard: Heard) -> None:
        loop = asyncio.get_running_loop()
        before = os.listdir("/proc/self/fd")
        other = RunnerLink(SystemWorld(), loop, 4, 1 << 20, bytearray(BUFFER_SIZE), heard.hear, heard.hear)

        other.close()

        assert os.listdir("/proc/self/fd") == before

    linked(scenario)
