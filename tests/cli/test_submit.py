"""minispark.cli.submit: what belongs to whom on the line, what a program gets, what is refused before it starts."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import minispark.cli.submit
from minispark.cli.main import main
from minispark.cli.submit import program_environment
from minispark.conf import SparkConf


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINISPARK_SECRET", raising=False)
    (tmp_path / "app.py").write_text("")
    return tmp_path / "app.py"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], Mapping[str, str]]]:
    """Return where the command lines and environments of programs are kept, in place of being run."""
    kept: list[tuple[list[str], Mapping[str, str]]] = []

    def become(command: list[str], environment: Mapping[str, str]) -> None:
        kept.append((command, environment))

    monkeypatch.setattr(minispark.cli.submit, "become", become)
    return kept


def submit(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["submit", *map(str, arguments)])


def test_what_follows_the_program_belongs_to_it(app: Path, started: list[Any]) -> None:
    result = submit("--name", "n", app, "--help", "--master", "x", "-c")

    assert result.exit_code == 0, result.output
    command, environment = started[0]
    assert command[0] == sys.executable
    assert command[-5:] == [str(app), "--help", "--master", "x", "-c"]
    assert environment["MINISPARK_APP_NAME"] == "n"
    assert "MINISPARK_MASTER" not in environment


def test_a_program_that_nobody_names_is_called_as_its_file(app: Path, started: list[Any]) -> None:
    submit(app)
    submit("--conf", "spark.app.name=n", app)

    assert [environment["MINISPARK_APP_NAME"] for _, environment in started] == ["app.py", "n"]


def test_every_option_is_a_setting_of_the_program(app: Path, started: list[Any]) -> None:
    result = submit(
        "--master", "minispark://a:7077", "--executor-cores", 2, "--executor-memory", "2g", "--num-executors", 3,
        "--total-executor-cores", 6, "--driver-memory", "1g", "--conf", "spark.task.maxFailures=9", app,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    conf = SparkConf(environment=started[0][1])
    assert (conf.master, conf.executor_cores, conf.executor_memory) == ("minispark://a:7077", 2, 2 << 30)
    assert (conf.executor_instances, conf.cores_max, conf.task_max_failures) == (3, 6, 9)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [([], "which program"), (["gone.py"], "there is no program gone.py"),
     (["--py-files", "gone.zip", "APP"], "there is no gone.zip, which --py-files names"),
     (["--files", "gone.csv", "APP"], "there is no gone.csv, which --files names"),
     (["--archives", "gone.zip#env", "APP"], "there is no gone.zip, which --archives names"),
     (["--conf", "task", "APP"], "is not KEY=VALUE"),
     (["--executor-cores", "two", "APP"], "a whole number"),
     (["--conf", "minispark.task.maxFailure=1", "APP"], "did you mean 'minispark.task.maxFailures'"),
     (["--deploy-mode", "cluster", "APP"], "which cluster"),
     (["--kill", "driver-1"], "which cluster"),
     (["--master", "minispark://a:7077", "--status", "driver-1"], "the secret of the cluster is not known here")],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_before_anything_starts(
    app: Path, started: list[Any], arguments: list[str], problem: str
) -> None:
    result = submit(*(str(app) if argument == "APP" else argument for argument in arguments))

    assert result.exit_code == 2
    assert problem in result.output
    assert len(result.output.splitlines()) == 1
    assert not started


def test_py_files_come_on_the_path_of_modules(tmp_path: Path) -> None:
    conf = SparkConf({"minispark.submit.pyFiles": f"{tmp_path}/lib.zip,{tmp_path}/more/m.py"}, environment={})

    environment = program_environment(conf, {"PYTHONPATH": "/own", "A": "1"})

    assert environment["PYTHONPATH"].split(os.pathsep) == [f"{tmp_path}/lib.zip", f"{tmp_path}/more", "/own"]
    assert environment["A"] == "1"


def test_a_variable_in_other_case_does_not_win_over_an_option() -> None:
    conf = SparkConf({"minispark.app.name": "by option"}, environment={})

    environment = program_environment(conf, {"MINISPARK_App_Name": "by environment"})

    assert environment == {"MINISPARK_APP_NAME": "by option"}


def test_verbose_tells_the_settings(app: Path, started: list[Any]) -> None:
    result = submit("--verbose", "--name", "n", app, "x")

    assert f"program: {app} x\n" in result.output
    assert "setting: minispark.app.name = n" in result.output
    assert started


def test_verbose_tells_no_password(app: Path, started: list[Any]) -> None:
    result = submit("--verbose", "--conf", "minispark.executorEnv.TOKEN=hush", app, "s3://key:hush@bucket/x")

    assert "s3://key:…@bucket/x" in result.output
    assert "setting: minispark.executorEnv.TOKEN = …" in result.output
    assert "hush" not in result.output
    assert started
