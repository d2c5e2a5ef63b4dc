"""The files in deploy/: the commands that they start exist and take these options, and what must be set is set."""

import configparser
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from minispark.cli.main import COMMANDS, main
from tools.parity import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def assert_the_command_line_takes(words: list[str]) -> None:
    name, *arguments = words
    assert name in COMMANDS
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, arguments)  # raises for an option or argument that there is none of


def service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    return parser["Service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    program, *words = shlex.split(service(unit)["ExecStart"])

    assert Path(program).name == "minispark"
    assert_the_command_line_takes(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_waits_for_the_daemon_and_gives_it_few_rights(unit: Path) -> None:
    found = service(unit)

    assert found["Type"] == "notify"
    assert int(found["WatchdogSec"]) > 0
    assert found["RestartPreventExitStatus"] == "2"
    assert {found[name] for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp")} == {"yes"}
    assert found["User"] != "root"


def test_both_units_are_there() -> None:
    assert [unit.stem for unit in UNITS] == ["minispark-master", "minispark-worker"]


def test_the_services_of_the_compose_file_run_commands_that_there_are() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    commands = [json.loads(found) for found in re.findall(r"^ +command: (\[.*\])$", text, re.M)]

    assert [command[0] for command in commands] == ["master", "worker"]
    for command in commands:
        assert_the_command_line_takes(command)


def test_the_compose_file_needs_a_secret_and_holds_none() -> None:
    text = (DEPLOY / "compose.yaml").read_text()

    assert "MINISPARK_SECRET: ${MINISPARK_SECRET:?" in text
    assert "\t" not in text
    assert all(len(re.match(" *", line)[0]) % 2 == 0 for line in text.splitlines())  # type: ignore[index]


def test_the_image_is_made_of_files_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.M) for name in line.split()[:-1]]

    assert copied
    assert not [name for name in copied if not (ROOT / name).exists()]
    assert re.search(r"^USER minispark$", text, re.M)
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.M)[0]) == ["minispark"]
