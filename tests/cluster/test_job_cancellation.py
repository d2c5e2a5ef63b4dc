"""Cancelling jobs whose tasks run in real processes: the tasks end at once and the next job runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from minispark import SparkConf, SparkContext
from minispark.errors import JobCancelled
from minispark.executor.current_task import current_task_context
from minispark.messages.listener import JobEnd, ListenerEvent, TaskEnd, TaskStart
from minispark.messages.task import Success, TaskKilled
from tests.cluster.cluster_house import until

pytestmark = pytest.mark.cluster


def sleep(number: int) -> int:
    time.sleep(1000)  # a task that only a kill ends
    return number


class Events:
    """Waits for what listeners hear."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[ListenerEvent] = asyncio.Queue()

    def on_event(self, event: ListenerEvent) -> None:
        self.queue.put_nowait(event)

    async def until(self, kind: type[ListenerEvent], count: int = 1) -> list[Any]:
        """Return the next events of a kind."""
        found: list[ListenerEvent] = []
        while len(found) < count:
            event = await self.queue.get()
            if isinstance(event, kind):
                found.append(event)
        return found


async def start(sc: SparkContext, action: Awaitable[Any], tasks: int) -> tuple[Events, "asyncio.Future[Any]"]:
    """Start an action and wait until its tasks run."""
    events = Events()
    sc.add_listener(events)
    job = asyncio.ensure_future(action)
    await events.until(TaskStart, tasks)
    return events, job


async def cancel(sc: SparkContext, action: Awaitable[Any], tasks: int) -> None:
    """Cancel an action whose tasks run, and see them killed."""
    events, job = await start(sc, action, tasks)
    job.cancel("not needed")
    with pytest.raises(asyncio.CancelledError):
        await job
    (end,) = await events.until(JobEnd)
    assert (end.result, end.failure) == ("cancelled", "not needed")
    assert [type(ended.reason) for ended in await events.until(TaskEnd, tasks)] == [TaskKilled] * tasks
    sc.remove_listener(events)


async def cancel_count_and_take(sc: SparkContext) -> None:
    await cancel(sc, sc.parallelize(range(10_000), 2).map(sleep).count(), 2)
    await cancel(sc, sc.parallelize(range(10_000), 2).map(sleep).take(5000), 1)
    assert await sc.parallelize(range(10), 2).count() == 10


def assert_works(scenario: Callable[[SparkContext], Awaitable[None]], mode: str = "fifo") -> None:
    async def main() -> None:
        async with SparkContext("local[2]", conf=SparkConf({"minispark.scheduler.mode": mode})) as sc:
            async with asyncio.timeout(60):
                await scenario(sc)

    asyncio.run(main())


@pytest.mark.scenario("JC-001", "count, async, local, FIFO")
@pytest.mark.scenario("JC-001", "take, async, local, FIFO")
def test_running_actions_are_cancelled_with_their_tasks() -> None:
    assert_works(cancel_count_and_take)


@pytest.mark.scenario("JC-001", "count, async, local, FAIR")
@pytest.mark.scenario("JC-001", "take, async, local, FAIR")
def test_so_they_are_in_fair_mode() -> None:
    assert_works(cancel_count_and_take, "fair")


@pytest.mark.scenario("JC-004", "group with interruption")
def test_a_group_that_interrupts_makes_room_for_the_next_job_at_once() -> None:
    async def scenario(sc: SparkContext) -> None:
        sc.set_job_group("a", "to be cancelled", interrupt_on_cancel=True)
        _, job = await start(sc, sc.parallelize(range(10_000), 2).map(sleep).count(), 2)
        sc.clear_job_group()
        other = asyncio.ensure_future(sc.parallelize(range(100), 2).count())
        sc.cancel_job_group("a", "not needed")
        with pytest.raises(JobCancelled, match="not needed"):
            await job
        assert await other == 100

    assert_works(scenario)


class Reluctant:
    """A key that cannot be compared in any reasonable time."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: "Reluctant") -> bool:
        time.sleep(1000)
        return self.number < other.number


@pytest.mark.scenario("JC-007", "shuffle-read iterator is interruptible (also in sort/spill phases)")
@pytest.mark.parametrize("phase", ["read", "sort"])
def test_a_task_is_cancelled_while_it_reads_or_sorts_what_was_shuffled(phase: str) -> None:
    async def scenario(sc: SparkContext) -> None:
        numbers = sc.range(100, num_slices=2)
        if phase == "read":
            job = numbers.map(lambda n: (n, n)).partition_by(1).map(lambda pair: sleep(pair[0])).count()
        else:
            pairs = numbers.map(lambda n: (n, n))
            job = pairs.repartition_and_sort_within_partitions(1, key_function=Reluctant).count()
        events, running = await start(sc, job, 3)  # two maps, then the reducer
        running.cancel("not needed")
        with pytest.raises(asyncio.CancelledError):
            await running
        (end,) = await events.until(TaskEnd)  # those of the maps came before the reducer's start
        assert isinstance(end.reason, TaskKilled)
        assert await sc.range(10).count() == 10

    assert_works(scenario)


@pytest.mark.scenario("CTX-006")
@pytest.mark.parametrize("catches", [False, True])
def test_a_task_is_tried_again_when_its_attempt_is_killed_whatever_its_body_raises(
    tmp_path: Path, catches: bool
) -> None:
    def body(number: int) -> int:
        context = current_task_context()
        assert context is not None
        if context.attempt_number == 0:
            try:  # first of all: the kill may come as soon as there is a file
                (tmp_path / "runs").touch()
                sleep(number)
            except BaseException:
                (tmp_path / "was interrupted").touch()
                if catches:
                    raise RuntimeError("something else") from None
                raise
        return number

    async def scenario(sc: SparkContext) -> None:
        events, job = await start(sc, sc.parallelize([7], 1).map(body).collect(), 0)
        (begun,) = await events.until(TaskStart)
        await until((tmp_path / "runs").exists)
        assert await sc.kill_task_attempt(begun.task.task_id, reason="the first attempt hangs")
        first, second = await events.until(TaskEnd, 2)
        assert (type(first.reason), first.reason.reason) == (TaskKilled, "the first attempt hangs")
        assert isinstance(second.reason, Success)
        assert await job == [7]
        assert (tmp_path / "was interrupted").exists()

    assert_works(scenario)
