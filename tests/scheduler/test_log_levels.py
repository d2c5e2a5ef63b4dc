"""What executors hear of how much they are to log."""

import logging

from minispark.messages.cluster import RetrieveLogLevel, UpdateExecutorLogLevel
from minispark.messages.endpoints import EXECUTOR_LOG, LOG_LEVELS
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.scheduler.log_levels import LogLevels
from tests.deploy.masters import Masters, settle, with_masters


class Listening(RpcEndpoint):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def receive(self, message: UpdateExecutorLogLevel, context: CallContext) -> None:
        self.heard.append(message.level)


def test_registered_executors_are_told_and_later_ones_ask() -> None:
    async def scenario(network: Masters) -> None:
        driver, executor = network.env("driver"), network.env("executor")
        here = await driver.listen("127.0.0.1", 0)
        await executor.listen("127.0.0.1", 0)
        log = Listening()
        executor.setup_endpoint(EXECUTOR_LOG, log)
        registered: dict[str, RpcEndpointRef] = {}
        levels = LogLevels(registered.values)
        levels.update(logging.INFO)  # as before the driver's env is there
        levels.env = driver
        driver.setup_endpoint(LOG_LEVELS, levels)

        answer = await executor.bind(LOG_LEVELS, here).ask(RetrieveLogLevel())
        registered["1"] = driver.bind("Executor", executor.address)
        levels.update(logging.DEBUG)
        await settle(40)

        assert answer.level == logging.INFO
        assert log.heard == [logging.DEBUG]

    with_masters(scenario)
