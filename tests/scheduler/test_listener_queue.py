import asyncio
import logging
import threading
from collections import deque

import pytest

from minispark.errors import ConfigurationError
from minispark.ids import JobId
from minispark.messages.listener import JobEnd, ListenerEvent
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import SystemWorld
from minispark.scheduler.listener_queue import ListenerQueue, queue_for
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle


def job_end(job_id: int) -> JobEnd:
    return JobEnd(JobId(job_id), 0.0, "succeeded", "")


class Recorder:
    """Notes events and the thread they came in."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.thread = ""

    def on_event(self, event: ListenerEvent) -> None:
        assert isinstance(event, JobEnd)
        self.seen.append(event.job_id)
        self.thread = threading.current_thread().name


class Awaiting(Recorder):
    """Takes a virtual second for each event, and fails on the second one."""

    async def on_event(self, event: ListenerEvent) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        super().on_event(event)
        if len(self.seen) == 2:
            raise ValueError("a bug of the listener")


class Blocking(Recorder):
    """Blocks its thread until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def on_event(self, event: ListenerEvent) -> None:
        self.released.wait(60)
        super().on_event(event)


class Dawdling(VirtualWorld):
    """A world in which each look at the clock costs a fifth of a second."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks / 5


def queue(listener: Recorder, world: VirtualWorld | None = None, capacity: int = 100) -> ListenerQueue:
    return queue_for(listener, capacity, world or VirtualWorld(), TaskScope("test"), in_thread=False)


def test_a_plain_listener_is_called_on_the_loop_in_a_later_turn() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        events = queue(recorder)
        events.post(job_end(1))
        assert recorder.seen == []
        await settle()
        assert (recorder.seen, recorder.thread) == ([1], threading.current_thread().name)

    run_virtual(scenario())


def test_events_are_delivered_in_slices_and_a_slow_listener_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        recorder = Recorder()
        events = queue(recorder, Dawdling())
        for job_id in range(5):
            events.post(job_end(job_id))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(recorder.seen) < 5
        await events.drain()
        assert recorder.seen == [0, 1, 2, 3, 4]

    run_virtual(scenario())
    assert caplog.text.count("held the event loop for 0.2 s") == 1


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_an_asynchronous_listener_is_awaited_event_by_event_whatever_it_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> float:
        awaiting = Awaiting()
        events = queue(awaiting)
        for job_id in range(3):
            events.post(job_end(job_id))
        await events.drain()
        assert awaiting.seen == [0, 1, 2]
        events.post(job_end(3))
        await events.drain()
        assert awaiting.seen == [0, 1, 2, 3]
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 4
    assert caplog.text.count("told once") == 1


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_listener_that_blocks_does_so_in_its_thread() -> None:
    async def scenario() -> None:
        blocking = Blocking()
        events = queue_for(blocking, 100, SystemWorld(), TaskScope("test"), in_thread=True)
        events.post(job_end(1))
        events.post(job_end(2))
        await asyncio.sleep(0)  # the loop goes on
        assert blocking.seen == []
        blocking.released.set()
        await events.drain()
        assert (blocking.seen, blocking.thread) == ([1, 2], "minispark-listener-Blocking")

    asyncio.run(scenario())


def test_the_thread_of_a_listener_that_is_let_go_ends() -> None:
    async def scenario() -> None:
        blocking = Blocking()
        events = queue_for(blocking, 100, SystemWorld(), TaskScope("test"), in_thread=True)
        events.post(job_end(1))
        events.discard()
        blocking.released.set()
        await events.drain()
        assert blocking.seen in ([], [1])

    asyncio.run(scenario())


class Cancelling(Recorder):
    """Waits for something that was cancelled."""

    async def on_event(self, event: ListenerEvent) -> None:  # type: ignore[override]
        super().on_event(event)
        forsaken = asyncio.get_running_loop().create_future()
        forsaken.cancel()
        await forsaken


def test_a_listener_that_waits_for_what_was_cancelled_is_reported_and_gets_the_other_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        cancelling = Cancelling()
        events = queue(cancelling)
        for job_id in range(3):
            events.post(job_end(job_id))
        await events.drain()
        assert cancelling.seen == [0, 1, 2]

    run_virtual(scenario())
    assert caplog.text.count("told once") == 1


def test_an_asynchronous_listener_cannot_be_called_in_a_thread() -> None:
    with pytest.raises(ConfigurationError, match="its on_event is a coroutine function"):
        queue_for(Awaiting(), 100, VirtualWorld(), TaskScope("test"), in_thread=True)


class Exiting(Recorder):
    """Thinks that its thread is its process."""

    def on_event(self, event: ListenerEvent) -> None:
        super().on_event(event)
        raise SystemExit


def test_a_listener_that_exits_in_its_thread_is_reported_and_gets_the_other_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        exiting = Exiting()
        events = queue_for(exiting, 100, SystemWorld(), TaskScope("test"), in_thread=True)
        for job_id in range(3):
            events.post(job_end(job_id))
        await asyncio.wait_for(events.drain(), 60)
        assert exiting.seen == [0, 1, 2]

    asyncio.run(scenario())
    assert caplog.text.count("told once") == 1


class Discarded(deque[ListenerEvent]):
    """Is emptied whenever the thread has just looked whether there is something."""

    def __bool__(self) -> bool:
        return True


def test_events_that_are_discarded_while_the_thread_looks_at_them_end_it_quietly() -> None:
    async def scenario() -> None:
        events = queue_for(Recorder(), 100, SystemWorld(), TaskScope("test"), in_thread=True)
        events.events = Discarded()
        await asyncio.wait_for(events.drain(), 60)
        assert not list(events.events)

    asyncio.run(scenario())


def test_missed_events_are_counted_and_told_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world = VirtualWorld()
        events = queue(Recorder(), world, capacity=1)
        for job_id in range(4):
            events.post(job_end(job_id))
        assert events.num_dropped == 3
        await world.sleep(61)
        events.post(job_end(4))
        events.post(job_end(5))
        assert events.num_dropped == 4

    with caplog.at_level(logging.WARNING):
        run_virtual(scenario())
    assert [record.getMessage().rpartition("missed ")[2] for record in caplog.records] == [
        "1 events so far",
        "4 events so far",
    ]
