"""Tests of how another interpreter like this one is started."""

import subprocess
import sys
import types

import pytest

from minispark.executor import interpreter
from minispark.executor.interpreter import child_environment, interpreter_command, restored_environment


def with_flags(monkeypatch: pytest.MonkeyPatch, **changed: int) -> None:
    flags = {name: getattr(sys.flags, name) for name in (*interpreter.FLAGS, "ignore_environment")}
    fake = types.SimpleNamespace(
        flags=types.SimpleNamespace(**{**flags, **changed}),
        executable="/usr/bin/python3", warnoptions=["error::UserWarning"], _xoptions={"utf8": True, "a": "b"},
    )  # fmt: skip
    monkeypatch.setattr(interpreter, "sys", fake)


def test_the_interpreters_flags_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with_flags(monkeypatch, optimize=2, dont_write_bytecode=1, no_user_site=0, bytes_warning=0)

    command = interpreter_command("a.module")

    assert command[:2] == ["/usr/bin/python3", "-P"]
    assert {"-OO", "-B", "-Werror::UserWarning"} < set(command)
    assert command[-6:] == ["-X", "utf8", "-X", "a=b", "-m", "a.module"]


def test_isolation_is_told_without_hiding_the_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_flags(monkeypatch, ignore_environment=1)

    made = child_environment({"PYTHONOPTIMIZE": "2", "HOME": "/root"})

    assert "-E" not in interpreter_command("a.module")
    assert "-I" not in interpreter_command("a.module")
    assert made["PYTHONHASHSEED"] == "0"
    assert made["HOME"] == "/root"
    assert "PYTHONOPTIMIZE" not in made


def test_minispark_is_found_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "is_installed", lambda: False)

    assert child_environment({"PYTHONPATH": "/mine"})["PYTHONPATH"] == f"{interpreter.PACKAGE_PARENT}:/mine"
    assert child_environment({})["PYTHONPATH"] == interpreter.PACKAGE_PARENT


@pytest.mark.parametrize("environment", [{}, {"PYTHONPATH": "/mine"}, {"PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}])
def test_tasks_see_the_variables_of_their_executor(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setattr(interpreter, "is_installed", lambda: False)
    seen = child_environment(environment)

    back, unset = restored_environment(environment)
    for name in unset:
        del seen[name]
    seen.update(back)

    assert seen == {**environment, "PYTHONHASHSEED": "0"}


@pytest.mark.cluster
def test_the_command_and_environment_start_python() -> None:
    command = [*interpreter_command("platform")]

    done = subprocess.run(command, env=child_environment({"PATH": "/usr/bin"}), capture_output=True, check=True)

    assert b"Linux" in done.stdout
