"""minispark.cli.main: the commands are there, say what they do, and cost nothing until they are called."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from minispark import __version__
from minispark.cli.main import COMMANDS, main


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    assert all(name in result.output for name in COMMANDS)


def test_the_version_is_told() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).output


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["sumbit"])

    assert result.exit_code == 2
    assert "sumbit" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_teaches_with_an_example(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name]
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"minispark {name}" in shown.output.partition("Options:")[0].partition("\n")[2]


@pytest.mark.cluster
def test_help_loads_no_command() -> None:
    program = (
        "import sys; from minispark.cli.main import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('asyncio', 'msgpack', 'minispark.conf') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert shown.stdout.endswith("[]\n")
