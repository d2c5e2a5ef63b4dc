"""minispark.cli.settings: options before --conf before environment before file, and what is wrong is named."""

from pathlib import Path

import pytest

from minispark.cli.settings import listed_files, read_properties, settle
from minispark.errors import ConfigurationError

KEY = "minispark.task.maxFailures"


def test_an_option_wins_over_conf_and_conf_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "defaults.conf"
    file.write_text(f"{KEY} 1\nspark.task.cpus 3\n")
    environment = {"MINISPARK_TASK_MAXFAILURES": "2"}

    by_file = settle({}, (), file, environment={})
    by_environment = settle({}, (), file, environment)
    by_conf = settle({}, (f"{KEY}=5",), file, environment)
    by_option = settle({KEY: "6", "minispark.app.name": None}, (f"{KEY}=5",), file, environment)

    assert [conf.task_max_failures for conf in (by_file, by_environment, by_conf, by_option)] == [1, 2, 5, 6]
    assert [conf.task_cpus for conf in (by_file, by_environment, by_conf, by_option)] == [3, 3, 3, 3]
    assert not by_option.contains("minispark.app.name")


def test_a_properties_file_reads_as_sparks_does(tmp_path: Path) -> None:
    file = tmp_path / "defaults.conf"
    file.write_text("# a comment\n! another\n\n a.b  two words \nc=1=2\nd : x\ne = \n")

    assert [pair for _, pair in read_properties(file)] == [("a.b", "two words"), ("c", "1=2"), ("d", "x"), ("e", "")]


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "defaults.conf"

    for text, problem in ((f"\n{KEY}", "line 2: .* is not `key value`"), (f"{KEY} many", "line 1: .*a whole number"),
                          ("minispark.task.maxFailure 3", "line 1: .*did you mean")):  # fmt: skip
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=problem):
            settle({}, (), file, environment={})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigurationError, match=r"cannot read .*binary"):
        read_properties(tmp_path / "binary")


@pytest.mark.parametrize("pair", ["novalue", "=5", " =5"])
def test_conf_without_a_key_and_a_value_is_refused(pair: str) -> None:
    with pytest.raises(ConfigurationError, match="is not KEY=VALUE"):
        settle({}, (pair,), environment={})


def test_lists_of_files_may_have_spaces_and_names_of_archives() -> None:
    assert listed_files("a.py, b.zip#lib,,c") == [Path("a.py"), Path("b.zip"), Path("c")]
    assert listed_files("") == []
