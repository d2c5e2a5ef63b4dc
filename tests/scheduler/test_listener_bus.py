import logging

import pytest

from minispark.ids import JobId
from minispark.messages.listener import JobEnd, ListenerEvent
from minispark.scheduler.listener_bus import CAPACITY, ListenerBus
from minispark.testing.virtual_loop import run_virtual, settle


class Recorder:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        assert isinstance(event, JobEnd)
        self.seen.append(event.job_id)


class Broken:
    def on_event(self, event: ListenerEvent) -> None:
        raise ValueError("a bug of the listener")


def job_end(job_id: int) -> JobEnd:
    return JobEnd(JobId(job_id), 0.0, "succeeded", "")


def test_events_come_in_order_and_after_the_post() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(), Recorder()
        bus.add(recorder)
        for job_id in range(1000):
            bus.post(job_end(job_id))
        assert recorder.seen == []
        await settle()
        assert recorder.seen == list(range(1000))

    run_virtual(scenario())


def test_a_listener_that_raises_is_reported_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(), Recorder()
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


def test_without_listeners_nothing_is_kept() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(), Recorder()
        bus.post(job_end(1))
        bus.add(recorder)
        bus.remove(recorder)
        assert not bus.wants_tasks
        bus.post(job_end(2))
        await settle()
        assert recorder.seen == []
        assert not bus.queue

    run_virtual(scenario())


def test_events_beyond_the_capacity_are_dropped_and_counted() -> None:
    async def scenario() -> None:
        bus, recorder = ListenerBus(), Recorder()
        bus.add(recorder)
        for job_id in range(CAPACITY + 5):
            bus.post(job_end(job_id))
        bus.flush()
        assert (len(recorder.seen), bus.num_dropped) == (CAPACITY, 5)

    run_virtual(scenario())
