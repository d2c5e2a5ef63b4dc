"""The mailbox alone: order, quantum, deadline."""

from minispark.rpc.logic.inbox import QUANTUM, Inbox
from minispark.testing.fakes import RecordingContext
from tests.rpc.peers import Note, Probe


def new_inbox(probe: Probe) -> Inbox:
    return Inbox("probe", probe, lambda name, error: None)


def never() -> float:
    return 0.0


def test_on_start_comes_first_on_stop_last_and_nothing_after() -> None:
    probe = Probe()
    inbox = new_inbox(probe)

    assert inbox.post(Note("a"), RecordingContext(is_ask=False))
    inbox.stop()
    inbox.stop()
    assert not inbox.post(Note("late"), RecordingContext(is_ask=False))
    inbox.post_control(lambda endpoint: probe.events.append(("late",)))
    inbox.process(never, 1.0, None)

    assert probe.events == [("start",), ("message", Note("a")), ("stop",)]
    assert not inbox.queue


def test_a_quantum_ends_the_visit() -> None:
    probe = Probe(lambda *_: None)
    inbox = new_inbox(probe)
    for _ in range(2 * QUANTUM):
        inbox.post(Note("x"), RecordingContext(is_ask=False))

    assert inbox.process(never, 1.0, None) is False
    assert len(probe.events) == QUANTUM


def test_the_deadline_ends_the_visit_after_the_message_that_reached_it() -> None:
    probe = Probe(lambda *_: None)
    inbox = new_inbox(probe)
    inbox.post(Note("x"), RecordingContext(is_ask=False))

    assert inbox.process(lambda: 2.0, 1.0, None) is True
    assert probe.events == [("start",)]


def test_the_asker_gets_the_error_and_the_endpoint_too() -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    probe, context = Probe(fail), RecordingContext()
    inbox = new_inbox(probe)
    inbox.post(Note("x"), context)
    inbox.process(never, 1.0, None)

    assert context.failures == probe.errors
    assert str(probe.errors[0]) == "no"
