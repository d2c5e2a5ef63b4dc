"""Which setting controls a timeout."""

import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.rpc.logic.timeouts import ASK_KEYS, LOOKUP_KEYS, TimeoutSetting, timeout_of


@pytest.mark.scenario("RPC-012", "from key list")
@pytest.mark.parametrize(
    ("values", "duration_s", "key"),
    [
        ({"minispark.rpc.askTimeout": "3s", "minispark.network.timeout": "7s"}, 3.0, "minispark.rpc.askTimeout"),
        ({"minispark.network.timeout": "7s"}, 7.0, "minispark.network.timeout"),
        ({}, 120.0, "minispark.rpc.askTimeout"),
        ({"spark.network.timeout": "2min"}, 120.0, "minispark.network.timeout"),
    ],
)
def test_the_first_key_that_is_set_counts(values: dict[str, object], duration_s: float, key: str) -> None:
    assert timeout_of(SparkConf(values, environment={}), *ASK_KEYS) == TimeoutSetting(duration_s, key)


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="did you mean"):
        timeout_of(SparkConf(environment={}), "minispark.rpc.askTimout")


@pytest.mark.scenario("RPC-012", "message names the controlling key")
def test_the_error_names_the_key() -> None:
    setting = timeout_of(SparkConf(environment={}), *LOOKUP_KEYS)

    assert str(setting.error("no answer")) == "no answer; this timeout is controlled by minispark.rpc.lookupTimeout"


@pytest.mark.scenario("RPC-012", "applied once to a future")
def test_an_error_that_names_a_key_already_keeps_it() -> None:
    inner, outer = TimeoutSetting(1.0, "inner.key"), TimeoutSetting(2.0, "outer.key")

    assert str(outer.error(str(inner.error("late")))) == "late; this timeout is controlled by inner.key"
