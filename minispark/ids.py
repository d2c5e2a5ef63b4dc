"""The names of things: small values that are cheap to compare, to hash and to send."""

from typing import NewType

__all__ = [
    "AccumulatorId",
    "ApplicationId",
    "BinaryId",
    "BlockId",
    "BroadcastId",
    "DriverId",
    "ExecutorId",
    "JobId",
    "RddId",
    "ShuffleId",
    "StageId",
    "TaskId",
    "WorkerId",
    "partition_of_block",
    "rdd_block_id",
    "task_result_block_id",
]

JobId = NewType("JobId", int)
StageId = NewType("StageId", int)
TaskId = NewType("TaskId", int)  # unique per attempt within an application: Spark's taskAttemptId
RddId = NewType("RddId", int)
ShuffleId = NewType("ShuffleId", int)
BinaryId = NewType("BinaryId", int)  # a pickled node graph with its function, or a bundle of classes
AccumulatorId = NewType("AccumulatorId", int)
BroadcastId = NewType("BroadcastId", int)
ExecutorId = NewType("ExecutorId", str)
BlockId = NewType("BlockId", str)
ApplicationId = NewType("ApplicationId", str)
DriverId = NewType("DriverId", str)  # a driver that the cluster runs
WorkerId = NewType("WorkerId", str)


def rdd_block_id(rdd_id: RddId, partition: int) -> BlockId:
    """Return the id of a persisted partition."""
    return BlockId(f"rdd_{rdd_id}_{partition}")


def partition_of_block(block_id: BlockId) -> tuple[RddId, int] | None:
    """Return which partition of which RDD a block is; None if it is something else."""
    kind, _, numbers = block_id.partition("_")
    rdd_id, _, partition = numbers.partition("_")
    if kind != "rdd" or not (rdd_id.isdecimal() and partition.isdecimal()):
        return None
    return RddId(int(rdd_id)), int(partition)


def task_result_block_id(task_id: TaskId) -> BlockId:
    """Return the id of a task result that was too large to be sent inline."""
    return BlockId(f"taskresult_{task_id}")
