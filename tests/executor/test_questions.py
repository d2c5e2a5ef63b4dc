from typing import Any

import pytest

from minispark.errors import MiniSparkError
from minispark.executor.questions import DriverRefs, question_of, reply_of
from minispark.ids import BinaryId, ShuffleId, StageId, TaskId
from minispark.messages.cluster import BinaryContent, ExecutorStopped, FetchBinary
from minispark.messages.coordination import (
    AskPermissionToCommit,
    BarrierSynced,
    PermissionToCommit,
    RequestToSync,
)
from minispark.messages.runner import Binary, MapOutputs, NeedBinary, NeedClass, NeedMapOutputs
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.testing.fakes import RecordingRef
from tests.executor.attempts import conf

COMMIT = AskPermissionToCommit(StageId(1), 0, 2, 3)
SYNC = RequestToSync(StageId(1), 0, TaskId(5), 2, 0, "barrier", "")


@pytest.mark.parametrize(
    ("request_", "target", "question", "timeout_s"),
    [
        (NeedBinary(BinaryId(5)), "binary_server", FetchBinary(BinaryId(5)), None),
        (FetchBinary(BinaryId(5)), "binary_server", FetchBinary(BinaryId(5)), None),
        (NeedClass("Point"), "binary_server", NeedClass("Point"), None),
        (NeedMapOutputs(ShuffleId(4), 9), "map_output_tracker", GetMapOutputStatuses(ShuffleId(4)), None),
        (GetMapOutputStatuses(ShuffleId(4)), "map_output_tracker", GetMapOutputStatuses(ShuffleId(4)), None),
        (COMMIT, "commits", COMMIT, None),
        (SYNC, "barriers", SYNC, 130.0),
    ],
)
def test_each_request_goes_to_who_knows(request_: Any, target: str, question: Any, timeout_s: float | None) -> None:
    driver = DriverRefs(*(RecordingRef(name) for name in DriverRefs.__match_args__))
    asked = question_of(request_, driver, conf(barrier_sync_timeout=10))
    assert (asked.target.name, asked.request, asked.timeout_s) == (target, question, timeout_s)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (BinaryContent(BinaryId(5), memoryview(b"five")), Binary(b"five")),
        (Binary(memoryview(b"class")), Binary(b"class")),
        (MapOutputStatuses(ShuffleId(4), 9, memoryview(b"packed")), MapOutputs(9, b"packed")),
        (BarrierSynced(("a", "b")), BarrierSynced(("a", "b"))),
        (PermissionToCommit(True), PermissionToCommit(True)),
    ],
)
def test_runners_get_what_the_driver_answered_and_nothing_borrowed(answer: Any, reply: Any) -> None:
    assert reply_of(answer) == reply
    data = getattr(reply_of(answer), "data", b"")
    assert isinstance(data, bytes)


def test_an_answer_to_something_else_is_an_error() -> None:
    with pytest.raises(MiniSparkError, match="answered with a ExecutorStopped"):
        reply_of(ExecutorStopped())
