import asyncio
import signal

from minispark.testing.sim_loop import SimLoop, SimProcess


def with_loop(scenario) -> list[str]:  # type: ignore[no-untyped-def]
    loop = SimLoop()
    heard: list[str] = []
    try:
        loop.run_until_complete(scenario(loop, heard))
        assert loop.errors == []
    finally:
        loop.finish()
    return heard


async def tick(heard: list[str], name: str) -> None:
    try:
        for number in range(3):
            heard.append(f"{name} {number}")
            await asyncio.sleep(1)
    finally:
        heard.append(f"{name} unwound")


def test_a_killed_process_is_gone_with_its_timers_and_tasks_and_does_not_unwind() -> None:
    async def scenario(loop: SimLoop, heard: list[str]) -> None:
        one, other = SimProcess(loop, "one", "a"), SimProcess(loop, "other", "a")
        codes: list[int] = []
        one.on_end.append(codes.append)
        one.spawn(tick(heard, "one"))
        other.spawn(tick(heard, "other"))
        await asyncio.sleep(0.5)
        one.end()
        await asyncio.sleep(5)
        assert (codes, one.is_alive, other.is_alive) == ([-9], False, True)
        assert heard == ["one 0", "other 0", "other 1", "other 2", "other unwound"]

    with_loop(scenario)


def test_a_frozen_process_does_what_it_missed_when_it_is_thawed() -> None:
    async def scenario(loop: SimLoop, heard: list[str]) -> None:
        process = SimProcess(loop, "one", "a")
        process.spawn(tick(heard, "one"))
        await asyncio.sleep(0.5)
        process.freeze()
        await asyncio.sleep(10)
        assert heard == ["one 0"]
        process.thaw()
        await asyncio.sleep(5)

    assert with_loop(scenario) == ["one 0", "one 1", "one 2", "one unwound"]


def test_a_signal_is_handled_by_the_process_or_ends_it() -> None:
    async def scenario(loop: SimLoop, heard: list[str]) -> None:
        process = SimProcess(loop, "one", "a")
        loop.run_as(process, loop.add_signal_handler, signal.SIGTERM, heard.append, "asked to end")
        process.signal(signal.SIGTERM)
        await asyncio.sleep(0)
        assert (heard, process.exit_code) == (["asked to end"], None)
        process.signal(signal.SIGPWR)
        assert process.exit_code == -signal.SIGPWR
        assert await process.ended == -signal.SIGPWR

    with_loop(scenario)


def test_a_process_whose_main_fails_has_crashed() -> None:
    async def fail() -> None:
        raise ValueError("oh")

    async def scenario(loop: SimLoop, heard: list[str]) -> None:
        process = SimProcess(loop, "one", "a")
        process.spawn(fail())
        await asyncio.sleep(1)
        heard.append(str(loop.errors.pop()["exception"]))
        assert process.exit_code == 1

    assert with_loop(scenario) == ["oh"]
