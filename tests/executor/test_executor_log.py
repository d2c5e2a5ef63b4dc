"""How much an executor process logs, as the driver says."""

import logging
from collections.abc import Iterator

import pytest

from minispark.executor.executor_log import ExecutorLog
from minispark.messages.cluster import UpdateExecutorLogLevel
from minispark.messages.endpoints import EXECUTOR_LOG, LOG_LEVELS
from minispark.scheduler.log_levels import LogLevels
from tests.deploy.masters import Masters, settle, with_masters


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("minispark")
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_an_executor_logs_what_was_said_before_and_after_it_came(logger: logging.Logger) -> None:
    async def scenario(network: Masters) -> None:
        driver, env = network.env("driver"), network.env("executor")
        here, place = await driver.listen("127.0.0.1", 0), await env.listen("127.0.0.1", 0)
        levels = LogLevels(list)
        driver.setup_endpoint(LOG_LEVELS, levels)
        log = ExecutorLog()
        env.setup_endpoint(EXECUTOR_LOG, log)
        logger.setLevel(logging.WARNING)

        await log.ask(env, here)
        assert logger.level == logging.WARNING  # nothing was said
        levels.update(logging.ERROR)
        await log.ask(env, here)
        assert logger.level == logging.ERROR
        driver.bind(EXECUTOR_LOG, place).send(UpdateExecutorLogLevel(logging.DEBUG))
        await settle(40)
        assert logger.level == logging.DEBUG

    with_masters(scenario)


def test_an_answer_that_was_overtaken_by_what_was_said_later_changes_nothing(logger: logging.Logger) -> None:
    async def scenario(network: Masters) -> None:
        driver, env = network.env("driver"), network.env("executor")
        here, place = await driver.listen("127.0.0.1", 0), await env.listen("127.0.0.1", 0)
        levels, log = LogLevels(list), ExecutorLog()
        driver.setup_endpoint(LOG_LEVELS, levels)
        env.setup_endpoint(EXECUTOR_LOG, log)
        driver.bind(EXECUTOR_LOG, place).send(UpdateExecutorLogLevel(logging.DEBUG))
        await settle(40)
        levels.update(logging.ERROR)  # as it was before
        await log.ask(env, here)
        assert logger.level == logging.DEBUG

    with_masters(scenario)


def test_a_driver_that_does_not_say_changes_nothing(logger: logging.Logger) -> None:
    async def scenario(network: Masters) -> None:
        driver, env = network.env("driver"), network.env("executor")
        here = await driver.listen("127.0.0.1", 0)
        before = logger.level
        await ExecutorLog().ask(env, here)
        assert logger.level == before

    with_masters(scenario)
