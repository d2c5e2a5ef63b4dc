"""`minispark version`: what must agree between the machines of a cluster."""

import platform
import sys

import click

from minispark import __version__

__all__ = ["version"]


@click.command(short_help="Say the versions that must agree between machines.")
def version() -> None:
    """Say the versions of minispark and Python: those of all machines of a cluster must agree.

    \b
    minispark version
    """
    click.echo(f"minispark {__version__}")
    click.echo(f"Python {platform.python_version()} ({sys.implementation.name}), {sys.executable}")
