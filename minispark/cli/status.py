"""`minispark status`: workers, applications and drivers of a cluster, as its master sees them."""

import asyncio
import dataclasses
import enum
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from minispark.cli.client import cluster_client, master_addresses
from minispark.cli.exits import one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.conf import SparkConf
from minispark.messages.deploy_clients import ApplicationSummary, DriverSummary, MasterStatus, WorkerSummary
from minispark.rpc.world import SystemClock

__all__ = ["as_json", "lines_of", "master_or_default", "status"]

DEFAULT_MASTER = "minispark://localhost:7077"


@click.command(short_help="Show workers, applications and drivers of a cluster.")
@click.argument("master", required=False)
@click.option("--json", "json_wanted", is_flag=True, help="Print everything as JSON: for programs.")
@settings_options
def status(master: str | None, json_wanted: bool, conf_pairs: tuple[str, ...], properties_file: Path | None) -> None:
    """Show workers, applications and drivers of a cluster.

    MASTER is host:port, several with commas; by default the setting minispark.master, else localhost:7077. The exit
    code is 4 if no master answers.

    \b
    minispark status
    minispark status minispark://alpha:7077,beta:7077 --json | jq '.workers[].host'
    """
    with one_line_errors("status"):
        conf = settle({"minispark.master": master}, conf_pairs, properties_file)
        found = asyncio.run(status_of(conf))
    if json_wanted:
        click.echo(json.dumps(as_json(found), indent=2))
    else:
        for line in lines_of(found, SystemClock.wall()):
            click.echo(line)


async def status_of(conf: SparkConf) -> MasterStatus:
    """Ask the cluster."""
    async with cluster_client(conf, master_addresses(master_or_default(conf))) as client:
        return await client.status()


def master_or_default(conf: SparkConf) -> str:
    """Return the cluster's address: the setting if it names a cluster, else the one on this machine."""
    return (
        conf.master if conf.contains("minispark.master") and not conf.master.startswith("local[") else DEFAULT_MASTER
    )


def as_json(value: Any) -> Any:
    """Return a message as JSON has it: enums by name."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def lines_of(found: MasterStatus, now: float) -> Iterable[str]:
    """Yield the lines for people; `now` in seconds since the epoch."""
    cores, used = (sum(getattr(worker, name) for worker in found.workers) for name in ("cores", "cores_used"))
    yield f"{found.url}  {found.state.name}  {used} of {cores} cores used"
    yield from table("WORKERS", ("HOST", "STATE", "CORES", "MEMORY", "HEARD", "ID"), map(worker_row, found.workers))
    applications = (*found.active_apps, *found.completed_apps)
    yield from table(
        "APPLICATIONS", ("NAME", "STATE", "CORES", "EXECUTORS", "RUNS", "USER", "ID"),
        map(application_row, applications),
    )  # fmt: skip
    drivers = (*found.active_drivers, *found.completed_drivers)
    rows = [driver_row(driver, now) for driver in drivers]
    yield from table("DRIVERS", ("STATE", "CORES", "MEMORY", "AGE", "WHERE", "ID", "WHY"), rows)


def worker_row(worker: WorkerSummary) -> tuple[str, ...]:
    """Return the cells of a worker."""
    return (
        worker.host,
        worker.state.name,
        f"{worker.cores_used}/{worker.cores}",
        f"{size(worker.memory_used_bytes)}/{size(worker.memory_bytes)}",
        f"{duration(worker.heartbeat_age_s)} ago",
        worker.worker_id,
    )


def application_row(app: ApplicationSummary) -> tuple[str, ...]:
    """Return the cells of an application."""
    return (
        app.name, app.state.name, str(app.cores), str(app.executors), duration(app.duration_s), app.user, app.app_id,
    )  # fmt: skip


def driver_row(driver: DriverSummary, now: float) -> tuple[str, ...]:
    """Return the cells of a driver."""
    return (
        driver.state.name,
        str(driver.cores),
        size(driver.memory_bytes),
        duration(now - driver.submitted_at),
        driver.worker_host or "-",
        driver.driver_id,
        driver.text,
    )


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield a table with columns as wide as their widest cell; nothing without rows but its title."""
    lines = [head, *rows]
    yield ""
    yield f"{title} ({len(lines) - 1})"
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines if len(lines) > 1 else ():
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def size(count: int) -> str:
    """Return bytes in a unit of 1024 that leaves at most four digits."""
    number = float(count)
    for unit in ("B", "K", "M", "G"):
        if number < 1024:
            return f"{number:.4g}{unit}"
        number /= 1024
    return f"{number:.4g}T"


def duration(seconds: float) -> str:
    """Return a duration with its two largest units."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(counts) if count), 3)
    return " ".join(f"{count}{unit}" for count, unit in counts[first : first + 2])
