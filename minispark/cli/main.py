"""`minispark`: the group of all commands. Each one is a module of its own and is added here."""

import click

from minispark import __version__
from minispark.cli.replay import replay

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minispark")
def main() -> None:
    """Spark's core in pure Python, on asyncio."""


main.add_command(replay)
