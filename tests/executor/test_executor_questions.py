"""How runners' questions are answered; whom the executor asks is tested in test_questions."""

from typing import Any

import pytest

from minispark.errors import RpcTimeout
from minispark.ids import BinaryId, ShuffleId, StageId, TaskId
from minispark.messages.cluster import (
    BinaryContent,
)
from minispark.messages.coordination import BarrierSynced, PermissionToCommit, RequestToSync
from minispark.messages.runner import (
    AnswerFailed,
    Binary,
    MapOutputs,
    NeedBinary,
    NeedClass,
    NeedMapOutputs,
)
from minispark.messages.shuffle import MapOutputStatuses
from minispark.testing.virtual_loop import settle
from tests.executor.executor_house import COMMIT, House, in_house


@pytest.mark.parametrize(
    ("request_", "reply", "answer"),
    [
        (NeedBinary(BinaryId(5)), BinaryContent(BinaryId(5), b"five"), Binary(b"five")),
        (NeedClass("Point"), Binary(b"class"), Binary(b"class")),
        (NeedMapOutputs(ShuffleId(4), 9), MapOutputStatuses(ShuffleId(4), 9, b"packed"), MapOutputs(9, b"packed")),
    ],
)
def test_what_was_not_prepared_is_asked_of_the_driver(request_: Any, reply: Any, answer: object) -> None:
    async def test(house: House) -> None:
        house.executor.runner_asked(0, TaskId(1), 1, request_)
        ref = house.tracker if isinstance(request_, NeedMapOutputs) else house.binary_server
        ref.reply(reply)
        await settle()

        assert house.pool.answered == [answer]

    in_house(test, data=None)


def test_a_runner_hears_that_the_driver_has_no_answer() -> None:
    async def test(house: House) -> None:
        house.executor.runner_asked(0, TaskId(1), 1, NeedClass("Point"))
        house.binary_server.fail(RpcTimeout("no reply"))
        await settle()

        assert house.pool.answered == [AnswerFailed("RpcTimeout: no reply")]

    in_house(test, data=None)


def test_whether_to_commit_is_asked_of_the_coordinator() -> None:
    async def test(house: House) -> None:
        house.executor.runner_asked(0, TaskId(1), 1, COMMIT)
        house.commits.reply(PermissionToCommit(False))
        await settle()

        assert house.pool.answered == [PermissionToCommit(False)]

    in_house(test, data=None)


def test_beside_the_driver_a_commit_is_decided_without_a_message() -> None:
    async def test(house: House) -> None:
        house.executor.permits = lambda request: request == COMMIT
        house.executor.runner_asked(0, TaskId(1), 1, COMMIT)

        assert house.pool.answered == [PermissionToCommit(True)]
        assert house.commits.asked == []

    in_house(test, data=None)


def test_a_task_waits_for_its_fellows_through_the_driver() -> None:
    async def test(house: House) -> None:
        house.executor.runner_asked(0, TaskId(1), 1, RequestToSync(StageId(1), 0, TaskId(1), 0, 0, "barrier", ""))
        house.barriers.reply(BarrierSynced(("a", "b")))
        await settle()

        assert house.pool.answered == [BarrierSynced(("a", "b"))]

    in_house(test, data=None)
