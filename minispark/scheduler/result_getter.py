"""The result getter: fetches results that attempts left with their executors, before the tasks count as done.

Part of the TaskScheduler endpoint. It never unpickles. Source: Spark's TaskResultGetter.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from minispark.ids import TaskId
from minispark.messages.listener import EventSink, TaskGettingResult, TaskInfo
from minispark.messages.scheduler import ResultFetched
from minispark.messages.task import DirectResult, IndirectResult, Success
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.scope import TaskScope
from minispark.scheduler.logic.task_set import RunningTask, TaskSet

__all__ = ["ResultGetter", "ResultReader"]

logger = logging.getLogger(__name__)

ResultReader = Callable[[IndirectResult], Coroutine[Any, Any, DirectResult | None]]
"""Fetches a result that was left with an executor; None if it is lost."""


class ResultGetter:
    """Fetches results off the loop.

    Args:
        read: fetches one.
        scope: owns the fetching.
        endpoint: is sent `ResultFetched`.
        events: told of results that are fetched.

    Attributes:
        fetching: the successes whose results are on their way.
    """

    def __init__(self, read: ResultReader, scope: TaskScope, endpoint: RpcEndpoint, events: EventSink) -> None:
        self.read = read
        self.scope = scope
        self.endpoint = endpoint
        self.events = events
        self.fetching: dict[TaskId, Success] = {}

    def fetch(self, task_set: TaskSet, task_id: TaskId, success: Success, result: IndirectResult) -> None:
        """Fetch a result of a set's attempt; it comes back as a message."""
        self.fetching[task_id] = success
        if self.events.wants_tasks:
            self.events.post(
                TaskGettingResult(task_set.stage_id, task_set.stage_attempt, describe(task_set.running[task_id]))
            )
        self.scope.spawn(self.read_and_send(task_id, result), name=f"fetch result {task_id}", owner=self.endpoint)

    def drop(self, task_id: TaskId, result: IndirectResult) -> None:
        """Remove a result that nobody wants, if it was kept: reading removes the file."""
        if result.path:
            self.scope.spawn(self.read(result), name=f"drop result {task_id}")

    async def read_and_send(self, task_id: TaskId, result: IndirectResult) -> None:
        """Read a result and hand it to the endpoint."""
        try:
            fetched = await self.read(result)
        except OSError as error:
            logger.warning("the result %s could not be read: %s", result.block_id, error)
            fetched = None
        self.endpoint.self_ref.send(ResultFetched(task_id, fetched))

    def fetched(self, message: ResultFetched) -> Success | None:
        """Return a success with its result; None if that is lost."""
        success = self.fetching.pop(message.task_id, None)
        if success is None or message.result is None:
            return None
        return Success(message.result, success.metrics, success.accumulators)


def describe(task: RunningTask) -> TaskInfo:
    """Describe an attempt that has not ended for listeners."""
    return TaskInfo(
        task.task_id,
        task.index,
        task.attempt_number,
        task.partition,
        task.executor_id,
        task.host,
        task.launched_s,
        0.0,
    )
