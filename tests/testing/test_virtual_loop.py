"""Virtual time."""

import asyncio
import socket
import time

import pytest

from minispark.testing.virtual_loop import Deadlock, VirtualWorld, run_virtual, settle


def test_hours_pass_in_no_time_and_in_order() -> None:
    async def main() -> list[str]:
        ends: list[str] = []

        async def wait(hours: float, name: str) -> None:
            await asyncio.sleep(hours * 3600)
            ends.append(name)

        await asyncio.gather(wait(10, "c"), wait(1, "a"), wait(2, "b"))
        assert asyncio.get_running_loop().time() == 36_000
        return ends

    started = time.perf_counter()
    assert run_virtual(main()) == ["a", "b", "c"]
    assert time.perf_counter() - started < 5


def test_timeouts_and_task_groups_work() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(120))
        assert asyncio.get_running_loop().time() == 60

    run_virtual(main())


def test_a_wait_that_nothing_can_end_is_a_deadlock_that_names_the_waiting_task() -> None:
    async def main() -> None:
        asyncio.current_task().set_name("the stuck one")  # type: ignore[union-attr]
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match=r"the stuck one: .*main.* waits at .*test_virtual_loop\.py"):
        run_virtual(main())


def test_settling_runs_what_is_ready_and_does_not_move_the_clock() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_soon(lambda: loop.call_soon(seen.append, "soon"))
        loop.call_later(1, seen.append, "later")
        await settle()
        assert (seen, loop.time()) == (["soon"], 0)

    run_virtual(main())


def test_the_virtual_world_has_the_loops_time_and_the_seeds_chance() -> None:
    async def main() -> None:
        world = VirtualWorld(7)
        fired: list[str] = []
        assert world.secret_bytes(8) == VirtualWorld(7).secret_bytes(8) != VirtualWorld(8).secret_bytes(8)
        world.call_later(5, fired.append, "timer")
        start = world.wall()
        await world.sleep(10)
        assert (world.monotonic(), world.wall() - start, fired) == (10, 10, ["timer"])
        assert await world.run_blocking(max, 1, 2) == 2

    run_virtual(main())


def test_the_virtual_world_refuses_what_would_race_its_clock() -> None:
    world = VirtualWorld()
    with pytest.raises(NotImplementedError):
        world.spawn_process(["true"], environment={})
    with pytest.raises(NotImplementedError):
        world.start_thread(print, name="x")
    with pytest.raises(NotImplementedError):
        world.socket_pair(socket.SOCK_STREAM)
