"""The endpoint "LogLevels": what the program said about how much is logged, for executors.

Made by the backend of executors in processes of their own; `SparkContext.set_log_level` speaks through it. Source:
`UpdateExecutorsLogLevel` of Spark's CoarseGrainedSchedulerBackend.
"""

from collections.abc import Callable, Iterable
from typing import assert_never

from minispark.messages.cluster import RetrieveLogLevel, UpdateExecutorLogLevel
from minispark.messages.endpoints import EXECUTOR_LOG
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["LogLevels"]


class LogLevels(RpcEndpoint):
    """The level of an application.

    Args:
        executors: returns the refs of those that are registered.

    Attributes:
        env: of the driver, once there is one.
        level: a number of `logging`; 0: nothing was said.
    """

    def __init__(self, executors: Callable[[], Iterable[RpcEndpointRef]]) -> None:
        self.executors = executors
        self.env: RpcEnv | None = None
        self.level = 0

    def update(self, level: int) -> None:
        """Have all executors log so much; those that register later ask."""
        self.level = level
        if self.env is not None:
            for executor in self.executors():
                self.env.bind(EXECUTOR_LOG, executor.address).send(UpdateExecutorLogLevel(level))

    def receive(self, message: RetrieveLogLevel, context: CallContext) -> None:
        """Answer an executor that has registered."""
        match message:
            case RetrieveLogLevel():
                context.reply(UpdateExecutorLogLevel(self.level))
            case _:
                assert_never(message)
