import pytest

from minispark.errors import ConfigurationError
from minispark.executor.grace import Grace
from tests.executor.attempts import conf


@pytest.mark.parametrize(
    ("settings", "grace"),
    [
        ({}, Grace(1.0)),
        ({"executor_killGrace": 5}, Grace(5.0)),
        ({"executor_killGrace": 5, "task_reaper_killTimeout": 0}, Grace(0.0)),
        ({"task_reaper_killTimeout": "2min"}, Grace(120.0)),
        ({"executor_killGrace": 5, "task_reaper_killTimeout": -1}, Grace(5.0, ends=False)),
    ],
)
def test_the_reapers_timeout_goes_before_the_grace_and_minus_one_is_for_ever(
    settings: dict[str, object], grace: Grace
) -> None:
    assert Grace.of(conf(**settings)) == grace


def test_no_other_time_below_zero_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="killTimeout"):
        conf(task_reaper_killTimeout=-2)
