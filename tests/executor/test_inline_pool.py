import asyncio
import pickle
from typing import Any, cast

import pytest

from minispark.executor.inline_pool import InlinePool
from minispark.messages.coordination import BARRIER_ADDRESSES
from minispark.messages.runner import AnswerFailed, Binary, RunnerRequest
from minispark.messages.task import DirectResult, ExceptionFailure, RunnerLost, Success, TaskKilled, TaskOutcome
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.executor.attempts import binary, conf, location, task

CRASH = RunnerLost(None, 9, "")


class Events:
    """What a pool reports, with the time; answers asks at once with `binary`."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data
        self.pool: Any = None
        self.seen: list[tuple[float, str, int]] = []
        self.outcomes: list[TaskOutcome] = []

    def note(self, what: str, number: int) -> None:
        self.seen.append((asyncio.get_running_loop().time(), what, number))

    def runner_ready(self, slot: int) -> None:
        self.note("ready", slot)

    def task_started(self, slot: int, task_id: int) -> None:
        self.note("started", task_id)

    def task_finished(self, slot: int, task_id: int, outcome: TaskOutcome) -> None:
        self.note("finished", task_id)
        self.outcomes.append(outcome)

    def runner_lost(self, slot: int, task_id: int | None, loss: RunnerLost) -> None:
        self.note("lost", -1 if task_id is None else task_id)

    def runner_asked(self, slot: int, task_id: int, ask_id: int, request: RunnerRequest) -> None:
        if self.data is not None:
            self.pool.answer(slot, ask_id, Binary(self.data))


async def started(data: bytes | None, duration: float = 0.0, slots: int = 1) -> tuple[InlinePool, Events]:
    pool = InlinePool(slots, conf(), location(), VirtualWorld(), duration=lambda _: duration)
    events = Events(data)
    events.pool = pool
    await pool.start(events)
    return pool, events


def test_a_task_runs_in_a_callback_of_its_own() -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda context, _: context.task_attempt_id))
        pool.run(0, task(5))
        assert events.seen == [(0.0, "ready", 0)]

        await settle()

        assert events.seen[1:] == [(0.0, "finished", 5)]
        assert isinstance(events.outcomes[0], Success)
        assert isinstance(events.outcomes[0].result, DirectResult)
        assert pickle.loads(events.outcomes[0].result.batches[0]) == 5

    run_virtual(main())


def test_an_outcome_is_delivered_after_its_duration() -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda *_: None), duration=3.0, slots=2)
        pool.run(1, task(5))

        await asyncio.sleep(10)

        assert [what for what in events.seen if what[1] != "ready"] == [(0.1, "started", 5), (3.0, "finished", 5)]

    run_virtual(main())


@pytest.mark.parametrize(("interrupt", "end"), [(True, 1.0), (False, 3.0)])
def test_a_kill_discards_what_an_attempt_did(interrupt: bool, end: float) -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda *_: None), duration=3.0)
        pool.run(0, task(5))
        await asyncio.sleep(1)

        pool.kill(0, task(6).task_id, True, "another attempt")
        pool.kill(0, task(5).task_id, interrupt, "why")
        await asyncio.sleep(10)

        assert events.seen[-1] == (end, "finished", 5)
        assert events.outcomes == [TaskKilled("why")]

    run_virtual(main())


def test_a_kill_right_after_the_dispatch_keeps_the_task_from_running() -> None:
    ran: list[int] = []

    async def main() -> None:
        pool, events = await started(binary(lambda *_: ran.append(1)))
        pool.run(0, task(5))

        pool.kill(0, task(5).task_id, True, "why")
        await settle()

        assert events.outcomes == [TaskKilled("why")]

    run_virtual(main())
    assert not ran


def test_a_crash_takes_the_attempt_along_and_a_fresh_runner_comes() -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda *_: None), duration=3.0)
        pool.run(0, task(5))
        await asyncio.sleep(1)

        pool.crash(0, CRASH, restart_s=2.0)
        await asyncio.sleep(10)

        assert events.seen[-2:] == [(1.0, "lost", 5), (3.0, "ready", 0)]

    run_virtual(main())


def test_an_idle_runner_may_crash() -> None:
    async def main() -> None:
        pool, events = await started(None)

        pool.crash(0, CRASH)
        await asyncio.sleep(1)

        assert events.seen[-2:] == [(0.0, "lost", -1), (0.0, "ready", 0)]

    run_virtual(main())


def test_a_question_that_is_not_answered_at_once_fails_the_attempt() -> None:
    async def main() -> None:
        pool, events = await started(None)
        pool.run(0, task())

        await settle()

        assert isinstance(events.outcomes[0], ExceptionFailure)
        assert "NeedBinary was not answered at once" in events.outcomes[0].description
        pool.answer(0, 1, AnswerFailed("too late"))
        assert not pool.answers

    run_virtual(main())


def test_a_stopped_pool_reports_nothing_more() -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda *_: None), duration=3.0)
        pool.run(0, task())
        await settle()

        await pool.stop(1.0)
        await asyncio.sleep(10)

        assert not events.outcomes

    run_virtual(main())


def test_tasks_on_the_loop_cannot_wait_for_each_other() -> None:
    async def main() -> None:
        pool, events = await started(binary(lambda context, _: cast(Any, context).barrier()))
        pool.run(0, task(1, properties={BARRIER_ADDRESSES: "a,a"}))
        await settle()

        (failure,) = events.outcomes
        assert isinstance(failure, ExceptionFailure)
        assert failure.class_name == "minispark.errors.BarrierError"
        assert "set minispark.executor.pool to process or thread" in failure.description

    run_virtual(main())
