"""What must be learnt by a job before a node can be computed: a sort's bounds, the sizes before an index.

Lives in the driver only. Like all of `rdd` it does not import asyncio: runners, which import the nodes, have no loop.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from minispark.errors import JobCancelled
from minispark.rdd.ports import JobRunner

if TYPE_CHECKING:
    import asyncio

__all__ = ["Preparation"]


class Preparation:
    """A job that runs once, whoever needs it first; jobs that start together share it.

    Args:
        action: starts the job and keeps what it tells.
        runner: owns it while it runs.
    """

    def __init__(self, action: Callable[[], Coroutine[Any, Any, None]], runner: JobRunner) -> None:
        self.action = action
        self.runner = runner
        self.is_done = False
        self.task: asyncio.Task[Exception | None] | None = None
        self.num_waiting = 0

    async def run(self) -> None:
        """Wait until it is done; it is cancelled when the last who waits for it is, and failed anew for the next.

        Raises:
            Exception: what the job ended with.
        """
        if self.is_done:
            return
        if self.task is None:
            self.task = self.runner.spawn(self.attempt(), name="preparation")
        task = self.task
        self.num_waiting += 1
        try:
            error = await without_cancelling(task)
        finally:
            self.num_waiting -= 1
            if self.num_waiting == 0:
                self.task = None
                task.cancel()
        if error is not None:
            raise error

    async def attempt(self) -> Exception | None:
        """Run the action; its exception is for those who wait."""
        try:
            await self.action()
        except Exception as error:  # noqa: BLE001 - raised again by each who waits
            return error
        self.is_done = True
        return None


def without_cancelling(task: "asyncio.Task[Exception | None]") -> Awaitable[Exception | None]:
    """Return a future of a task's result; cancelling it leaves the task alone."""
    future: asyncio.Future[Exception | None] = task.get_loop().create_future()

    def settle(task: "asyncio.Task[Exception | None]") -> None:
        if future.done():
            return
        if task.cancelled():  # by its owner: when the last who waits for it is cancelled, nobody is left to be told
            future.set_exception(JobCancelled("the SparkContext was stopped"))
        else:
            future.set_result(task.result())

    task.add_done_callback(settle)
    return future
