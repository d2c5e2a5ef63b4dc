"""minispark.setting: how texts become values."""

import pytest

from minispark.errors import ConfigurationError
from minispark.setting import FRACTION, INTEGER, Setting, fraction, parse_bytes, parse_duration, positive


@pytest.mark.parametrize(
    ("text", "size"),
    [("17", 17), ("17b", 17), ("512k", 512 << 10), ("64m", 64 << 20), ("64MiB", 64 << 20), ("1.5g", 3 << 29),
     ("2t", 2 << 40), (" 1 kb ", 1024)],
)  # fmt: skip
def test_sizes_take_units_of_1024(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("3s", 3.0), ("200ms", 0.2), ("50us", 5e-5), ("5min", 300.0), ("5m", 300.0), ("1h", 3600.0),
     ("1d", 86400.0)],
)  # fmt: skip
def test_durations_take_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_a_number_that_is_no_finite_number_is_refused() -> None:
    setting = Setting("speed", 1.0, FRACTION, "How fast.", positive)
    for text in ("nan", "inf", "-1", "0", "fast"):
        with pytest.raises(ConfigurationError, match=r"minispark\.speed"):
            setting.read(text)
    assert setting.read("2.5") == 2.5


def test_a_fraction_ends_at_one() -> None:
    assert fraction(0.0)
    assert fraction(1.0)
    assert not fraction(1.01)


def test_the_error_says_what_the_setting_is_for() -> None:
    with pytest.raises(ConfigurationError, match=r"a whole number.*Cores a task takes"):
        Setting("task.cpus", 1, INTEGER, "Cores a task takes.", positive).read("many")
