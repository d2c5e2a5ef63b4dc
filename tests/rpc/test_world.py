"""The real world."""

import asyncio
import os
import signal
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop

from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import SystemWorld


def test_equal_seeds_draw_equal_chance_and_secrets_are_never_equal() -> None:
    first, second = SystemWorld(7), SystemWorld(7)

    assert first.rng.random() == second.rng.random()
    assert first.secret_bytes(32) != second.secret_bytes(32)


def test_time_goes_on_and_timers_fire() -> None:
    async def main() -> None:
        world, fired = SystemWorld(), asyncio.Event()
        before = world.monotonic(), world.wall()
        world.call_later(0.001, fired.set)
        await fired.wait()
        await world.sleep(0)
        assert world.monotonic() > before[0]
        assert world.wall() > before[1]

    asyncio.run(main())


def test_blocking_work_runs_beside_the_loop() -> None:
    async def main() -> None:
        assert await SystemWorld().run_blocking(divmod, 7, 2) == (3, 1)

    asyncio.run(main())


def test_nobody_waits_for_a_detached_call_that_does_not_return() -> None:
    goes_on = threading.Event()

    async def main() -> None:
        world = SystemWorld()
        assert await world.run_detached(lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            await world.run_detached(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await world.run_detached(partial(next, iter(())))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await world.run_detached(goes_on.wait)

    try:
        asyncio.run(main())  # which would wait for the threads of the loop's executor
    finally:
        goes_on.set()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stranger_that_says_nothing_does_not_hold_a_tls_connection(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minispark.rpc.world.TLS_HANDSHAKE_S", 0.05)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def main() -> None:
        listener = await SystemWorld().listen(asyncio.Protocol, RpcAddress("127.0.0.1", 0), context)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.address.port)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        listener.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_socket_pair_is_connected() -> None:
    near, far = SystemWorld().socket_pair(socket.SOCK_STREAM)
    with near, far:
        near.sendall(b"x")
        assert far.recv(1) == b"x"


@pytest.mark.cluster
def test_a_process_is_started_in_a_session_of_its_own() -> None:
    child = SystemWorld().spawn_process(["/bin/sleep", "1000"], environment={})
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.poll() == -signal.SIGKILL


@pytest.mark.cluster
def test_a_unix_socket_is_for_its_user_alone_and_is_removed_when_closed(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "socket"
        listener = await SystemWorld().listen(asyncio.Protocol, RpcAddress(str(path), 0))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(OSError, match="in use"):
            await SystemWorld().listen(asyncio.Protocol, RpcAddress(str(path), 0))
        listener.close()
        assert not path.exists()

    asyncio.run(main())


@pytest.mark.cluster
def test_the_unix_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    class Leaver(asyncio.Protocol):
        lost: asyncio.Event

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set()

    async def main() -> None:
        ends = [Leaver(), Leaver()]
        for end in ends:
            end.lost = asyncio.Event()
        listener = await SystemWorld().listen(lambda: ends[0], RpcAddress(str(path), 0))
        await SystemWorld().connect(lambda: ends[1], RpcAddress(str(path), 0))
        await asyncio.gather(*(end.lost.wait() for end in ends))
        assert stat.S_ISSOCK(path.stat().st_mode)
        listener.close()
        assert not path.exists()

    asyncio.run(main())


@pytest.mark.cluster
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_end_of_a_process_is_awaited_before_its_id_is_free(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> None:
        world = SystemWorld()
        child = world.spawn_process(["/bin/sh", "-c", "exit 7"], environment={})
        await world.child_ended(child)
        os.kill(child.pid, 0)
        assert child.poll() == 7

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.cluster
def test_what_a_process_writes_goes_where_it_is_told(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        child = SystemWorld().spawn_process(
            ["/bin/sh", "-c", "pwd; echo oops >&2"], environment={}, directory=tmp_path,
            output=(out.fileno(), err.fileno()),
        )  # fmt: skip
        child.wait()
    assert (tmp_path / "out").read_text() == f"{tmp_path}\n"
    assert (tmp_path / "err").read_text() == "oops\n"
