"""BarrierTaskContext: what a task of a barrier stage may do besides: wait for all others and hear what they say.

`task_runner` makes one instead of a plain context for tasks that were launched together; user code gets it from
`BarrierTaskContext.get()`. Must not be used outside of tasks. Source: Spark's BarrierTaskContext.
"""

from collections.abc import Callable
from typing import NamedTuple

from minispark.errors import BarrierError, ContextError, MiniSparkError
from minispark.executor.current_task import current_task_context
from minispark.executor.task_context import KillState, TaskContextImpl
from minispark.messages.coordination import BARRIER_ADDRESSES, BarrierSynced, RequestToSync, SyncKind
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.messages.task import TaskDescription
from minispark.rdd.ports import MutableTaskMetrics, ShuffleAccess

__all__ = ["BarrierTaskContext", "BarrierTaskInfo"]


class BarrierTaskInfo(NamedTuple):
    """Where one task of a barrier stage runs: the name of the host, and the executor there."""

    address: str
    executor_id: str


class BarrierTaskContext(TaskContextImpl):
    """The context of one attempt of a barrier task.

    Attributes:
        epoch: how many times it has waited for the others.

    Example:
        >>> def train(records):
        ...     context = BarrierTaskContext.get()
        ...     hosts = [info.address for info in context.get_task_infos()]
        ...     ports = context.all_gather(str(open_port()))
        ...     context.barrier()
        ...     yield from fit(records, hosts, ports)
        >>> models = await rdd.barrier().map_partitions(train).collect()
    """

    __slots__ = ("epoch",)

    def __init__(
        self,
        task: TaskDescription,
        metrics: MutableTaskMetrics,
        kill: KillState,
        open_shuffle: Callable[[TaskContextImpl], ShuffleAccess],
        ask: Callable[[RunnerRequest], RunnerReply] | None = None,
    ) -> None:
        super().__init__(task, metrics, kill, open_shuffle, ask)
        self.epoch = 0

    @classmethod
    def get(cls) -> "BarrierTaskContext":
        """Return the context of the barrier task that runs on this thread.

        Raises:
            ContextError: there is none: this is the driver, a thread of the task's own, or another kind of task.
        """
        context = current_task_context()
        if not isinstance(context, cls):
            raise ContextError(
                "no barrier task runs on this thread: BarrierTaskContext.get() is for functions given to "
                "rdd.barrier().map_partitions()"
            )
        return context

    def barrier(self) -> None:
        """Wait until all tasks of the stage have called this as many times as this one.

        Every task must make the same calls of `barrier` and `all_gather`, in the same order; one that returns early,
        or calls the other method, fails all that wait. A kill ends the wait at once.

        Raises:
            BarrierError: the others did not come within `minispark.barrier.sync.timeout`, or not to the same call.
        """
        self.sync("barrier", "")

    def all_gather(self, message: str = "") -> list[str]:
        """Wait like `barrier`, and return the messages of all tasks in the order of partitions.

        Args:
            message: this task's.

        Raises:
            TypeError: the message is not a str.
            BarrierError: see `barrier`.
        """
        if not isinstance(message, str):
            raise TypeError(f"all_gather takes a str, not {type(message).__name__}: {message!r}")
        return list(self.sync("all_gather", message))

    def get_task_infos(self) -> list[BarrierTaskInfo]:
        """Return all tasks of the stage, in the order of partitions."""
        places = [place.rpartition(":") for place in self.task.properties[BARRIER_ADDRESSES].split(",")]
        return [BarrierTaskInfo(host, executor_id) for host, _, executor_id in places]

    def sync(self, kind: SyncKind, message: str) -> tuple[str, ...]:
        """Wait for the others; a sync that failed is not counted."""
        if self.ask is None:
            raise BarrierError("there are no other tasks here to wait for")
        task = self.task
        request = RequestToSync(
            task.stage_id, task.stage_attempt, task.task_id, task.partition, self.epoch, kind, message
        )
        try:
            reply = self.ask(request)
        except BarrierError:
            raise
        except MiniSparkError as error:
            raise BarrierError(str(error)) from None
        assert isinstance(reply, BarrierSynced)
        if reply.failure:
            raise BarrierError(reply.failure)
        self.epoch += 1
        return reply.messages
