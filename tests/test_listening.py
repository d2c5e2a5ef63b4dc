import logging
from collections.abc import Iterator

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError, ContextError
from minispark.listening import LOGGER, level_of
from tests.contexts import run_inline


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = LOGGER.level
    LOGGER.setLevel(logging.WARNING)
    yield
    LOGGER.setLevel(before)


@pytest.mark.scenario("CTX-005", "log level override and reset")
def test_a_log_level_in_any_case_holds_until_the_context_stops() -> None:
    async def job(sc: SparkContext) -> list[int]:
        levels = []
        for name in ("debug", "INfo", "OFF"):
            sc.set_log_level(name)
            levels.append(logging.getLogger("minispark.scheduler").getEffectiveLevel())
        return levels

    assert run_inline(job) == [logging.DEBUG, logging.INFO, 60]
    assert LOGGER.level == logging.WARNING


@pytest.mark.scenario("CTX-005", "log level override and reset")
def test_a_setting_overrides_the_level_from_the_start_on() -> None:
    async def job(sc: SparkContext) -> int:
        return LOGGER.level

    assert run_inline(job, log_level="error") == logging.ERROR
    assert LOGGER.level == logging.WARNING
    assert run_inline(job) == logging.WARNING


@pytest.mark.scenario("CTX-005", "log level override and reset")
def test_what_is_no_level_is_refused_and_changes_nothing() -> None:
    async def job(sc: SparkContext) -> int:
        with pytest.raises(ConfigurationError, match=r"'loud' is not a log level: use ALL, .*WARN.*, OFF"):
            sc.set_log_level("loud")
        return LOGGER.level

    assert run_inline(job) == logging.WARNING
    with pytest.raises(ConfigurationError, match="'loud' is not a log level"):
        run_inline(job, log_level="loud")


def test_a_context_that_was_stopped_overrides_no_level_that_it_would_never_reset() -> None:
    contexts: list[SparkContext] = []

    async def job(sc: SparkContext) -> None:
        contexts.append(sc)

    run_inline(job)
    with pytest.raises(ContextError, match="is stopped"):
        contexts[0].set_log_level("DEBUG")
    assert LOGGER.level == logging.WARNING


def test_levels_are_in_the_order_of_their_names() -> None:
    names = ["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]

    assert sorted(names, key=level_of) == names
