"""Drivers that the cluster runs: sent to it with their files, asked for, ended. Loaded by `submit` for cluster mode.

The cluster's secret does not travel: the worker that runs the driver knows it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from minispark.cli.client import ClusterClient, cluster_client, master_addresses
from minispark.cli.exits import Exit
from minispark.cli.settings import listed_files
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, RpcError
from minispark.ids import DriverId
from minispark.messages.deploy_clients import (
    DriverSummary,
    RequestDriverStatus,
    RequestKillDriver,
    RequestSubmitDriver,
)
from minispark.messages.deploy_values import DriverDescription, DriverState, ShippedFile
from minispark.rpc.logic.address import RpcAddress

__all__ = ["ask_about", "describe", "submit_driver"]

ENDED: Final = (DriverState.FINISHED, DriverState.KILLED, DriverState.FAILED, DriverState.ERROR, DriverState.UNKNOWN)
POLL_S: Final = 0.5
LOCAL_SETTINGS: Final = ("minispark.authenticate.", "minispark.ssl.", "minispark.local.dir")
"""What names files of the machine that submits; the worker's own take their place."""


def submit_driver(conf: SparkConf, app: str, arguments: Sequence[str]) -> Exit:
    """Have the cluster run a program; print the driver's id.

    Raises:
        ConfigurationError: the master is no cluster, or the files cannot be sent.
        RpcError: no master answers.
    """
    return asyncio.run(send(conf, cluster_of(conf), describe(conf, app, arguments)))


async def send(conf: SparkConf, masters: Sequence[RpcAddress], description: DriverDescription) -> Exit:
    """Hand a driver to the master and, if the settings say so, wait for its end."""
    async with cluster_client(conf, masters) as client:
        answer = await client.ask(RequestSubmitDriver(description))
        if not answer.driver_id:
            click.echo(f"minispark submit: the master refuses: {answer.text}", err=True)
            return Exit.FAILED
        click.echo(answer.driver_id)
        if not conf.submit_wait_app_completion:
            return Exit.DONE
        return await wait_for(client, answer.driver_id, conf.worker_timeout)


def cluster_of(conf: SparkConf) -> tuple[RpcAddress, ...]:
    """Return the masters that the settings name.

    Raises:
        ConfigurationError: they name none.
    """
    if not conf.contains("minispark.master") or conf.master.startswith("local"):
        raise ConfigurationError("which cluster? --master minispark://host:7077 is needed")
    return master_addresses(conf.master)


def describe(conf: SparkConf, app: str, arguments: Sequence[str]) -> DriverDescription:
    """Return what the cluster is asked to run, with all its files.

    The driver's directory is flat and its working directory: there the lists of files are lists of names.

    Raises:
        ConfigurationError: two files have one name, one cannot be read, or all together are too large for a message.
    """
    lists = {"minispark.submit.pyFiles": conf.py_files, "minispark.files": conf.files}
    lists["minispark.archives"] = conf.archives
    program = Path(app)
    paths = [program, *(path for text in lists.values() for path in listed_files(text))]
    settings = conf.copy()
    for key, text in lists.items():
        if text:
            settings.set(key, ",".join(part.strip().rpartition("/")[2] for part in text.split(",") if part.strip()))
    for key, _ in settings.get_all():
        if key.startswith(LOCAL_SETTINGS):
            settings.unset(key)
    settings.set("minispark.master", "minispark://" + ",".join(a.host_port for a in master_addresses(conf.master)))
    zips = [path.name for path in listed_files(conf.py_files) if path.suffix != ".py"]
    return DriverDescription(
        argv=(program.name, *arguments),
        cores=conf.driver_cores,
        memory_bytes=conf.driver_memory,
        supervise=conf.driver_supervise,
        environment={**settings.environment(), **({"PYTHONPATH": ":".join(zips)} if zips else {})},
        files=shipped(list(dict.fromkeys(paths)), min(conf.rpc_outbox_max_size, conf.rpc_message_max_size)),
    )


def shipped(paths: Sequence[Path], limit: int) -> tuple[ShippedFile, ...]:
    """Read the files that go with a driver."""
    by_name: dict[str, Path] = {}
    files = []
    for path in paths:
        other = by_name.setdefault(path.name, path)
        if other != path:
            raise ConfigurationError(f"{path} and {other} have one name; the driver's directory holds one of them")
        try:
            files.append(ShippedFile(path.name, path.read_bytes()))
        except OSError as error:
            raise ConfigurationError(f"cannot send {path}: {error.strerror}") from None
    total = sum(len(file.data) for file in files)
    if total > limit * 9 // 10:
        raise ConfigurationError(
            f"the program and its files have {total >> 20} MiB, more than the {limit >> 20} MiB that travel with a "
            "request: put the large ones where all machines see them"
        )
    return tuple(files)


async def wait_for(client: ClusterClient, driver_id: DriverId, patience_s: float) -> Exit:
    """Wait for the end of a driver, over a change of the master too.

    Args:
        patience_s: how long no master may answer.
    """
    world = client.env.world
    heard = world.monotonic()
    while True:
        try:
            found = await client.ask(RequestDriverStatus(driver_id))
        except RpcError:
            if world.monotonic() - heard > patience_s:
                raise
            client.leader = None
        else:
            heard = world.monotonic()
            if found.state in ENDED:
                show(driver_id, found)
                return Exit.DONE if found.state is DriverState.FINISHED else Exit.FAILED
        await world.sleep(POLL_S)


def ask_about(conf: SparkConf, kill_id: str | None, status_id: str | None) -> Exit:
    """End a driver, or say how it is.

    Raises:
        ConfigurationError: the master is no cluster.
        RpcError: no master answers.
    """
    return asyncio.run(end_or_show(conf, cluster_of(conf), kill_id, status_id))


async def end_or_show(
    conf: SparkConf, masters: Sequence[RpcAddress], kill_id: str | None, status_id: str | None
) -> Exit:
    """Ask the master that."""
    async with cluster_client(conf, masters) as client:
        if kill_id:
            answer = await client.ask(RequestKillDriver(DriverId(kill_id)))
            click.echo(answer.text or f"{kill_id} is being ended", err=not answer.done)
            return Exit.DONE if answer.done else Exit.FAILED
        driver_id = DriverId(status_id or "")
        found = await client.ask(RequestDriverStatus(driver_id))
        show(driver_id, found)
        return Exit.FAILED if found.state is DriverState.UNKNOWN and not found.driver_id else Exit.DONE


def show(driver_id: DriverId, found: DriverSummary) -> None:
    """Print how a driver is, in one line."""
    if not found.driver_id:
        click.echo(f"{driver_id}: the master knows no such driver", err=True)
        return
    where = f" on {found.worker_host} ({found.worker_id})" if found.worker_id else ""
    click.echo(f"{driver_id}: {found.state.name}{where}{f': {found.text}' if found.text else ''}")
