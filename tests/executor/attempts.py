"""Builders for the tests of this folder: small tasks and what they run in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.cooperative import CooperativeBracket
from minispark.ids import BinaryId, ExecutorId, JobId, RddId, ShuffleId, StageId, TaskId
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.messages.runner import Binary, MapOutputs, NeedBinary, NeedMapOutputs, RunnerReply, RunnerRequest
from minispark.messages.task import BlockManagerId, TaskDescription
from minispark.rdd import closures
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import MutableTaskMetrics, TaskContext
from minispark.rdd.tasks import ResultTask

__all__ = ["FakeServices", "Records", "binary", "conf", "location", "task"]


def location(directory: str = "/nonexistent") -> BlockManagerId:
    return BlockManagerId(ExecutorId("exec-1"), "localhost", 0, directory)


def conf(**values: object) -> SparkConf:
    """Return settings; `task_maxFailures=1` is `minispark.task.maxFailures`."""
    return SparkConf({f"minispark.{name.replace('_', '.')}": value for name, value in values.items()}, environment={})


def task(
    task_id: int = 1,
    *,
    binary_id: int = 1,
    attempt_number: int = 0,
    partition: int = 0,
    epoch: int = 0,
    shuffle_ids: Sequence[int] = (),
    properties: dict[str, str] | None = None,
    partition_data: bytes = b"",
) -> TaskDescription:
    return TaskDescription(
        TaskId(task_id), attempt_number, ExecutorId("exec-1"), JobId(1), StageId(2), 3, partition, partition,
        BinaryId(binary_id), epoch, 1, tuple(map(ShuffleId, shuffle_ids)), properties or {}, partition_data,
    )  # fmt: skip


class Records(Node[Any]):
    """A node that holds the records of its only partition."""

    def __init__(self, *records: Any) -> None:
        super().__init__(RddId(0), "records", "test.py:1")
        self.records = records

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[Any]:
        return iter(self.records)


def binary(function: Callable[[TaskContext, Iterator[Any]], Any], node: Node[Any] | None = None) -> bytes:
    """Return the binary of a stage whose tasks apply a function to the records of a node."""
    return closures.dumps(ResultTask(node or Records(), function))


class FakeServices:
    """A runner's side without a runner: answers from tables, and counts the asks."""

    def __init__(self, directory: str = "/nonexistent", settings: SparkConf | None = None) -> None:
        self.location = location(directory)
        self.conf = settings or conf()
        self.user_code = CooperativeBracket()
        self.binaries: dict[int, bytes] = {}
        self.map_outputs: dict[int, MapOutputs] = {}
        self.permits = True
        self.asked: list[RunnerRequest] = []

    def new_metrics(self) -> MutableTaskMetrics:
        return MutableTaskMetrics()

    def ask(self, request: RunnerRequest) -> RunnerReply:
        self.asked.append(request)
        match request:
            case NeedBinary() if request.binary_id in self.binaries:
                return Binary(self.binaries[request.binary_id])
            case NeedMapOutputs() if request.shuffle_id in self.map_outputs:
                return self.map_outputs[request.shuffle_id]
            case AskPermissionToCommit():
                return PermissionToCommit(self.permits)
            case _:
                raise MiniSparkError("there is none")
