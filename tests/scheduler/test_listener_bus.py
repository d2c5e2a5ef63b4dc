import logging
import math
import re

import pytest

from minispark.ids import JobId
from minispark.messages.listener import JobEnd, ListenerEvent
from minispark.scheduler.listener_bus import CAPACITY, ListenerBus
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle


class Recorder:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        assert isinstance(event, JobEnd)
        self.seen.append(event.job_id)


class Broken:
    def on_event(self, event: ListenerEvent) -> None:
        raise ValueError("a bug of the listener")


class Sleeper(Recorder):
    """Takes a virtual second for each event."""

    async def on_event(self, event: ListenerEvent) -> None:  # type: ignore[override]
        await VirtualWorld().sleep(1)
        super().on_event(event)


def job_end(job_id: int) -> JobEnd:
    return JobEnd(JobId(job_id), 0.0, "succeeded", "")


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_events_come_in_order_and_after_the_post() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(VirtualWorld()), Recorder()
        bus.add(recorder)
        for job_id in range(1000):
            bus.post(job_end(job_id))
        assert recorder.seen == []
        await settle()
        assert recorder.seen == list(range(1000))

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_listener_that_raises_is_reported_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(VirtualWorld()), Recorder()
        bus.add(Broken())
        bus.add(recorder)
        bus.post(job_end(1))
        bus.post(job_end(2))
        await settle()
        assert recorder.seen == [1, 2]

    with caplog.at_level(logging.ERROR):
        run_virtual(scenario())
    assert len(caplog.records) == 1  # told once
    assert "a bug of the listener" in caplog.text


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_without_listeners_nothing_is_kept() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(VirtualWorld()), Recorder()
        bus.post(job_end(1))
        bus.add(recorder)
        bus.remove(recorder)
        bus.remove(recorder)
        assert not bus.wants_tasks
        bus.post(job_end(2))
        await settle()
        assert recorder.seen == []

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_the_events_that_a_slow_listener_misses_are_counted_and_the_others_get_them() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(VirtualWorld(), capacity=3), Recorder()
        bus.add(Sleeper())
        bus.add(recorder)
        for job_id in range(5):
            bus.post(job_end(job_id))
            await settle()
        assert recorder.seen == [0, 1, 2, 3, 4]
        assert bus.num_dropped == 1  # one is with the listener, three wait

    run_virtual(scenario())
    assert CAPACITY == 10_000


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_the_stop_delivers_what_waits_and_ends_the_posting() -> None:
    async def scenario() -> None:
        bus, recorder, sleeper = ListenerBus(VirtualWorld()), Recorder(), Sleeper()
        bus.add(recorder)
        bus.add(sleeper)
        for job_id in range(3):
            bus.post(job_end(job_id))
        await bus.stop(10)
        bus.post(job_end(3))
        await settle()
        assert recorder.seen == sleeper.seen == [0, 1, 2]

    run_virtual(scenario())


class Leaver(Recorder):
    """Lets itself go with its first event."""

    def __init__(self, bus: ListenerBus) -> None:
        super().__init__()
        self.bus = bus

    def on_event(self, event: ListenerEvent) -> None:
        super().on_event(event)
        self.bus.remove(self)


def test_a_listener_that_leaves_during_the_stop_takes_nothing_from_the_others() -> None:
    async def scenario() -> None:
        bus = ListenerBus(VirtualWorld())
        leaver, sleeper = Leaver(bus), Sleeper()
        bus.add(leaver)
        bus.add(sleeper)
        for job_id in range(2):
            bus.post(job_end(job_id))
        await bus.stop(10)
        assert (leaver.seen, sleeper.seen) == ([0], [0, 1])

    run_virtual(scenario())


def test_a_listener_that_does_not_end_holds_the_stop_up_until_the_deadline_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> float:
        world = VirtualWorld()
        bus, sleeper = ListenerBus(world), Sleeper()
        bus.add(sleeper)
        for job_id in range(100):
            bus.post(job_end(job_id))
        await bus.stop(5)
        assert len(sleeper.seen) in (4, 5)
        return world.monotonic()

    assert run_virtual(scenario()) == 5
    assert re.search(
        r"listeners did not end in 5 s: .*Sleeper object .*, for which 9\d more events wait", caplog.text
    )


class Named(Recorder):
    """Takes for ever for its only event."""

    async def on_event(self, event: ListenerEvent) -> None:  # type: ignore[override]
        await VirtualWorld().sleep(math.inf)

    def __repr__(self) -> str:
        return "<the one that hangs>"


def test_the_listener_that_does_not_end_is_named_and_the_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bus = ListenerBus(VirtualWorld())
        for listener in (Recorder(), Named(), Recorder()):
            bus.add(listener)
        bus.post(job_end(1))
        await bus.stop(5)

    run_virtual(scenario())
    assert caplog.messages[0] == ("listeners did not end in 5 s: <the one that hangs>, for which 0 more events wait")


def test_an_observer_sees_each_event_in_the_turn_of_its_post_whatever_listeners_there_are() -> None:
    async def scenario() -> None:
        bus, recorder, seen = ListenerBus(VirtualWorld()), Recorder(), list[ListenerEvent]()
        bus.observe(seen.append)
        bus.add(recorder)
        bus.post(job_end(1))
        assert (seen, recorder.seen) == ([job_end(1)], [])
        bus.remove(recorder)
        assert bus.wants_tasks
        await bus.stop(5)
        bus.post(job_end(2))
        assert seen == [job_end(1)]

    run_virtual(scenario())
