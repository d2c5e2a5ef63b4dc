"""minispark: Spark's core in pure Python, asyncio from end to end.

The façade: names only, loaded at first use, so that a runner process never imports the driver's half.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minispark.conf import SparkConf
    from minispark.context import SparkContext
    from minispark.errors import (
        BarrierError,
        CommitDenied,
        ConfigurationError,
        ContextError,
        ExecutorLost,
        InputDamaged,
        InputNotFound,
        JobCancelled,
        JobFailed,
        KeyHashError,
        MiniSparkError,
        OutputExists,
        PicklingError,
        ResultTooLarge,
        UserCodeError,
    )
    from minispark.executor.barrier_context import BarrierTaskContext
    from minispark.executor.current_task import current_task_context
    from minispark.messages.listener import SparkListener
    from minispark.messages.storage_level import StorageLevel
    from minispark.rdd.accumulators import Accumulator, AccumulatorParam
    from minispark.rdd.broadcast import Broadcast
    from minispark.rdd.ports import TaskContext
    from minispark.rdd.rdd import RDD
    from minispark.rdd.spark_files import SparkFiles

__version__ = "0.1.0"

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "BarrierError",
    "BarrierTaskContext",
    "Broadcast",
    "CommitDenied",
    "ConfigurationError",
    "ContextError",
    "ExecutorLost",
    "InputDamaged",
    "InputNotFound",
    "JobCancelled",
    "JobFailed",
    "KeyHashError",
    "MiniSparkError",
    "OutputExists",
    "PicklingError",
    "ResultTooLarge",
    "SparkConf",
    "SparkContext",
    "SparkFiles",
    "SparkListener",
    "StorageLevel",
    "TaskContext",
    "UserCodeError",
    "current_task_context",
]

_HOME = {
    "Accumulator": "minispark.rdd.accumulators",
    "AccumulatorParam": "minispark.rdd.accumulators",
    "BarrierTaskContext": "minispark.executor.barrier_context",
    "Broadcast": "minispark.rdd.broadcast",
    "RDD": "minispark.rdd.rdd",
    "SparkConf": "minispark.conf",
    "SparkContext": "minispark.context",
    "SparkFiles": "minispark.rdd.spark_files",
    "StorageLevel": "minispark.messages.storage_level",
    "SparkListener": "minispark.messages.listener",
    "TaskContext": "minispark.rdd.ports",
    "current_task_context": "minispark.executor.current_task",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'minispark' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "minispark.errors")), name)
