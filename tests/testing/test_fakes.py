"""The fakes themselves."""

import pytest

from minispark.errors import RpcError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Note, Question


def test_a_recording_ref_keeps_what_was_sent() -> None:
    ref = RecordingRef("Master")
    ref.send(Note("a"))
    ref.send(Note("b"))

    assert ref.of(Note) == ref.sent == [Note("a"), Note("b")]
    assert ref.take() == [Note("a"), Note("b")]
    assert ref.sent == []


def test_the_test_answers_the_asks_of_a_recording_ref_in_order() -> None:
    async def main() -> None:
        ref = RecordingRef()
        first, second = ref.ask(Question("1")), ref.ask(Question("2"))
        assert ref.open_asks == [Question("1"), Question("2")]
        ref.reply(Note("one"))
        ref.fail(RpcError("no"))
        assert await first == Note("one")
        with pytest.raises(RpcError):
            await second
        with pytest.raises(AssertionError, match="nobody asks fake anything"):
            ref.reply(Note("three"))

    run_virtual(main())


def test_a_recording_ref_can_know_its_answers() -> None:
    def answer(message: Message) -> Message:
        if message == Question("bad"):
            raise RpcError("no")
        return Note("yes")

    async def main() -> None:
        ref = RecordingRef(answer=answer)
        assert await ref.ask(Question("good")) == Note("yes")
        with pytest.raises(RpcError):
            await ref.ask(Question("bad"))

    run_virtual(main())


def test_recording_refs_are_equal_by_name_and_address() -> None:
    assert RecordingRef("a") == RecordingRef("a")
    assert len({RecordingRef("a"), RecordingRef("a"), RecordingRef("a", RpcAddress("h", 1))}) == 2
    assert repr(RecordingRef("a")) == "RecordingRef(a)"


def test_a_recording_context_keeps_the_answer() -> None:
    context, error = RecordingContext(), ValueError()
    context.reply(Note("a"))
    context.send_failure(error)

    assert (context.replies, context.failures, context.is_ask) == ([Note("a")], [error], True)
