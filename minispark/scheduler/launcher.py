"""The launcher: makes a task description of a task that was matched with an executor.

Part of the TaskScheduler endpoint, called by `logic.offers`. A task that cannot be described gives its set up; the
others go on.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from minispark.clock import Clock
from minispark.ids import BinaryId, TaskId
from minispark.messages.coordination import BARRIER_ADDRESSES
from minispark.messages.listener import EventSink
from minispark.messages.scheduler import TaskStarted
from minispark.messages.task import TaskDescription
from minispark.rpc.ref import RpcEndpointRef
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.offers import Placed
from minispark.scheduler.logic.pool import PoolTree
from minispark.scheduler.logic.task_set import Abort, RunningTask, Taken, TaskSet

__all__ = ["TaskLauncher", "TaskPayloads"]

logger = logging.getLogger(__name__)

LARGE_TASK_BYTES: Final = 1000 << 10
FRAME_BYTES: Final = 64 << 10  # room that a message needs beside the task's data


class TaskPayloads(Protocol):
    """Where the pickled partitions come from."""

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        """Return the pickled partition; empty if it is nothing but its number."""


class TaskLauncher:
    """Numbers attempts, notes them in the tables, describes them.

    Args:
        payloads: the partitions' data.
        clock: for launch times.
        cluster: notes what runs where.
        pools: count what runs.
        dag_scheduler: told of starts, if anybody listens.
        events: whether anybody does.
        give_up: called with a set that must be given up, and why.
        max_message_bytes: of a message to an executor.

    Attributes:
        launches: what was launched since the list was taken away.
        set_of_task: the set of each attempt that runs.
    """

    def __init__(
        self,
        payloads: TaskPayloads,
        clock: Clock,
        cluster: Cluster,
        pools: PoolTree,
        dag_scheduler: RpcEndpointRef,
        events: EventSink,
        give_up: Callable[[TaskSet, Abort], None],
        max_message_bytes: int,
    ) -> None:
        self.payloads = payloads
        self.clock = clock
        self.cluster = cluster
        self.pools = pools
        self.dag_scheduler = dag_scheduler
        self.events = events
        self.give_up = give_up
        self.max_message_bytes = max_message_bytes
        self.launches: list[TaskDescription] = []
        self.set_of_task: dict[TaskId, TaskSet] = {}
        self.next_task_id = 0

    def launch(self, task_set: TaskSet, offer: WorkerOffer, taken: Taken) -> bool:
        """Launch one attempt; False if the set had to be given up."""
        data = self.data_of(task_set, taken[0])
        if data is None:
            return False
        self.describe(task_set, offer, taken, data, task_set.properties)
        return True

    def launch_together(self, task_set: TaskSet, placed: list[Placed]) -> None:
        """Launch all tasks of a barrier stage; each is told where the others are."""
        payloads = {}
        for _, (index, _, _) in placed:
            data = self.data_of(task_set, index)
            if data is None:
                return
            payloads[index] = data
        places = {task_set.partitions[index]: f"{offer.host}:{offer.executor_id}" for offer, (index, _, _) in placed}
        addresses = ",".join(places[partition] for partition in sorted(places))
        properties = {**task_set.properties, BARRIER_ADDRESSES: addresses}
        for offer, taken in placed:
            self.describe(task_set, offer, taken, payloads[taken[0]], properties)

    def data_of(self, task_set: TaskSet, index: int) -> bytes | None:
        """Return a task's data; None if the set had to be given up for want of it."""
        try:
            data = self.payloads.partition_data(task_set.binary_id, task_set.partitions[index])
        except Exception as error:  # noqa: BLE001 — whatever it is, it concerns this set alone
            text = f"{name_of(task_set, index)} cannot be sent: {type(error).__name__}: {error}"
            self.give_up(task_set, Abort("aborted", text))
            return None
        if len(data) > LARGE_TASK_BYTES and not self.may_be_sent(task_set, index, len(data)):
            return None
        return data

    def may_be_sent(self, task_set: TaskSet, index: int, size_bytes: int) -> bool:
        """Warn of a large task, once a set; one that no message can carry gives its set up."""
        name = name_of(task_set, index)
        if size_bytes + FRAME_BYTES > self.max_message_bytes:
            text = (
                f"{name} is {size_bytes:,} bytes large, and minispark.rpc.message.maxSize allows "
                f"{self.max_message_bytes:,}: put large values into a broadcast variable, or raise that limit"
            )
            self.give_up(task_set, Abort("aborted", text))
            return False
        if not task_set.warned_of_size:
            task_set.warned_of_size = True
            logger.warning(
                "%s is %d KiB large; tasks should not be above %d KiB: put large values into a broadcast variable",
                name, size_bytes >> 10, LARGE_TASK_BYTES >> 10,
            )  # fmt: skip
        return True

    def describe(
        self, task_set: TaskSet, offer: WorkerOffer, taken: Taken, data: bytes, properties: dict[str, str]
    ) -> None:
        """Note a new attempt and add its description to the launches."""
        index, locality, is_speculative = taken
        task_id = TaskId(self.next_task_id)
        self.next_task_id += 1
        offer.cores -= task_set.task_cpus
        executor_id = offer.executor_id
        task = task_set.launched(index, task_id, executor_id, offer.host, self.clock.wall(), locality, is_speculative)
        self.set_of_task[task_id] = task_set
        self.cluster.executors[executor_id].tasks[task_id] = None
        self.pools.task_started(task_set)
        if self.events.wants_tasks:
            self.tell_start(task_set, task)
        self.launches.append(
            TaskDescription(
                task_id,
                task.attempt_number,
                executor_id,
                task_set.job_id,
                task_set.stage_id,
                task_set.stage_attempt,
                index,
                task.partition,
                task_set.binary_id,
                task_set.epoch,
                task_set.task_cpus,
                task_set.shuffle_ids,
                properties,
                data,
            )
        )

    def tell_start(self, task_set: TaskSet, task: RunningTask) -> None:
        """Tell the DAGScheduler that an attempt was launched."""
        self.dag_scheduler.send(
            TaskStarted(
                task_set.stage_id,
                task_set.stage_attempt,
                task.task_id,
                task.index,
                task.attempt_number,
                task.partition,
                task.executor_id,
                task.host,
            )
        )


def name_of(task_set: TaskSet, index: int) -> str:
    """Return a task's name for people."""
    return f"task {index} in stage {task_set.stage_id}.{task_set.stage_attempt}"
