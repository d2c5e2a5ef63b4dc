"""Which task runs on this thread. Apart from `task_context`, because every program's SparkContext asks it."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minispark.executor.task_context import TaskContextImpl

__all__ = ["current_task_context", "set_current"]


class OfThisThread(threading.local):
    """The attempt that runs on each thread."""

    context: "TaskContextImpl | None" = None


of_this_thread = OfThisThread()


def current_task_context() -> "TaskContextImpl | None":
    """Return the context of the task that runs on this thread; None outside of tasks, as in the driver."""
    return of_this_thread.context


def set_current(context: "TaskContextImpl | None") -> None:
    """Say whose task runs on this thread from now on; for `task_runner`."""
    of_this_thread.context = context
