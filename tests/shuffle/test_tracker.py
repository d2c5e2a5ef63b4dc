import pytest

from minispark.ids import ShuffleId, TaskId
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.messages.task import MapStatus
from minispark.shuffle.logic.map_outputs import MapOutputs, unpack_map_outputs
from minispark.shuffle.tracker import MapOutputTracker
from minispark.testing.builders import location
from minispark.testing.fakes import RecordingContext

SHUFFLE = ShuffleId(4)


def ask(outputs: MapOutputs) -> MapOutputStatuses:
    context = RecordingContext()
    MapOutputTracker(outputs).receive(GetMapOutputStatuses(SHUFFLE), context)
    [reply] = context.replies
    assert isinstance(reply, MapOutputStatuses)
    return reply


@pytest.mark.scenario("MOT-001", "remote fetch")
def test_an_executor_gets_the_statuses_and_their_epoch() -> None:
    outputs = MapOutputs()
    outputs.register_shuffle(SHUFFLE, 1, 2)
    outputs.register(SHUFFLE, MapStatus(location(), TaskId(8), 0, b"\x05\x00", 5, 1))
    outputs.increment_epoch()

    reply = ask(outputs)

    assert (reply.shuffle_id, reply.epoch) == (SHUFFLE, 1)
    assert [block.map_id for block in unpack_map_outputs(reply.data).blocks(0)] == [8]


def test_an_unknown_shuffle_has_no_statuses() -> None:
    assert ask(MapOutputs()) == MapOutputStatuses(SHUFFLE, 0, b"")
