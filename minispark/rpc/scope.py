"""TaskScope: who owns a task. Every task of minispark that outlives one operation is spawned in a scope.

A child's exception goes to its owner's `on_error` and is logged; it never cancels the host or a sibling (a TaskGroup
at the root would cancel the web service's own task). The RpcEnv owns the root scope and closes it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from minispark.errors import RpcEnvStopped
from minispark.rpc.endpoint import RpcEndpoint

__all__ = ["TaskScope"]

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_DEADLINE_S = 5.0


class TaskScope:
    """The tasks of one owner, in the order of their creation.

    Args:
        name: shown in logs.
        report: told of errors that an owner did not settle: the task's name and the error; by default they are only
            logged, as are those of tasks without an owner.
    """

    def __init__(self, name: str, report: Callable[[str, BaseException], object] | None = None) -> None:
        self.name = name
        self.report = self.log_error if report is None else report
        self.closed = False
        self.children: dict[asyncio.Task[Any], RpcEndpoint | None] = {}

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], *, name: str, owner: RpcEndpoint | None = None
    ) -> asyncio.Task[T]:
        """Start a task.

        Args:
            coroutine: what it runs; its outcome should come back as a message.
            name: the task's name, for people.
            owner: the endpoint whose `on_error` gets the task's exception; without one it is only logged.

        Raises:
            RpcEnvStopped: the scope is closed.
        """
        if self.closed:
            coroutine.close()
            raise RpcEnvStopped(f"cannot start {name!r}: the scope {self.name!r} is closed")
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self.children[task] = owner
        task.add_done_callback(self.child_done)
        return task

    def child_done(self, task: asyncio.Task[Any]) -> None:
        """Forget a child; hand its exception to its owner."""
        owner = self.children.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        if owner is None:
            self.log_error(task.get_name(), error)
        else:
            self.settle(error, task.get_name(), owner)

    def settle(self, error: BaseException, name: str, owner: RpcEndpoint) -> None:
        """Hand an error to the endpoint it befell outside of its messages; one that it does not settle is reported.

        Args:
            error: what a task or a callback of the loop raised.
            name: of the task or the callback, for people.
            owner: the endpoint.
        """
        try:
            owner.on_error(error)
        except Exception as unsettled:  # noqa: BLE001 — like the boundary of a message
            self.report(name, unsettled)

    def log_error(self, name: str, error: BaseException) -> None:
        """Log the error of a task."""
        log.error("%s: task %s failed: %s", self.name, name, error, exc_info=error)

    async def close(self, deadline_s: float = CLOSE_DEADLINE_S) -> None:
        """Cancel all children, the youngest first, and wait for them; may be called from any task of the loop.

        A child that does not end within the deadline is logged and left to itself. The calling task is spared if it
        is a child.
        """
        self.closed = True
        current = asyncio.current_task()
        waiting = [task for task in reversed(self.children) if task is not current]
        for task in waiting:
            task.cancel()
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=deadline_s)
            for task in late:
                log.warning("%s: task %s does not end after %g s", self.name, task.get_name(), deadline_s)
