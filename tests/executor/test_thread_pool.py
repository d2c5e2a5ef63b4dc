import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from typing import Any, cast

import pytest

from minispark.executor import thread_pool
from minispark.executor.thread_pool import ThreadPool
from minispark.ids import TaskId
from minispark.messages.coordination import BARRIER_ADDRESSES, RequestToSync
from minispark.messages.runner import AnswerFailed, Binary, RunnerRequest
from minispark.messages.task import ExceptionFailure, RunnerLost, Success, TaskKilled, TaskOutcome
from minispark.rdd.node import Partition
from minispark.rdd.ports import TaskContext
from minispark.rpc.world import SystemWorld
from tests.executor.attempts import Records, binary, conf, location, task

running = threading.Event()  # the tasks below are pickled by reference, so that they can use these
released = threading.Event()


class Endless(Records):
    """Counts until it is killed."""

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[int]:
        running.set()
        return count()


def wait_for_release(context: Any, records: Iterator[Any]) -> None:
    running.set()
    assert released.wait(60)


class Events:
    """What a pool reports; each outcome can be awaited."""

    def __init__(self, pool: ThreadPool, answer: Binary | AnswerFailed | None) -> None:
        self.pool = pool
        self.answer = answer
        self.ready: list[int] = []
        self.started: asyncio.Queue[int] = asyncio.Queue()
        self.outcomes: asyncio.Queue[tuple[int, TaskOutcome]] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.requests: asyncio.Queue[RunnerRequest] = asyncio.Queue()

    async def until_asked_for(self, kind: type) -> None:
        while not isinstance(await self.requests.get(), kind):
            pass

    def runner_ready(self, slot: int) -> None:
        self.ready.append(slot)

    def task_started(self, slot: int, task_id: int) -> None:
        self.started.put_nowait(task_id)

    def task_finished(self, slot: int, task_id: int, outcome: TaskOutcome) -> None:
        self.outcomes.put_nowait((task_id, outcome))

    def runner_lost(self, slot: int, task_id: int | None, loss: RunnerLost) -> None:
        raise AssertionError("threads are never lost")

    def runner_asked(self, slot: int, task_id: int, ask_id: int, request: RunnerRequest) -> None:
        self.asked.set()
        self.requests.put_nowait(request)
        if self.answer is not None:
            self.pool.answer(slot, ask_id, self.answer)


def with_pool(
    test: Callable[[ThreadPool, Events], Coroutine[Any, Any, None]],
    answer: Binary | AnswerFailed | None = None,
    **settings: object,
) -> None:
    """Run a test on a pool of two threads, whose tasks can all end."""
    running.clear()
    released.clear()

    async def main() -> None:
        pool = ThreadPool(2, conf(**settings), location(), SystemWorld())
        events = Events(pool, answer)
        await pool.start(events)
        try:
            await test(pool, events)
        finally:
            released.set()
            await pool.stop(5.0)
        assert not pool.alive

    asyncio.run(main())


async def until_running() -> None:
    await asyncio.get_running_loop().run_in_executor(None, running.wait, 60)


def test_tasks_run_on_threads_at_the_same_time() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        assert sorted(events.ready) == [0, 1]
        pool.run(0, task(1))
        pool.run(1, task(2))

        outcomes = dict([await events.outcomes.get(), await events.outcomes.get()])

        assert outcomes.keys() == {1, 2}
        assert all(isinstance(outcome, Success) for outcome in outcomes.values())

    with_pool(test, Binary(binary(lambda *_: threading.Barrier(1).wait())))


def test_a_long_task_is_reported_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "STARTED_AFTER_S", 0.0)

    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))

        assert await events.started.get() == 1

    with_pool(test, Binary(binary(wait_for_release)))


def test_an_attempt_that_iterates_over_records_can_be_killed() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))
        await until_running()

        pool.kill(0, task(9).task_id, True, "another attempt")
        pool.kill(0, task(1).task_id, True, "why")

        task_id, outcome = await events.outcomes.get()
        assert isinstance(outcome, TaskKilled)
        assert (task_id, outcome.reason) == (1, "why")

    with_pool(test, Binary(binary(lambda _, records: sum(records), Endless())))


def test_an_attempt_that_waits_for_an_answer_can_be_killed() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))
        await events.asked.wait()

        pool.kill(0, task(1).task_id, True, "why")

        _, outcome = await events.outcomes.get()
        assert isinstance(outcome, TaskKilled)
        pool.answer(0, 1, Binary(b"too late"))

    with_pool(test)


def test_an_attempt_that_does_not_stop_is_given_up_and_its_slot_used_again() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))
        await until_running()

        pool.kill(0, task(1).task_id, True, "why")
        assert await events.outcomes.get() == (1, TaskKilled("why"))

        released.set()
        pool.run(0, task(2))
        task_id, outcome = await events.outcomes.get()
        assert task_id == 2
        assert isinstance(outcome, Success)

    with_pool(test, Binary(binary(wait_for_release)), executor_killGrace="1ms")


def test_an_answer_that_failed_fails_the_attempt() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))

        _, outcome = await events.outcomes.get()

        assert isinstance(outcome, ExceptionFailure)
        assert "the driver is gone" in outcome.description

    with_pool(test, AnswerFailed("the driver is gone"))


def test_a_stop_ends_attempts_that_iterate_over_records() -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))
        await until_running()

        await pool.stop(5.0)

        _, outcome = await events.outcomes.get()
        assert isinstance(outcome, TaskKilled)

    with_pool(test, Binary(binary(lambda _, records: sum(records), Endless())))


def test_a_stop_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1))
        await until_running()

        await pool.stop(0.001)

        assert "1 tasks do not stop" in caplog.text
        pool.all_ended.clear()

    with_pool(test, Binary(binary(wait_for_release)))


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_task_that_waits_for_others_ends_at_once_when_it_is_killed(interrupt: bool) -> None:
    async def test(pool: ThreadPool, events: Events) -> None:
        pool.run(0, task(1, properties={BARRIER_ADDRESSES: "a,a"}))
        await events.asked.wait()
        pool.answer(0, 1, Binary(binary(lambda context, _: cast(Any, context).barrier())))
        await events.until_asked_for(RequestToSync)

        pool.kill(0, TaskId(1), interrupt, "enough")

        _, outcome = await events.outcomes.get()
        assert isinstance(outcome, TaskKilled)
        assert outcome.reason == "enough"

    with_pool(test, executor_killGrace=60)
