"""Tasks that must agree with each other, through the driver: barriers, and who commits an output. Tags 130–139.

A runner asks its executor, which passes the request on. Source: Spark's RequestToSync and
AskPermissionToCommitOutput.
"""

from typing import Final, Literal

from minispark.ids import StageId, TaskId
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "BARRIER_ADDRESSES",
    "AskPermissionToCommit",
    "BarrierSynced",
    "PermissionToCommit",
    "RequestToSync",
    "SyncKind",
]

SyncKind = Literal["barrier", "all_gather"]

BARRIER_ADDRESSES: Final = "minispark.barrier.addresses"
"""The property that makes a task a barrier task: `host:executor` of all tasks of its stage attempt, by partition,
with commas between them."""


@message(130)
class BarrierSynced(Message):
    """Driver → executor → runner: all tasks of the stage attempt have come; `messages` are theirs, by partition.

    Or they have not, and `failure` says why.
    """

    messages: tuple[str, ...]
    failure: str = ""


@message(131)
class RequestToSync(Ask[BarrierSynced]):
    """Runner → executor → driver (endpoint `barrierSync`): a task waits for all others of its stage attempt.

    `epoch` counts the task's syncs from 0; `message` is empty for a plain barrier.
    """

    stage_id: StageId
    stage_attempt: int
    task_id: TaskId
    partition: int
    epoch: int
    kind: SyncKind
    message: str


@message(132)
class PermissionToCommit(Message):
    """Driver → executor → runner: whether the attempt may put its output in place."""

    granted: bool


@message(133)
class AskPermissionToCommit(Ask[PermissionToCommit]):
    """Runner → executor → driver (`OutputCommitCoordinator`): may this attempt put its output in place?"""

    stage_id: StageId
    stage_attempt: int
    partition: int
    attempt_number: int
