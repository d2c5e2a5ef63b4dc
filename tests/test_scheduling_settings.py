"""minispark.scheduling_settings: a part of the table like any other."""

import pytest

from minispark.conf import SparkConf, settings
from minispark.errors import ConfigurationError
from minispark.scheduling_settings import SchedulingSettings


def test_the_settings_of_scheduling_are_in_the_table() -> None:
    assert settings()["minispark.locality.wait"] is SchedulingSettings.locality_wait
    assert SparkConf(environment={}).set("spark.locality.wait", "1s").locality_wait == 1.0


def test_a_wait_of_one_level_is_not_set_unless_it_is() -> None:
    conf = SparkConf(environment={})
    assert conf.locality_wait_rack is None
    assert conf.set("minispark.locality.wait.rack", "0").locality_wait_rack == 0.0


@pytest.mark.parametrize("wait", ["-1s", "nan", "soon", "inf"])
def test_a_bad_wait_is_refused_by_name(wait: str) -> None:
    with pytest.raises(ConfigurationError, match=r"minispark\.locality\.wait\.node"):
        SparkConf(environment={}).set("minispark.locality.wait.node", wait)
