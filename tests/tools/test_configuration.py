"""tools.configuration: the page of settings is the table of settings."""

import pytest

from minispark.conf import SparkConf, settings
from tools.configuration import PAGE, default_text, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs` and commit docs/configuration.md"


@pytest.mark.parametrize("key", settings())
def test_every_default_is_written_in_a_form_that_reads_back_as_itself(key: str) -> None:
    setting = settings()[key]

    text = default_text(setting).strip("`")

    if setting.default is None:
        assert text == "not set"
        return
    assert setting.read("" if text == "empty" else text) == setting.default


def test_defaults_are_written_as_people_write_them() -> None:
    assert default_text(SparkConf.driver_max_result_size) == "`1g`"
    assert default_text(SparkConf.rpc_ask_timeout) == "`2min`"
    assert default_text(SparkConf.executor_kill_grace) == "`1s`"
    assert default_text(SparkConf.shuffle_compress) == "`true`"
    assert default_text(SparkConf.local_dir) == "empty"
