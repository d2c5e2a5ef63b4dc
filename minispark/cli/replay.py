"""`minispark replay`: what a scheduler was told and what it decided, from its journal, step by step."""

import sys
from pathlib import Path

import click

from minispark.errors import JournalError
from minispark.scheduler.replay import Replay, ReplayedStep

__all__ = ["replay"]


@click.command(short_help="Replay a scheduler's JOURNAL and compare its decisions.")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--from", "first", type=click.IntRange(min=0), default=0, help="Print from this message on.")
@click.option("--until", "last", type=click.IntRange(min=0), default=None, help="Stop after this message.")
@click.option("--quiet", is_flag=True, help="Print only whether the decisions are the recorded ones.")
def replay(journal: Path, first: int, last: int | None, quiet: bool) -> None:
    """Replay a scheduler's JOURNAL without a cluster, and compare what it decides with what it decided then.

    An application writes one when minispark.scheduler.journal names a file.

    \b
    minispark submit --conf minispark.scheduler.journal=app.journal app.py
    minispark replay app.journal

    The exit code is 1 if a decision differs and 2 if the journal cannot be read to its end.
    """
    try:
        different = run(Replay(journal), first, last, quiet=quiet)
    except JournalError as error:
        click.echo(f"minispark replay: {error}", err=True)
        sys.exit(2)
    sys.exit(1 if different else 0)


def run(replayed: Replay, first: int, last: int | None, *, quiet: bool) -> int:
    """Replay and print; return how many messages were decided on differently."""
    header = replayed.header
    if not quiet:
        settings = ", ".join(f"{key}={value}" for key, value in header.conf.items()) or "all settings as by default"
        click.echo(f"recorded by {header.version} on Python {header.python}; {settings}")
    count = decisions = different = 0
    start_s: float | None = None
    for step in replayed.steps():
        number = step.entry.number
        start_s = step.entry.monotonic_s if start_s is None else start_s
        if not quiet and (number >= first or not step.agrees):
            show(step, step.entry.monotonic_s - start_s)
        count += 1
        decisions += step.entry.decisions
        different += not step.agrees
        if number == last:
            break
    if different:
        click.echo(f"{count:,} messages: {different:,} of them were decided on DIFFERENTLY than recorded")
    else:
        click.echo(f"{count:,} messages, {decisions:,} decisions: all as recorded")
    return different


def show(step: ReplayedStep, after_s: float) -> None:
    """Print one step."""
    click.echo(f"#{step.entry.number} +{after_s:.3f}s {step.entry.target}: {step.what}")
    for decision in step.decisions:
        click.echo(f"    {decision}")
    if not step.agrees:
        click.echo(f"    DIFFERENT: {step.entry.decisions} decisions were recorded, digest {step.entry.digest:08x}")
