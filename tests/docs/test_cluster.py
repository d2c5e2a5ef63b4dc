"""docs/cluster.md says what is so: exit codes, options, settings and ports that are named are those of the code."""

import re
import shlex

import click
import pytest

from minispark.cli.exits import Exit
from minispark.cli.main import main
from minispark.conf import settings
from tools.parity import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_the_exit_codes_are_those_of_the_commands() -> None:
    table = PAGE.partition("| exit code | meaning |")[2].partition("\n\n")[0]

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}

    assert codes == {int(code) for code in Exit if code is not Exit.INTERRUPTED}


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"minispark\.\w+\.\w+(?:\.\w+)*", PAGE))
    keys = [key.lower() for key in settings()]

    assert named
    assert not {key for key in named if not any(known.startswith(key.lower()) for known in keys)}


@pytest.mark.parametrize(
    "line", [line.partition("#")[0] for line in re.findall(r"^(?:\w+\$ +)?(minispark .*)$", PAGE, re.M)]
)
def test_commands_of_the_page_are_commands(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = main.get_command(click.Context(main), name)

    assert command is not None
    command.make_context(name, arguments)  # raises for what it does not take


def test_the_page_begins_with_the_four_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (minispark .*)$", readme, re.M)

    assert len(commands) == 4
    assert "\n".join(commands) in PAGE
