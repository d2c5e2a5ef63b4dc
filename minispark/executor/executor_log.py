"""The endpoint "ExecutorLog" of an executor process: it logs as much as the driver's program says.

Of logging only the logger `minispark` of this process is touched. Must not be set up in a process of the user's.
"""

import logging
from typing import Final, assert_never

from minispark.errors import RpcError
from minispark.messages.cluster import RetrieveLogLevel, UpdateExecutorLogLevel
from minispark.messages.endpoints import LOG_LEVELS
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress

__all__ = ["ExecutorLog"]

LOGGER: Final = logging.getLogger("minispark")
logger = logging.getLogger(__name__)


class ExecutorLog(RpcEndpoint):
    """How much an executor process logs.

    Attributes:
        is_told: whether the driver has said something unasked, which is younger than any answer.
    """

    def __init__(self) -> None:
        self.is_told = False

    def receive(self, message: UpdateExecutorLogLevel, context: CallContext) -> None:
        """Take the program's word."""
        match message:
            case UpdateExecutorLogLevel():
                self.is_told = True
                self.take(message)
            case _:
                assert_never(message)

    def take(self, update: UpdateExecutorLogLevel) -> None:
        """Log so much, if anything was said."""
        if update.level:
            logger.info("the driver wants the log from %s on", logging.getLevelName(update.level))
            LOGGER.setLevel(update.level)

    async def ask(self, env: RpcEnv, driver: RpcAddress) -> None:
        """Ask, after the registration, what was said before: what is said later comes by itself."""
        try:
            answer = await env.bind(LOG_LEVELS, driver).ask(RetrieveLogLevel())
        except RpcError as error:
            logger.info("the driver does not say how much to log: %s", error)
            return
        if not self.is_told:  # what it says unasked comes over another connection, and may overtake the answer
            self.take(answer)
