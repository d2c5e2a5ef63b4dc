"""What a runner knows of map outputs: asked for once, mapped if a broadcast, asked for again if that is gone."""

import pytest

from minispark.errors import MiniSparkError
from minispark.executor.known_outputs import KnownMapOutputs
from minispark.ids import BroadcastId, ShuffleId
from minispark.messages.runner import MapOutputs, NeedMapOutputs, RunnerReply, RunnerRequest
from minispark.rpc.message import Attachment

SHUFFLE = ShuffleId(4)


class Services:
    """An executor that answers in order, and the broadcasts that exist."""

    def __init__(self, *answers: MapOutputs, **broadcasts: bytes) -> None:
        self.answers = list(answers)
        self.broadcasts = {int(name[1:]): content for name, content in broadcasts.items()}
        self.asked: list[int] = []
        self.known = KnownMapOutputs(self.ask, self.large)

    def ask(self, request: RunnerRequest) -> RunnerReply:
        assert isinstance(request, NeedMapOutputs)
        self.asked.append(request.epoch)
        return self.answers.pop(0)

    def large(self, broadcast_id: BroadcastId) -> Attachment:
        if broadcast_id not in self.broadcasts:
            raise MiniSparkError(f"broadcast {broadcast_id} is gone")
        return memoryview(self.broadcasts[broadcast_id])


def in_broadcast(epoch: int, number: int) -> MapOutputs:
    return MapOutputs(epoch, b"", BroadcastId(number))


def test_statuses_are_asked_for_once_until_a_task_needs_newer_ones() -> None:
    services = Services(MapOutputs(3, b"old"), MapOutputs(5, b"new"))
    of = services.known.of

    assert of(SHUFFLE, 2) is of(SHUFFLE, 3)
    assert of(SHUFFLE, 4) == b"new"
    assert services.asked == [2, 4]


@pytest.mark.scenario("MOT-002", "remote fetch under max message size direct, above threshold through broadcast")
def test_large_ones_are_read_from_their_broadcast_once() -> None:
    services = Services(in_broadcast(3, 1), b1=b"large")

    assert [services.known.of(SHUFFLE, 3) for _ in range(2)] == [b"large", b"large"]
    assert services.asked == [3]


@pytest.mark.scenario("MOT-002", "broadcast destroyed meanwhile → retried/metadata fetch failure")
def test_a_broadcast_that_was_replaced_meanwhile_is_asked_for_again_past_what_the_executor_holds() -> None:
    services = Services(in_broadcast(3, 1), in_broadcast(3, 2), b2=b"newer")

    assert services.known.of(SHUFFLE, 3) == b"newer"
    assert services.asked == [3, 4]


@pytest.mark.scenario("MOT-002", "broadcast destroyed meanwhile → retried/metadata fetch failure")
def test_one_that_is_gone_for_good_reads_as_an_unknown_shuffle_and_the_next_task_asks_anew() -> None:
    services = Services(in_broadcast(3, 1), in_broadcast(3, 2), MapOutputs(4, b"there"))

    assert services.known.of(SHUFFLE, 3) == b""  # whose reader fails with a FetchFailed of the metadata
    assert services.known.of(SHUFFLE, 4) == b"there"


def test_only_so_many_shuffles_are_known() -> None:
    services = Services(*[MapOutputs(0, b"%d" % number) for number in range(18)])

    for number in [*range(17), 16, 0]:
        assert services.known.of(ShuffleId(number), 0)

    assert len(services.asked) == 18
