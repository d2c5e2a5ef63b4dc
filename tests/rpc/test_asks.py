"""The table of open asks: deadlines with one timer, and an empty table at the end."""

import asyncio

import pytest

from minispark.errors import RpcEnvStopped, RpcTimeout
from minispark.rpc.asks import AskTable
from minispark.rpc.logic.timeouts import TimeoutSetting
from minispark.testing.fakes import RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.rpc.peers import Note, Question

DEFAULT = TimeoutSetting(10.0, "minispark.rpc.askTimeout")


def new_table() -> AskTable:
    return AskTable(asyncio.get_running_loop(), VirtualWorld(), DEFAULT)


def test_asks_end_at_their_own_deadlines_whatever_the_order_they_were_opened_in() -> None:
    async def main() -> None:
        table, ended = new_table(), []
        for timeout in (7.0, None, 3.0, 7.0, 1.0):
            ask = table.new(RecordingRef(), Question("?"), timeout)
            ask.add_done_callback(lambda ask: ended.append((table.loop.time(), type(ask.exception()))))
            await asyncio.sleep(0.5)
        await asyncio.sleep(20)
        assert [at for at, _ in ended] == pytest.approx([3.0, 4.0, 7.0, 8.5, 10.5])
        assert {kind for _, kind in ended} == {RpcTimeout}
        assert not table.open
        assert not table.lines

    run_virtual(main())


def test_a_reply_in_time_leaves_nothing_behind() -> None:
    async def main() -> None:
        table = new_table()
        ask = table.new(RecordingRef(), Question("?"), None)
        table.resolve(ask, Note("yes"))
        table.resolve(ask, Note("again"))
        assert await ask == Note("yes")
        assert not table.open

    run_virtual(main())


def test_failing_all_fails_each_with_its_own_text() -> None:
    async def main() -> None:
        table = new_table()
        asks = [table.new(RecordingRef(name), Question("?"), None) for name in "ab"]
        table.fail_all("the env is stopped", RpcEnvStopped)
        errors = await asyncio.gather(*asks, return_exceptions=True)
        assert [str(error) for error in errors] == [
            "the env is stopped: Question to RecordingRef(a)",
            "the env is stopped: Question to RecordingRef(b)",
        ]
        assert table.timer is not None
        assert table.timer.cancelled()

    run_virtual(main())
