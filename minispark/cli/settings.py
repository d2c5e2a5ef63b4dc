"""How commands take settings: `--conf`, `--properties-file` and options of their own, settled with the environment.

The only place where the layers meet: options before the environment before the file. Commands that are daemons use
the result; commands that start a program hand it over as the program's environment (`SparkConf.environment`).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError

__all__ = ["listed_files", "pairs_of", "read_properties", "settings_options", "settle"]

Command = TypeVar("Command", bound=Callable[..., Any])

PROPERTY = re.compile(r"(?P<key>[^\s=:]+)(?:\s*[=:]\s*|\s+)(?P<value>.*)")


def settings_options(command: Command) -> Command:
    """Give a command `--conf` and `--properties-file`, as parameters `conf_pairs` and `properties_file`."""
    command = click.option(
        "--properties-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A file of settings, a line each: `minispark.task.maxFailures 8`, as in Spark's spark-defaults.conf.",
    )(command)
    return click.option(
        "--conf",
        "-c",
        "conf_pairs",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting; may be repeated. docs/configuration.md lists them.",
    )(command)


def settle(
    options: Mapping[str, object | None],
    conf_pairs: tuple[str, ...] = (),
    properties_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> SparkConf:
    """Return the settings of a command; each of these wins over those after it: options, --conf, environment, file.

    Args:
        options: settings for which the command has options of its own; None where one was not given.

    Raises:
        ConfigurationError: a key or value is wrong; the message says where it comes from.
    """
    conf = SparkConf(environment={})
    if properties_file is not None:
        for line, (key, value) in read_properties(properties_file):
            try:
                conf.set(key, value)
            except ConfigurationError as error:
                raise ConfigurationError(f"{properties_file}, line {line}: {error}") from None
    conf.set_all(dict(SparkConf(environment=environment).get_all()))
    conf.set_all(pairs_of(conf_pairs))
    return conf.set_all({key: value for key, value in options.items() if value is not None})


def listed_files(text: str) -> list[Path]:
    """Return the files of a list by comma; what follows a # is the name under which an archive is unpacked."""
    return [Path(part.strip().partition("#")[0]) for part in text.split(",") if part.strip()]


def pairs_of(conf_pairs: tuple[str, ...]) -> dict[str, str]:
    """Read the values of `--conf`.

    Raises:
        ConfigurationError: one is not KEY=VALUE.
    """
    pairs = {}
    for pair in conf_pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise ConfigurationError(f"--conf {pair!r} is not KEY=VALUE, as --conf minispark.task.maxFailures=8")
        pairs[key.strip()] = value.strip()
    return pairs


def read_properties(path: Path) -> list[tuple[int, tuple[str, str]]]:
    """Return (line number, (key, value)) of a properties file: `key value`, `key=value` or `key: value`, # comments.

    Raises:
        ConfigurationError: the file cannot be read, or a line has no value.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    found = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", "!")):
            continue
        match = PROPERTY.fullmatch(line)
        if match is None:
            raise ConfigurationError(f"{path}, line {number}: {line!r} is not `key value` or `key=value`")
        found.append((number, (match["key"], match["value"])))
    return found
