import pytest

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.scheduler import MapOutputMigrated
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.messages.task import MapStatus
from minispark.messages.transfer import GetMigrationPeers, MapOutputMoved, MigrationPeers, MoveMapOutput
from minispark.shuffle.logic.map_outputs import MapOutputs, unpack_map_outputs
from minispark.shuffle.tracker import MapOutputTracker
from minispark.testing.builders import location
from minispark.testing.fakes import RecordingContext, RecordingRef

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


def test_an_output_that_was_handed_over_is_told_to_who_writes_the_table() -> None:
    outputs, dag, context = MapOutputs(), RecordingRef(), RecordingContext()
    outputs.register_shuffle(SHUFFLE, 1, 1)
    tracker = MapOutputTracker(outputs, dag)

    tracker.receive(MoveMapOutput(SHUFFLE, TaskId(1), location("2")), context)
    tracker.receive(MoveMapOutput(ShuffleId(99), TaskId(1), location("2")), context)

    assert dag.sent == [MapOutputMigrated(SHUFFLE, TaskId(1), location("2"))]
    assert context.replies == [MapOutputMoved(True), MapOutputMoved(False)]


def test_who_can_take_outputs_is_asked_for_the_one_that_goes() -> None:
    context = RecordingContext()
    tracker = MapOutputTracker(MapOutputs(), peers=lambda executor_id: (location("2"),) if executor_id == "2" else ())

    for executor in "12":
        tracker.receive(GetMigrationPeers(ExecutorId(executor)), context)

    assert context.replies == [MigrationPeers(()), MigrationPeers((location("2"),))]
