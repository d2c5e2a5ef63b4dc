import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, MiniSparkError
from minispark.ids import BroadcastId, ExecutorId, ShuffleId, TaskId
from minispark.messages.scheduler import MapOutputMigrated
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.messages.task import MapStatus
from minispark.messages.transfer import GetMigrationPeers, MapOutputMoved, MigrationPeers, MoveMapOutput
from minispark.shuffle.logic.map_outputs import MapOutputs, unpack_map_outputs
from minispark.shuffle.tracker import MapOutputTracker, min_broadcast_bytes
from minispark.testing.builders import location
from minispark.testing.fakes import RecordingContext, RecordingRef

SHUFFLE = ShuffleId(4)


class Broadcasts:
    """Hands out broadcasts; knows their content."""

    def __init__(self) -> None:
        self.content: dict[int, bytes] = {}
        self.made = 0
        self.error: MiniSparkError | None = None

    def broadcast_binary(self, data: bytes) -> BroadcastId:
        if self.error is not None:
            raise self.error
        self.made += 1
        self.content[self.made] = data
        return BroadcastId(self.made)

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        del self.content[broadcast_id]


def cluster_tracker(outputs: MapOutputs, large: Broadcasts, limit: int) -> MapOutputTracker:
    tracker = MapOutputTracker(outputs)
    tracker.large, tracker.min_broadcast_bytes = lambda: large, limit
    return tracker


def shuffle_of(num_maps: int) -> MapOutputs:
    outputs = MapOutputs()
    outputs.register_shuffle(SHUFFLE, num_maps, 1)
    for index in range(num_maps):
        outputs.register(SHUFFLE, MapStatus(location(), TaskId(index), index, b"\x05", 5, 1))
    return outputs


def ask(outputs: MapOutputs, tracker: MapOutputTracker | None = None) -> MapOutputStatuses:
    context = RecordingContext()
    (tracker or MapOutputTracker(outputs)).receive(GetMapOutputStatuses(SHUFFLE), context)
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


@pytest.mark.scenario("MOT-002", "remote fetch under max message size direct, above threshold through broadcast")
def test_statuses_from_a_size_on_go_as_a_broadcast_which_is_made_once() -> None:
    outputs, large = shuffle_of(100), Broadcasts()
    size = len(outputs.packed(SHUFFLE))

    direct = ask(outputs, cluster_tracker(outputs, large, size + 1))
    tracker = cluster_tracker(outputs, large, size)
    answers = [ask(outputs, tracker) for _ in range(3)]

    assert (bytes(direct.data), direct.broadcast_id) == (outputs.packed(SHUFFLE), None)
    assert answers == [MapOutputStatuses(SHUFFLE, 0, b"", BroadcastId(1))] * 3
    assert large.content == {1: outputs.packed(SHUFFLE)}


def test_a_broadcast_goes_when_the_statuses_are_others_and_with_its_shuffle() -> None:
    outputs, large = shuffle_of(100), Broadcasts()
    tracker = cluster_tracker(outputs, large, 1)
    ask(outputs, tracker)

    outputs.unregister(SHUFFLE, 7, location())
    after = ask(outputs, tracker)
    assert (after.epoch, after.broadcast_id) == (1, BroadcastId(2))
    assert list(large.content) == [2]
    tracker.forget(SHUFFLE)
    tracker.forget(SHUFFLE)
    assert not large.content


def test_an_unknown_shuffle_has_no_broadcast_and_one_that_cannot_be_written_is_none() -> None:
    outputs, large = shuffle_of(2), Broadcasts()
    large.error = MiniSparkError("the disk is full")

    assert ask(MapOutputs(), cluster_tracker(MapOutputs(), large, 0)) == MapOutputStatuses(SHUFFLE, 0, b"")
    assert ask(outputs, cluster_tracker(outputs, large, 0)).data == outputs.packed(SHUFFLE)


@pytest.mark.scenario("MOT-003")
@pytest.mark.parametrize(("limit", "is_refused"), [(1023, False), (1024, True), (1025, True)])
def test_what_is_sent_without_a_broadcast_fits_into_a_message(limit: int, is_refused: bool) -> None:
    settings = {"minispark.shuffle.mapOutput.minSizeForBroadcast": limit, "minispark.rpc.message.maxSize": 1024}
    conf = SparkConf(settings, environment={})
    if is_refused:
        with pytest.raises(ConfigurationError, match=r"minSizeForBroadcast is \d+ and must be below"):
            min_broadcast_bytes(conf)
    else:
        assert min_broadcast_bytes(conf) == limit


def test_an_unknown_shuffle_has_no_statuses() -> None:
    assert ask(MapOutputs()) == MapOutputStatuses(SHUFFLE, 0, b"")


def test_an_output_that_was_handed_over_is_told_to_who_writes_the_table() -> None:
    outputs, dag, context = MapOutputs(), RecordingRef(), RecordingContext()
    outputs.register_shuffle(SHUFFLE, 1, 1)
    tracker = MapOutputTracker(outputs, dag)

    moves: list[tuple[ExecutorId, ShuffleId]] = []
    tracker.heard_move = lambda executor_id, shuffle_id: moves.append((executor_id, shuffle_id))
    tracker.receive(MoveMapOutput(SHUFFLE, TaskId(1), location("2")), context)
    tracker.receive(MoveMapOutput(ShuffleId(99), TaskId(1), location("2")), context)

    assert moves == [(ExecutorId("2"), SHUFFLE)]
    assert dag.sent == [MapOutputMigrated(SHUFFLE, TaskId(1), location("2"))]
    assert context.replies == [MapOutputMoved(True), MapOutputMoved(False)]


def test_who_can_take_outputs_is_asked_for_the_one_that_goes() -> None:
    context = RecordingContext()
    tracker = MapOutputTracker(MapOutputs(), peers=lambda executor_id: (location("2"),) if executor_id == "2" else ())

    for executor in "12":
        tracker.receive(GetMigrationPeers(ExecutorId(executor)), context)

    assert context.replies == [MigrationPeers(()), MigrationPeers((location("2"),))]
