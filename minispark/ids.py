"""The names of things: small values that are cheap to compare, to hash and to send."""

from typing import NewType

__all__ = [
    "AccumulatorId",
    "ApplicationId",
    "BinaryId",
    "BlockId",
    "DriverId",
    "ExecutorId",
    "JobId",
    "RddId",
    "ShuffleId",
    "StageId",
    "TaskId",
    "WorkerId",
    "task_result_block_id",
]

JobId = NewType("JobId", int)
StageId = NewType("StageId", int)
TaskId = NewType("TaskId", int)  # unique per attempt within an application: Spark's taskAttemptId
RddId = NewType("RddId", int)
ShuffleId = NewType("ShuffleId", int)
BinaryId = NewType("BinaryId", int)  # a pickled node graph with its function, or a bundle of classes
AccumulatorId = NewType("AccumulatorId", int)
ExecutorId = NewType("ExecutorId", str)
BlockId = NewType("BlockId", str)
ApplicationId = NewType("ApplicationId", str)
DriverId = NewType("DriverId", str)  # a driver that the cluster runs
WorkerId = NewType("WorkerId", str)


def task_result_block_id(task_id: TaskId) -> BlockId:
    """Return the id of a task result that was too large to be sent inline."""
    return BlockId(f"taskresult_{task_id}")
