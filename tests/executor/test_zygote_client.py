"""Tests of the executor's handle on a zygote, with a real one."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from minispark.executor.zygote_client import ZygoteClient, ending
from minispark.executor.zygote_process import ZygoteProcess
from minispark.ids import ExecutorId
from minispark.messages.runner import RunnerExited, StartZygote
from minispark.messages.task import BlockManagerId
from minispark.rpc.world import SystemWorld
from tests.executor.stand_in import FACTORY


class Events:
    """Keeps what a client passes on."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[object] = asyncio.Queue()

    def zygote_ready(self) -> None:
        self.heard.put_nowait("ready")

    def runner_forked(self, incarnation: int, pid: int) -> None:
        self.heard.put_nowait(("forked", incarnation))

    def runner_exited(self, exited: RunnerExited) -> None:
        self.heard.put_nowait(exited)

    def zygote_gone(self, reason: str) -> None:
        self.heard.put_nowait(reason)

    async def next(self) -> object:
        async with asyncio.timeout(60):
            return await self.heard.get()


def start_message(factory: str = FACTORY) -> StartZygote:
    location = BlockManagerId(ExecutorId("driver"), "localhost", 0, "")
    return StartZygote({}, (), (), factory, {}, location, "")


def with_client(
    scenario: Callable[[ZygoteClient, Events], Awaitable[None]], start: StartZygote | None = None
) -> None:
    async def run() -> None:
        events = Events()
        client = ZygoteClient(asyncio.get_running_loop(), events, ZygoteProcess.spawn(SystemWorld()))
        client.send(start or start_message())
        await scenario(client, events)
        client.close()
        await client.gone

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.cluster
def test_a_zygote_that_is_closed_exits_by_itself() -> None:
    async def scenario(client: ZygoteClient, events: Events) -> None:
        assert await events.next() == "ready"
        client.close()
        assert await events.next() == "the zygote exited with code 0"

    with_client(scenario)


@pytest.mark.cluster
def test_a_zygote_that_dies_is_heard_of_once() -> None:
    async def scenario(client: ZygoteClient, events: Events) -> None:
        await events.next()
        client.kill()
        assert await events.next() == "the zygote was ended by SIGKILL"
        client.signal(1, signal.SIGTERM)
        read, write = os.pipe()
        client.fork(1, (read, write))
        assert events.heard.empty()

    with_client(scenario)


@pytest.mark.cluster
def test_a_zygote_that_cannot_start_says_why() -> None:
    async def scenario(client: ZygoteClient, events: Events) -> None:
        assert await events.next() == "AttributeError: module 'os' has no attribute 'no_function'"

    with_client(scenario, start_message("os:no_function"))


@pytest.mark.cluster
def test_a_runner_whose_descriptors_are_none_exits_and_says_why() -> None:
    async def scenario(client: ZygoteClient, events: Events) -> None:
        await events.next()
        client.fork(5, (os.open("/dev/null", os.O_RDONLY),))

        assert await events.next() == ("forked", 5)
        exited = await events.next()
        assert isinstance(exited, RunnerExited)
        assert (exited.incarnation, exited.exit_code, exited.signal) == (5, 70, 0)
        assert "not enough values to unpack" in exited.text

    with_client(scenario)


def test_endings_are_put_into_words() -> None:
    assert ending(3) == "exited with code 3"
    assert ending(-9) == "was ended by SIGKILL"
    assert ending(-63) == "was ended by signal 63"
