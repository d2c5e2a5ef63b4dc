"""Kills of real runner processes: at any moment, fenced by attempt, nothing torn or doubled or misattributed."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from minispark.ids import TaskId
from minispark.messages.runner import AnswerFailed
from minispark.messages.task import Success, TaskKilled
from tests.executor.pool_harness import Recorder, value_of, with_pool

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("do", ["spin", "sleep", "ask"])
def test_a_kill_ends_an_attempt_and_its_runner_goes_on(do: str) -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]
        recorder.answer = None
        task_id = await recorder.begin_long(do, b"1" if do == "ask" else b"")

        recorder.kill(task_id, reason="enough")

        end = await recorder.end_of(task_id)
        assert isinstance(end, TaskKilled)
        assert end.reason == "enough"
        assert (await recorder.do("facts"))["pid"] == before

    with_pool(scenario, executor_killGrace=20)


def test_an_attempt_that_does_not_unwind_loses_its_runner() -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]
        task_id = await recorder.begin_deaf("swallow")

        recorder.kill(task_id, reason="enough")

        end = await recorder.end_of(task_id)
        assert isinstance(end, TaskKilled)
        assert end.reason == "enough"
        assert not recorder.losses
        assert (await recorder.do("facts"))["pid"] != before

    with_pool(scenario, executor_killGrace=0.1)


def test_a_kill_that_a_finaliser_swallowed_is_repeated() -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]
        task_id = await recorder.begin_long("finaliser")

        recorder.kill(task_id)

        assert isinstance(await recorder.end_of(task_id), TaskKilled)
        assert (await recorder.do("facts"))["pid"] == before

    with_pool(scenario, executor_killGrace=6)


def test_a_kill_without_interrupt_only_sets_the_flag(tmp_path: Path) -> None:
    async def scenario(recorder: Recorder) -> None:
        polite = await recorder.begin_long("poll_flag")
        rude = await recorder.begin_long("patient", str(tmp_path / "end").encode())

        recorder.kill(polite, interrupt=False, reason="please")
        recorder.kill(rude, interrupt=False, reason="please")

        ends = [await recorder.end_of(polite)]
        await recorder.do("sleep", b"0.1")  # longer than the grace, which does not count
        assert not recorder.ends[rude].done()
        (tmp_path / "end").touch()
        ends.append(await recorder.end_of(rude))
        assert [end.reason for end in ends if isinstance(end, TaskKilled)] == ["please", "please"]

    with_pool(scenario, slots=2, executor_killGrace=0.05)


def test_a_kill_may_become_one_that_interrupts() -> None:
    async def scenario(recorder: Recorder) -> None:
        task_id = await recorder.begin_long("sleep")
        recorder.kill(task_id, interrupt=False, reason="please")

        recorder.kill(task_id, interrupt=True, reason="now")

        end = await recorder.end_of(task_id)
        assert isinstance(end, TaskKilled)
        assert end.reason == "now"

    with_pool(scenario)


def test_a_kill_of_another_attempt_does_nothing(tmp_path: Path) -> None:
    async def scenario(recorder: Recorder) -> None:
        running = await recorder.begin_long("patient", str(tmp_path / "end").encode())

        recorder.pool.kill(0, TaskId(12345), interrupt=True, reason="not meant")
        (tmp_path / "end").touch()

        assert isinstance(await recorder.end_of(running), Success)

    with_pool(scenario)


def test_an_answer_to_a_killed_asker_disturbs_nobody() -> None:
    async def scenario(recorder: Recorder) -> None:
        recorder.answer = AnswerFailed("there is no such binary")
        assert await recorder.do("ask", b"1") == "there is no such binary"
        recorder.answer = None
        task_id = await recorder.begin_long("ask", b"1")
        await recorder.until(lambda: len(recorder.asked) == 2)
        slot, ask_id, _ = recorder.asked[-1]
        recorder.kill(task_id)
        await recorder.end_of(task_id)

        recorder.pool.answer(slot, ask_id, AnswerFailed("too late"))

        assert await recorder.do("echo", b"not torn") == b"not torn"

    with_pool(scenario)


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_kills_at_random_moments_tear_nothing(seed: int) -> None:
    chance = random.Random(seed)
    ends: Counter[str] = Counter()

    async def one(recorder: Recorder, number: int) -> None:
        do = chance.choice(["echo", "spin", "ask", "sleep"])
        argument = {"echo": b"%d" % number, "spin": b"%d" % chance.randrange(20000), "sleep": b"0.001"}.get(do, b"7")
        task_id = await recorder.begin(do, argument)
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        for _ in range(chance.randrange(1, 3)):
            recorder.kill(task_id, interrupt=chance.random() < 0.8, reason=f"kill {number}")
        end = await recorder.end_of(task_id)
        ends[type(end).__name__] += 1
        if isinstance(end, Success):
            value = value_of(end, task_id)
            assert do != "echo" or value == argument
            assert do != "ask" or value == len(b"binary")
        else:
            assert isinstance(end, TaskKilled)
            assert end.reason == f"kill {number}"

    async def scenario(recorder: Recorder) -> None:
        for start in range(0, 500, 2):
            await asyncio.gather(one(recorder, start), one(recorder, start + 1))
            assert await recorder.do("echo", b"between") == b"between"
        assert not recorder.losses

    with_pool(scenario, slots=2, executor_killGrace=30)

    assert ends["TaskKilled"] > 50
    assert ends["Success"] > 50


@pytest.mark.scenario("BAR-006")
@pytest.mark.parametrize("interrupt", [True, False])
def test_a_kill_ends_the_wait_for_other_tasks_at_once(interrupt: bool) -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]
        recorder.answer = None
        task_id = await recorder.begin_long("wait_for_others")

        recorder.kill(task_id, interrupt=interrupt, reason="enough")

        end = await recorder.end_of(task_id)
        assert isinstance(end, TaskKilled)
        assert end.reason == "enough"
        assert (await recorder.do("facts"))["pid"] == before

    with_pool(scenario, executor_killGrace=60)


@pytest.mark.scenario("JC-006", "reaper kills executor if task keeps running")
def test_the_runner_of_a_task_that_goes_on_after_a_kill_is_replaced_when_the_reapers_time_is_up() -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]
        task_id = await recorder.begin_deaf("swallow")

        recorder.kill(task_id, reason="enough")

        assert isinstance(await recorder.end_of(task_id), TaskKilled)
        assert (await recorder.do("facts"))["pid"] != before

    with_pool(scenario, executor_killGrace=60, task_reaper_killTimeout=0.1)


@pytest.mark.scenario("JC-006", "not with timeout -1")
def test_without_a_reaper_a_task_that_goes_on_keeps_its_runner(tmp_path: Path) -> None:
    async def scenario(recorder: Recorder) -> None:
        task_id = await recorder.begin_deaf("stubborn", str(tmp_path / "end").encode())

        recorder.kill(task_id, reason="enough")
        await recorder.do("sleep", b"0.2")  # meanwhile nothing happens to the other one
        assert not recorder.ends[task_id].done()
        (tmp_path / "end").touch()

        assert isinstance(await recorder.end_of(task_id), TaskKilled)

    with_pool(scenario, slots=2, executor_killGrace=0.01, task_reaper_killTimeout=-1)
