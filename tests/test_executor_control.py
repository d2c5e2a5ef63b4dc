"""minispark.executor_control: what a program may say about its executors; with real ones in tests/cluster."""

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.executor_control import known
from tests.contexts import run_inline


def test_in_local_mode_there_is_nobody_to_ask_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sc: SparkContext) -> None:
        assert sc.executor_ids() == []
        assert not await sc.request_total_executors(2)
        assert not await sc.request_executors(1)
        assert await sc.kill_executors(["1"]) == []
        assert await sc.decommission_executors(["1"]) == []

    run_inline(scenario)
    assert caplog.text.count("in local mode there are no executors") == 5


def test_numbers_below_zero_and_a_single_name_are_refused() -> None:
    async def scenario(sc: SparkContext) -> None:
        for wrong in (sc.request_total_executors(-1), sc.request_executors(-1)):
            with pytest.raises(ConfigurationError, match="-1 executors cannot be asked for"):
                await wrong

    run_inline(scenario)
    with pytest.raises(ConfigurationError, match="a list of executors is needed, not '12'"):
        known("12")
