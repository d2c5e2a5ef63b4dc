"""`minispark`: the group of all commands. Each is a module of its own, loaded when it is called.

A daemon that runs for months must not carry what another command imports, and help must come at once: so this module
knows names and first sentences only.
"""

from importlib import import_module
from typing import Final

import click

from minispark import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS: Final = {
    "master": "Start a master: it gives the cores of its workers to applications.",
    "worker": "Start a worker: it runs executors and drivers on this machine.",
    "submit": "Run a program, here or on the cluster.",
    "shell": "Open a prompt with a SparkContext `sc` and `await`.",
    "status": "Show workers, applications and drivers of a cluster.",
    "decommission": "Have the workers of some hosts finish what they run, then end.",
    "cluster": "Start or stop masters and workers on many machines over ssh.",
    "run": "Run a program with a cluster of its own, under srun, mpirun or pdsh.",
    "replay": "Replay a scheduler's JOURNAL and compare its decisions.",
    "version": "Say the versions that must agree between machines.",
}


class Commands(click.Group):
    """The group, which imports a command's module when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of first need."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"minispark.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minispark")
def main() -> None:
    """Spark's core in pure Python, on asyncio.

    \b
    A program on this machine:        minispark submit app.py
    A cluster on this machine:        minispark master
                                      minispark worker localhost:7077
                                      minispark submit --master minispark://localhost:7077 app.py
    How it goes:                      minispark status

    `minispark COMMAND --help` says more, with examples.
    """
